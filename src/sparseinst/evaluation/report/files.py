"""Writes the report of an evaluation: all numbers as JSON, the page, and pictures of the images that went worst."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sparseinst.data.channels import shown
from sparseinst.data.coco import CocoDataset
from sparseinst.disk import check_room
from sparseinst.errors import InputError
from sparseinst.evaluation.coco_eval import Scored
from sparseinst.evaluation.report.contents import EvaluationFacts, WorstImage, make_report
from sparseinst.evaluation.report.page import report_page
from sparseinst.evaluation.report.worst import draw_outcome, worst_images
from sparseinst.inference.writers import write_image, write_json

_PAGE, _JSON, _PICTURES = "index.html", "report.json", "images"
_WORST = 20
"""Images that are drawn."""


def write_report(
    folder: Path,
    scored: Scored,
    dataset: CocoDataset,
    about: EvaluationFacts,
    *,
    groups: Mapping[int, str] | None = None,
) -> None:
    """Writes index.html, report.json and images/ into a folder, which appears at once or not at all.

    Args:
        folder: absent, empty or an earlier report, which is replaced.
        scored: what was found.
        dataset: the images.
        about: what was evaluated.
        groups: image id -> name of a group, as the evaluation had them.

    Raises:
        InputError: the folder holds something else.
    """
    with _replaced(folder) as temporary:
        (temporary / _PICTURES).mkdir()
        worst = tuple(_draw_worst(temporary, scored, dataset, about))
        report = make_report(scored, about, worst, groups=groups or {})
        write_json(temporary / _JSON, report.to_json())
        (temporary / _PAGE).write_text(report_page(report), encoding="utf-8", errors="backslashreplace")


def check_report_folder(folder: Path) -> None:
    """Makes the folder's parent, and makes sure that nothing but an earlier report would be replaced.

    Raises:
        InputError: the folder holds something else, is a file, or its parent cannot be made.
    """
    if folder.is_dir():
        names = {path.name for path in folder.iterdir()}
        if names and not (names <= {_PAGE, _JSON, _PICTURES} and _PAGE in names and _JSON in names):
            raise InputError(
                f"report {folder}: expected a new or empty folder or an earlier report, got one that holds "
                f"{', '.join(sorted(names)[:3])}: choose another"
            )
    elif folder.exists():
        raise InputError(f"report {folder}: expected a folder, got a file: choose another")
    check_room(folder.parent, option="report")


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`, renamed to it once the block has ended well, removed otherwise."""
    check_report_folder(folder)
    folder = folder.resolve()
    temporary, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{kind}") for kind in ("tmp", "old"))
    try:
        temporary.mkdir()
        yield temporary
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _draw_worst(folder: Path, scored: Scored, dataset: CocoDataset, about: EvaluationFacts) -> Iterator[WorstImage]:
    matches = scored.matches
    classes = [item.name for item in scored.evaluation.per_class]
    for number, outcome in enumerate(worst_images(matches, score=about.score, limit=_WORST), 1):
        pixels = shown(dataset.image(outcome.image, about.preprocess))
        picture = draw_outcome(
            pixels, outcome.image, matches, scored.truth, scored.detections, classes, score=about.score
        )
        place = f"{_PICTURES}/{number:02}.jpg"
        write_image(folder / place, picture)
        name = dataset.path(outcome.image).relative_to(dataset.images_dir).as_posix()
        yield WorstImage(name, int(dataset.image_ids[outcome.image]), place, outcome)
