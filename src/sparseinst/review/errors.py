"""The annotations of a data set that a network disputes, with pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.config.preprocess import PreprocessConfig
from sparseinst.data.channels import shown
from sparseinst.data.coco import CocoDataset, read_told
from sparseinst.data.formats.source import Split
from sparseinst.drawing.html import tiles
from sparseinst.evaluation.evaluator import detect
from sparseinst.evaluation.inputs import ground_truth
from sparseinst.files import atomic
from sparseinst.inference.pipeline import Pipeline
from sparseinst.inference.writers import write_json
from sparseinst.review.disputes import Dispute, Kind, disputes
from sparseinst.review.html import Cell, document, sheet
from sparseinst.review.pictures import ANNOTATED, SEEN, close_up

WORDS: dict[Kind, str] = {
    "missed": "missed by the annotator",
    "class": "wrong class",
    "outline": "bad outline",
    "unseen": "not seen by the network",
}
"""What the network says."""


@dataclass(frozen=True)
class Errors:
    """What a network disputes.

    Args:
        dataset: the images.
        truth: their annotations, as `inputs.ground_truth` gives them.
        ids: the annotation file's id of each of these, None where it has none.
        detections: what the network found.
        disputes: worst first.
        preprocess: how images were read.
    """

    dataset: CocoDataset
    truth: dict[str, Any]
    ids: tuple[int | None, ...]
    detections: list[dict[str, Any]]
    disputes: list[Dispute]
    preprocess: PreprocessConfig

    def records(self) -> list[dict[str, Any]]:
        """All of them as JSON values, worst first."""
        return [self._record(rank, item) for rank, item in enumerate(self.disputes, 1)]

    def _record(self, rank: int, item: Dispute) -> dict[str, Any]:
        seen = None if item.detection is None else self.detections[item.detection]
        return {
            "rank": rank,
            "kind": item.kind,
            "suspicion": round(item.suspicion, 4),
            "image": self.file_name(item),
            "image_id": item.image_id,
            "annotation_id": None if item.annotation is None else self.ids[item.annotation],
            "class": self.annotated(item),
            "seen": None if seen is None else self.class_of(seen),
            "score": round(item.score, 4),
            "iou": round(item.iou, 4),
            "segmentation": None if seen is None else seen["segmentation"],
        }

    def file_name(self, item: Dispute) -> str:
        """The image that it is about."""
        return self.dataset.name(self._index(item))

    def annotated(self, item: Dispute) -> str | None:
        """The class that is annotated; None where nothing is."""
        return None if item.annotation is None else self.class_of(self.truth["annotations"][item.annotation])

    def class_of(self, record: dict[str, Any]) -> str:
        """The name of a record's class."""
        return str(next(c["name"] for c in self.truth["categories"] if c["id"] == record["category_id"]))

    def picture(self, item: Dispute) -> NDArray[np.uint8]:
        """A close-up: what is annotated in yellow, what is seen in blue."""
        chosen = []
        if item.annotation is not None:
            chosen.append((self.truth["annotations"][item.annotation], ANNOTATED))
        if item.detection is not None:
            chosen.append((self.detections[item.detection], SEEN))
        pixels = shown(self.dataset.image(self._index(item), self.preprocess))
        counts = [record["segmentation"]["counts"].encode("ascii") for record, _ in chosen]
        texts = [self.class_of(record) if item.kind == "class" else "" for record, _ in chosen]
        return close_up(pixels, counts, texts, [colour for _, colour in chosen])

    def _index(self, item: Dispute) -> int:
        return int(np.flatnonzero(self.dataset.image_ids == item.image_id)[0])


def find_errors(pipeline: Pipeline, split: Split, *, workers: int = 2) -> Errors:
    """Lets a network look at annotated images, and compares.

    Args:
        pipeline: of the network, with a score of 0: what it hardly sees counts, too.
        split: the images and their annotations, of any format; they may be those that it was trained on.
        workers: threads that read images.

    Raises:
        InputError: the data cannot be used, or its classes are not the network's.
    """
    content = read_told(split)
    dataset = CocoDataset.of(split, content).remap(pipeline.classes)
    truth = ground_truth(content, split.annotations)
    detections = detect(pipeline, dataset, workers=workers)
    ids = tuple(content["annotations"][item["place"]].get("id") for item in truth["annotations"])
    return Errors(dataset, truth, ids, detections, disputes(truth, detections), pipeline.preprocess)


def write_errors(folder: Path, errors: Errors, *, limit: int) -> Path:
    """Writes errors.json (all) and errors.html (pictures of the first `limit`).

    Returns:
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "errors.json", errors.records())
    page = folder / "errors.html"
    with atomic(page) as temporary:
        temporary.write_text(_page(errors, errors.disputes[:limit]), encoding="utf-8", errors="backslashreplace")
    return page


def _page(errors: Errors, shown: Sequence[Dispute]) -> str:
    counts = {kind: sum(item.kind == kind for item in errors.disputes) for kind in WORDS}
    keys = '<span><i class="annotated"></i>annotated</span><span><i class="seen"></i>seen by the network</span>'
    note = (
        f'<p class="note">The {len(shown)} most suspicious of {len(errors.disputes)}, each kind in turn. A network is '
        "often wrong itself: look, and correct what is.</p>"
    )
    cells = (Cell(errors.picture(item), f"{rank}. {_said(errors, item)}", errors.file_name(item))
             for rank, item in enumerate(shown, 1))  # fmt: skip
    figures = [(str(counts[kind]), WORDS[kind]) for kind in WORDS]
    return document(
        f"Disputed annotations of {errors.dataset.annotations.name}",
        (tiles(figures), note, f'<p class="legend">{keys}</p>', sheet(cells)),
    )


def _said(errors: Errors, item: Dispute) -> str:
    seen = "" if item.detection is None else errors.class_of(errors.detections[item.detection])
    if item.kind == "missed":
        return f"{WORDS[item.kind]}: {seen} {item.score:.2f}"
    if item.kind == "class":
        return f"{WORDS[item.kind]}: {errors.annotated(item)}, seen as {seen} {item.score:.2f}"
    if item.kind == "outline":
        return f"{WORDS[item.kind]}: {errors.annotated(item)}, IoU {item.iou:.2f}"
    return f"{WORDS[item.kind]}: {errors.annotated(item)}"
