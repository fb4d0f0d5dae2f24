"""A check of a data set as one page: figures, charts, and pictures of what was found."""

from collections.abc import Iterator
from html import escape

import numpy as np
from numpy.typing import NDArray

from sparseinst.config.model import ModelConfig
from sparseinst.data.channels import read_picture
from sparseinst.data.check.checkup import CheckedPart, Checkup
from sparseinst.data.check.findings import KINDS, Finding, Spot
from sparseinst.data.coco import CocoDataset
from sparseinst.drawing.html import table, tiles
from sparseinst.errors import InputError
from sparseinst.review.html import Cell, bars, document, histogram, sheet
from sparseinst.review.pictures import ANNOTATED, SECOND, close_up, whole
from sparseinst.review.stats import class_counts

_SPOTS = 12
"""Pictures of each kind of finding ..."""
_IMAGES = 12
"""... and images with their annotations of each part."""
_GAP_PX = 6
"""Between two images that are the same."""
_LINES = 8
"""Findings without a picture that are listed."""


def check_page(checkup: Checkup, model: ModelConfig) -> str:
    """A whole page that refers to nothing outside it."""
    return document(f"Check of {checkup.source.name}", _sections(checkup, model))


def _sections(checkup: Checkup, model: ModelConfig) -> Iterator[str]:
    datasets = [part.dataset for part in checkup.parts if part.dataset is not None]
    yield tiles(
        [
            (str(sum(map(len, datasets))), "images"),
            (str(sum(dataset.instances for dataset in datasets)), "objects"),
            (str(checkup.errors), "errors"),
            (str(sum(len(f.spots) for f in checkup.findings if f.level == "warning")), "warnings"),
        ]
    )
    yield "".join(f"<p>{escape(line)}</p>" for line in checkup.source.found)
    yield "<h2>Findings</h2>" + (_overview(checkup) if checkup.findings else "<p>Nothing was found to be wrong.</p>")
    yield from _sizes(checkup, model)
    for part in checkup.parts:
        yield _classes(part)
    for finding in checkup.findings:
        yield _finding(checkup, finding)
    for part in checkup.parts:
        if part.dataset is not None:
            yield f"<h2>Images of {part.name}</h2>" + sheet(image_cells(part.dataset, _IMAGES))


def _overview(checkup: Checkup) -> str:
    rows = [
        (f.kind, f.part, f.level, KINDS[f.kind].advice, KINDS[f.kind].fix or "-", str(len(f.spots)))
        for f in checkup.findings
    ]
    return table(("", "part", "", "what to do", "with --fix", "times"), rows, texts=range(5))


def _sizes(checkup: Checkup, model: ModelConfig) -> Iterator[str]:
    sizes = checkup.sizes
    if sizes is None:
        return
    counts = np.bincount(sizes.image_of, minlength=len(sizes.images_hw)).astype(np.float64)
    seen = sizes.seen_px(model.preprocess)
    charts = (
        histogram("Diameters", sizes.diameters_px, unit="pixels of the image", mark=sizes.median_px),
        histogram("As the network sees them", seen, unit="network pixels", mark=float(np.median(seen))),
        histogram("Objects in an image", counts, unit="objects", mark=float(np.median(counts)), whole=True),
    )
    lines = "".join(f"<p>{escape(line)}</p>" for line in checkup.advice)
    note = '<p class="note">Diameter: that of a disc of the same area. The line is the median.</p>'
    yield f'<h2>Sizes</h2>{lines}<div class="charts">{"".join(charts)}</div>{note}'


def _classes(part: CheckedPart) -> str:
    if part.dataset is None:
        return f"<h2>Classes of {part.name}</h2><p>Nothing that can be used is left.</p>"
    return f"<h2>Classes of {part.name}</h2>" + bars(class_counts(part.dataset))


def _finding(checkup: Checkup, finding: Finding) -> str:
    part = next(part for part in checkup.parts if part.name == finding.part)
    kind = KINDS[finding.kind]
    title = f"{finding.kind[:1].upper()}{finding.kind[1:]}: {len(finding.spots)} ({finding.part})"
    heading = f'<h2 class="{finding.level}">{escape(title)}</h2>'
    advice = f"<p>{escape(kind.advice[:1].upper() + kind.advice[1:])}.</p>"
    cells: list[Cell] = []
    lines: list[str] = []
    for spot in finding.spots:
        picture = _picture(checkup, part, spot) if spot.image and len(cells) < _SPOTS else None
        if picture is not None:
            cells.append(Cell(picture, spot.text or finding.kind, spot.image))
        elif len(lines) < _LINES and not cells:
            lines.append(": ".join(filter(None, (spot.image, spot.text))))
    listed = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return heading + advice + (f"<ul>{listed}</ul>" if lines else "") + (sheet(cells) if cells else "")


def _picture(checkup: Checkup, part: CheckedPart, spot: Spot) -> NDArray[np.uint8] | None:
    """What is shown of a spot; None where the image cannot be read."""
    try:
        pixels = read_picture(part.split.images / spot.image)
        if spot.counts:
            colours = [ANNOTATED, SECOND][: len(spot.counts)]
            return close_up(pixels, spot.counts, [""] * len(spot.counts), colours)
        if spot.other is None:
            return whole(pixels, (), ())
        other_part, name = spot.other
        other = read_picture(checkup.source.splits[other_part].images / name)
    except InputError:
        return None
    one, two = whole(pixels, (), ()), whole(other, (), ())
    height = min(len(one), len(two))
    return np.concatenate([one[:height], np.full((height, _GAP_PX, 3), 255, np.uint8), two[:height]], axis=1)


def image_cells(dataset: CocoDataset, count: int) -> Iterator[Cell]:
    """Images with their annotations, evenly from the whole set."""
    for index in np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)).tolist():
        pixels = dataset.picture(index)
        labels = dataset.labels(index)
        names = [dataset.classes[label] if len(dataset.classes) > 1 else "" for label in labels]
        name = dataset.name(index)
        yield Cell(whole(pixels, dataset.rles(index), names), name, f"{len(labels)} objects")
