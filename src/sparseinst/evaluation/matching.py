"""Which detection took which annotated instance, by COCO's rule: best score first, each its best free one.

A detection is matched before all of lower score, so what it took is the same at every score threshold: one matching
answers for all of them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

IOU = 0.5
FALSE = -1
"""Of a detection that took no instance."""
MISSED = -1.0
"""Of an instance that no detection took."""

_Record = Mapping[str, Any]


@dataclass(frozen=True, eq=False)  # arrays have no truth value to compare by
class Matches:
    """All detections that count and all annotated instances; crowds and what lies on them are left out.

    Args:
        images: number of images.
        records: (d,) each detection's place in the results list.
        image_of: (d,) its image's place in the annotation file.
        labels: (d,) its class.
        scores: (d,) 0..1.
        taken: (d,) the instance that it took, or `FALSE`.
        truth_records: (t,) each instance's place among the annotations.
        truth_image_of: (t,) its image's place.
        truth_labels: (t,) its class.
        found_at: (t,) score of the detection that took it, or `MISSED`.
    """

    images: int
    records: NDArray[np.int64]
    image_of: NDArray[np.int64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    taken: NDArray[np.int64]
    truth_records: NDArray[np.int64]
    truth_image_of: NDArray[np.int64]
    truth_labels: NDArray[np.int64]
    found_at: NDArray[np.float64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """(d,) whether a detection took an instance."""
        return np.not_equal(self.taken, FALSE)


class Overlaps(NamedTuple):
    """What lies on what in one image: d detections that count, best first, and t annotations."""

    image: Mapping[str, Any]
    """Its record."""
    found: NDArray[np.int64]
    """(d,) places in the results list."""
    truths: NDArray[np.int64]
    """(t,) places among the annotations."""
    ious: NDArray[np.float64]
    """(d, t) IoUs, 0 between classes that may not meet; with a crowd, the part of the detection that lies on it."""
    crowd: NDArray[np.bool_]
    """(t,) whether an annotation is a crowd."""


def overlaps(
    truth: Mapping[str, Any],
    detections: Sequence[_Record],
    *,
    max_dets: int,
    by_class: bool = True,
    min_score: float = 0.0,
) -> Iterator[Overlaps]:
    """Of each image in turn what lies on what; the arguments are those of `match`."""
    label_of = _label_of(truth)
    truth_labels, labels = _labels(truth["annotations"], label_of), _labels(detections, label_of)
    crowd = np.array([bool(item["iscrowd"]) for item in truth["annotations"]], bool)
    scores = np.array([item["score"] for item in detections], np.float64)
    truths_in, found_in = by_image(truth["annotations"]), by_image(detections)
    for image in truth["images"]:
        mine = _best_first(found_in[image["id"]], scores, labels, max_dets, min_score)
        theirs = np.array(truths_in[image["id"]], np.int64)
        ious = np.zeros((len(mine), len(theirs)))
        if len(mine) and len(theirs):
            ious = pairwise_ious([detections[i] for i in mine], [truth["annotations"][i] for i in theirs])
        if by_class:
            ious[labels[mine][:, None] != truth_labels[theirs]] = 0
        yield Overlaps(image, mine, theirs, ious, crowd[theirs])


def match(
    truth: Mapping[str, Any],
    detections: Sequence[_Record],
    *,
    max_dets: int,
    by_class: bool = True,
    min_score: float = 0.0,
) -> Matches:
    """Matches detections with annotations.

    Args:
        truth: COCO annotations, as `inputs.ground_truth` gives them.
        detections: COCO results of these images.
        max_dets: highest-scored detections of a class in an image that count.
        by_class: only instances of the detection's class may be taken; otherwise those of any class.
        min_score: detections below it do not count.
    """
    label_of = _label_of(truth)
    truth_labels = _labels(truth["annotations"], label_of)
    crowd = np.array([bool(item["iscrowd"]) for item in truth["annotations"]], bool)
    labels = _labels(detections, label_of)
    scores = np.array([item["score"] for item in detections], np.float64)
    taken = np.full(len(detections), FALSE)
    counts = np.zeros(len(detections), bool)
    for one in overlaps(truth, detections, max_dets=max_dets, by_class=by_class, min_score=min_score):
        places, on_crowd = take(one)
        counts[one.found[~on_crowd]] = True
        right = places != FALSE
        taken[one.found[right]] = one.truths[places[right]]
    return _matches(truth, detections, labels, scores, taken, counts, truth_labels, crowd)


def _matches(
    truth: Mapping[str, Any],
    detections: Sequence[_Record],
    labels: NDArray[np.int64],
    scores: NDArray[np.float64],
    taken: NDArray[np.int64],
    counts: NDArray[np.bool_],
    truth_labels: NDArray[np.int64],
    crowd: NDArray[np.bool_],
) -> Matches:
    row_of = {image["id"]: row for row, image in enumerate(truth["images"])}
    records, regular = np.flatnonzero(counts), np.flatnonzero(~crowd)
    number = np.cumsum(~crowd) - 1
    of_regular = np.where(taken[records] == FALSE, FALSE, number[taken[records]] if len(number) else FALSE)
    found_at = np.full(len(regular), MISSED)
    hit = of_regular != FALSE
    found_at[of_regular[hit]] = scores[records[hit]]
    return Matches(
        images=len(row_of),
        records=records,
        image_of=np.array([row_of[detections[i]["image_id"]] for i in records.tolist()], np.int64),
        labels=labels[records],
        scores=scores[records],
        taken=of_regular,
        truth_records=regular,
        truth_image_of=np.array([row_of[truth["annotations"][i]["image_id"]] for i in regular], np.int64),
        truth_labels=truth_labels[regular],
        found_at=found_at,
    )


def _label_of(truth: Mapping[str, Any]) -> dict[int, int]:
    return {key: label for label, key in enumerate(sorted(item["id"] for item in truth["categories"]))}


def _labels(records: Iterable[_Record], label_of: Mapping[int, int]) -> NDArray[np.int64]:
    return np.array([label_of[item["category_id"]] for item in records], np.int64)


def by_image(records: Iterable[_Record]) -> defaultdict[int, list[int]]:
    """The places of each image's records, by image id."""
    places: defaultdict[int, list[int]] = defaultdict(list)
    for place, item in enumerate(records):
        places[item["image_id"]].append(place)
    return places


def _best_first(
    places: Sequence[int],
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    max_dets: int,
    min_score: float,
) -> NDArray[np.int64]:
    """An image's detections by falling score, no more than `max_dets` of a class."""
    order = np.array([place for place in places if scores[place] >= min_score], np.int64)
    order = order[np.argsort(-scores[order], kind="stable")]
    rank = np.zeros(len(order), np.int64)
    for label in np.unique(labels[order]):
        of_class = labels[order] == label
        rank[of_class] = np.arange(np.count_nonzero(of_class))
    return order[rank < max_dets]


def pairwise_ious(found: Sequence[_Record], truth: Sequence[_Record]) -> NDArray[np.float64]:
    """(d, t) IoUs; with a crowd, the part of the detection that lies on it."""
    masks = ([item["segmentation"] for item in records] for records in (found, truth))
    return np.array(coco_mask.iou(*masks, [item["iscrowd"] for item in truth]), np.float64)


def take(overlaps: Overlaps, *, iou: float = IOU) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """What each detection of an image takes, in their order.

    Args:
        overlaps: of the image.
        iou: least IoU.

    Returns:
        (d,) the place among the image's own annotations, or `FALSE`; and (d,) whether it lies on a crowd instead.
    """
    ious, crowd = overlaps.ious, overlaps.crowd
    taken = np.full(len(ious), FALSE)
    free = ~crowd
    reach = ious >= iou
    for d in np.flatnonzero((reach & free).any(axis=1)):
        open_to = np.where(reach[d] & free, ious[d], -1.0)
        best = len(open_to) - 1 - int(open_to[::-1].argmax())  # among equals COCO takes the last
        if open_to[best] > 0:
            taken[d], free[best] = best, False
    return taken, (taken == FALSE) & (reach & crowd).any(axis=1)
