"""Writes the report of an evaluation: all numbers as JSON, the page, and pictures of the images that went worst."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from sparseinst.data.channels import shown
from sparseinst.data.coco import CocoDataset
from sparseinst.evaluation.coco_eval import Scored
from sparseinst.evaluation.report.contents import EvaluationFacts, WorstImage, make_report
from sparseinst.evaluation.report.folder import FIGURES, PAGE, PICTURES, replaced
from sparseinst.evaluation.report.page import report_page
from sparseinst.evaluation.report.worst import draw_outcome, worst_images
from sparseinst.inference.writers import write_image, write_json

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
    with replaced(folder) as temporary:
        (temporary / PICTURES).mkdir()
        worst = tuple(_draw_worst(temporary, scored, dataset, about))
        report = make_report(scored, about, worst, groups=groups or {})
        write_json(temporary / FIGURES, report.to_json())
        (temporary / PAGE).write_text(report_page(report), encoding="utf-8", errors="backslashreplace")


def _draw_worst(folder: Path, scored: Scored, dataset: CocoDataset, about: EvaluationFacts) -> Iterator[WorstImage]:
    matches = scored.matches
    classes = [item.name for item in scored.evaluation.per_class]
    for number, outcome in enumerate(worst_images(matches, score=about.score, limit=_WORST), 1):
        pixels = shown(dataset.image(outcome.image, about.preprocess))
        picture = draw_outcome(
            pixels, outcome.image, matches, scored.truth, scored.detections, classes, score=about.score
        )
        place = f"{PICTURES}/{number:02}.jpg"
        write_image(folder / place, picture)
        name = dataset.name(outcome.image)
        yield WorstImage(name, int(dataset.image_ids[outcome.image]), place, outcome)
