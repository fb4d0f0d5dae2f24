"""A look at a result: what was found, how sure, what failed, and some of the images."""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.inference.writers import write_json
from sparseinst.scale.results import read_job, read_rows
from sparseinst.scale.rows import OK
from sparseinst.scale.sheet import write_sheet

BINS = 20
"""Of the histograms of scores, from 0 to 1."""


@dataclass(frozen=True)
class ClassReport:
    """What was found of a class.

    Args:
        name: of the class.
        instances: how many.
        images: in how many images.
        median_area: in pixels.
        scores: how many in each of `BINS` equal steps of the score from 0 to 1.
    """

    name: str
    instances: int
    images: int
    median_area: float
    scores: list[int]


@dataclass(frozen=True)
class BatchReport:
    """A look at a result.

    Args:
        images: all, failed ones included.
        failed: images without a result.
        instances: found in all.
        seconds_per_image: work for each, on average.
        classes: most instances first.
        failures: reason, images, one of them; most first. Reasons that differ in names and numbers only are one.
        job: what it was made by.
        sheet: the contact sheet, if there is one.
    """

    images: int
    failed: int
    instances: int
    seconds_per_image: float
    classes: tuple[ClassReport, ...]
    failures: tuple[tuple[str, int, str], ...]
    job: dict[str, Any]
    sheet: str | None = None


@dataclass
class _Class:
    scores: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    areas: Counter[int] = field(default_factory=Counter)
    images: int = 0


def make_report(folder: str | Path, *, sheet: int = 24) -> BatchReport:
    """Goes through the rows once and writes `report.json`, and `sheet.jpg` with some of the images.

    Args:
        folder: of the result.
        sheet: how many images the contact sheet shows, evenly from the input; 0 makes none.

    Raises:
        InputError: it is no folder of a result.
    """
    folder = Path(folder)
    job = read_job(folder)
    classes: dict[str, _Class] = defaultdict(_Class)
    failures: Counter[str] = Counter()
    examples: dict[str, str] = {}
    images, seconds = 0, 0.0
    for row in read_rows(folder, ["image", "status", "seconds", "error", "instances"]):
        images += 1
        seconds += row["seconds"]
        if row["status"] != OK:
            why = _general(row["error"], row["image"])
            failures[why] += 1
            examples.setdefault(why, row["image"])
        for name, found in _by_class(row["instances"]).items():
            of_class = classes[name]
            of_class.images += 1
            for item in found:
                of_class.scores[min(BINS - 1, int(item["score"] * BINS))] += 1
                of_class.areas[item["area"]] += 1
    drawn = write_sheet(folder, job, tuple(sorted(classes)), images=sheet) if sheet else None
    reports = [
        ClassReport(name, item.areas.total(), item.images, _median(item.areas), item.scores.tolist())
        for name, item in classes.items()
    ]
    report = BatchReport(
        images, failures.total(), sum(item.instances for item in reports), seconds / max(1, images),
        tuple(sorted(reports, key=lambda item: (-item.instances, item.name))),
        tuple((why, number, examples[why]) for why, number in failures.most_common()), job,
        None if drawn is None else str(drawn),
    )  # fmt: skip
    write_json(folder / "report.json", asdict(report))
    return report


def _by_class(instances: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in instances:
        found[item["class"]].append(item)
    return found


def _general(error: str, image: str) -> str:
    """A reason without what is this image's alone.

    >>> _general("there is no such file: /data/a.jpg", "a.jpg")
    'there is no such file: ...'
    """
    words = ["..." if image in word or Path(image).name in word else word for word in error.split(" ")]
    return " ".join(words)


def _median(areas: Counter[int]) -> float:
    values = np.array(sorted(areas))
    total = np.cumsum([areas[int(value)] for value in values])
    return float(values[np.searchsorted(total, total[-1] / 2)])
