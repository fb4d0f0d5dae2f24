"""Annotations that a trained network disputes, worst first.

A network that was trained on a few wrong annotations does not believe them: most of what it knows comes from the right
ones. How sure it usually is, and how well its masks usually fit, differs from class to class and with the length of a
training; all evidence is therefore measured against what is usual (`usual.py`). The four kinds of doubt do not compare,
so that the list takes them in turn.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparseinst.evaluation.matching import IOU, by_image, pairwise_ious
from sparseinst.review.usual import Overlaps, Usual, learn_usual

Kind = Literal["missed", "class", "outline", "unseen"]
KINDS: tuple[Kind, ...] = ("missed", "class", "outline", "unseen")
"""Nothing is annotated where the network sees an object; it sees another class; another outline; nothing at all."""

_TOUCH = 0.1
"""IoU from which on a mask may mean the same object, badly drawn."""
_APART = 0.3
"""Highest IoU with any annotation of what none is about."""

_Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Dispute:
    """One annotation, or one that is missing, with what the network says instead.

    Args:
        kind: what is disputed.
        suspicion: 0..1, how strongly; comparable within a kind.
        image_id: where.
        annotation: place among the annotations; None where one is missing.
        detection: place among the detections of what is seen instead; None where nothing is seen.
        score: of that detection, 0..1.
        iou: of that detection with the annotation, or the highest with any, 0..1.
    """

    kind: Kind
    suspicion: float
    image_id: int
    annotation: int | None
    detection: int | None
    score: float = 0.0
    iou: float = 0.0


def disputes(truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]]) -> list[Dispute]:
    """All that may be wrong, the most suspicious of each kind first; each annotation at most once.

    Args:
        truth: COCO annotations, as `inputs.ground_truth` gives them; crowds are no annotations of objects.
        detections: COCO results of these images, low scores included.
    """
    annotations = truth["annotations"]
    truths_in, found_in = by_image(annotations), by_image(detections)
    images = [_overlaps(image["id"], truths_in, found_in, annotations, detections) for image in truth["images"]]
    usual = learn_usual(annotations, detections, images)
    found: list[Dispute] = []
    for image in images:
        for column, place in enumerate(image.truths):
            if not annotations[place]["iscrowd"]:
                found += _about(column, image, annotations[place]["category_id"], detections, usual)
        found += _missed(image, detections, usual)
    return _in_turn(found)


def _overlaps(
    image_id: int,
    truths_in: Mapping[int, list[int]],
    found_in: Mapping[int, list[int]],
    annotations: Sequence[Mapping[str, Any]],
    detections: Sequence[Mapping[str, Any]],
) -> Overlaps:
    truths, found = truths_in[image_id], found_in[image_id]
    ious = np.zeros((len(found), len(truths)))
    if truths and found:
        ious = pairwise_ious([detections[i] for i in found], [annotations[i] for i in truths])
    return Overlaps(image_id, truths, found, ious)


def _about(
    column: int, image: Overlaps, category: int, detections: Sequence[Mapping[str, Any]], usual: Usual
) -> list[Dispute]:
    """What is said against one annotation: the strongest of class, outline and unseen; nothing where all is well."""
    if category not in usual.iou:
        return []  # the network has not learnt the class, and cannot judge
    ious, mine = image.ious[:, column], list(image.found)
    classes = np.array([detections[i]["category_id"] for i in mine], np.int64)
    sure, same = usual.precision[mine], classes == category
    fits = np.minimum(1.0, ious / usual.iou[category])
    agreed = float((sure * fits * same).max(initial=0.0))  # how well the network supports it as it is
    said = []
    unlike = np.array([usual.mistaken(category, int(seen)) for seen in classes])
    other = np.where(~same & (ious >= IOU), sure * fits * unlike, 0.0)
    if other.max(initial=0.0) > 0:
        said.append(_dispute("class", other.max() * (1 - agreed), image, column, int(other.argmax()), detections))
    touching = np.where(same & (ious >= _TOUCH), sure * ious, 0.0)
    if touching.max(initial=0.0) > 0:
        row = int(touching.argmax())
        said.append(_dispute("outline", sure[row] * (1 - fits[row]), image, column, row, detections))
    touched = [usual.relative(detections[mine[row]]) for row in np.flatnonzero(ious >= _TOUCH)]
    seen = max(touched, default=0.0)
    said.append(_dispute("unseen", usual.found[category] * (1 - seen), image, column, None, detections))
    return sorted((item for item in said if item.suspicion > 0), key=lambda item: -item.suspicion)[:1]


def _dispute(
    kind: Kind,
    suspicion: float,
    image: Overlaps,
    column: int,
    row: int | None,
    detections: Sequence[Mapping[str, Any]],
) -> Dispute:
    place = image.truths[column]
    if row is None:
        return Dispute(kind, float(suspicion), image.image_id, place, None)
    score, iou = float(detections[image.found[row]]["score"]), float(image.ious[row, column])
    return Dispute(kind, float(suspicion), image.image_id, place, image.found[row], score, iou)


def _missed(image: Overlaps, detections: Sequence[Mapping[str, Any]], usual: Usual) -> Iterable[Dispute]:
    """What is seen where nothing is annotated; of several masks of one object the surest."""
    sure, nearest = usual.precision[list(image.found)], image.ious.max(axis=1, initial=0.0)
    alone = np.flatnonzero((nearest <= _APART) & (sure > 0))
    kept: list[Mapping[str, Any]] = []
    for row in alone[np.argsort(-sure[alone], kind="stable")].tolist():
        place = image.found[row]
        if kept and pairwise_ious([detections[place]], kept).max() >= IOU:
            continue
        kept.append({**detections[place], "iscrowd": 0})
        suspicion, score = float(sure[row] * (1 - nearest[row])), float(detections[place]["score"])
        yield Dispute("missed", suspicion, image.image_id, None, place, score, float(nearest[row]))


def _in_turn(found: Sequence[Dispute]) -> list[Dispute]:
    """The first of each kind, the second of each, ..."""
    ranked: list[tuple[int, float, Dispute]] = []
    for kind in KINDS:
        mine = sorted((item for item in found if item.kind == kind), key=lambda item: -item.suspicion)
        ranked += [(rank, -item.suspicion, item) for rank, item in enumerate(mine)]
    return [item for _, _, item in sorted(ranked, key=lambda entry: entry[:2])]
