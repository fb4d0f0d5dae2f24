"""What is usual for a network on a data set, measured on the annotations that it judges: most of them are right."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.evaluation.matching import IOU

_BIN = 25
"""Detections of a class, by falling score, that share one precision."""
_FEW = 3
"""Annotations of a class that must be found before it is known what is usual for it."""
_PRIOR = 1.0
"""Confusions of each two classes that are counted before any was seen."""

_Reals = NDArray[np.float64]
_Record = Mapping[str, Any]


@dataclass(frozen=True)
class Overlaps:
    """One image: places of its annotations and detections, and (d, t) their IoUs."""

    image_id: int
    truths: Sequence[int]
    found: Sequence[int]
    ious: _Reals


@dataclass(frozen=True)
class Usual:
    """What is usual.

    Args:
        precision: (d,) part of the detections of about this class and score that lie on an annotation of their class.
        iou: of each class, the median IoU of what finds its annotations; absent where hardly any is found.
        score: the median score of the same.
        found: of each class, the part of its annotations that are found.
        confused: of (annotated, seen) classes, how often the one is seen as the other, 0..1 of the one.
    """

    precision: _Reals
    iou: Mapping[int, float]
    score: Mapping[int, float]
    found: Mapping[int, float]
    confused: Mapping[tuple[int, int], float]

    def relative(self, detection: _Record) -> float:
        """How sure the network is, 0..1, where 1 is as sure as it usually is when it is right about this class."""
        score = self.score.get(detection["category_id"])
        return 0.0 if score is None else min(1.0, float(detection["score"]) / score)

    def mistaken(self, annotated: int, seen: int) -> float:
        """How likely it is, 0..1, that the annotation is wrong where the network sees another class.

        High where it is rare to see the one as the other; a half where it is as common as to see `seen` as itself.
        """
        right, wrong = self.confused.get((seen, seen), 0.0), self.confused.get((annotated, seen), 0.0)
        return right / (right + wrong) if right > 0 else 0.0


def learn_usual(annotations: Sequence[_Record], detections: Sequence[_Record], images: Sequence[Overlaps]) -> Usual:
    """Measures it on all images."""
    right = np.zeros(len(detections), bool)
    ious: dict[int, list[float]] = defaultdict(list)
    found_at: dict[int, list[float]] = defaultdict(list)
    total: dict[int, int] = defaultdict(int)
    pairs: dict[tuple[int, int], float] = defaultdict(float)
    for image in images:
        classes = np.array([detections[i]["category_id"] for i in image.found], np.int64)
        scores = np.array([detections[i]["score"] for i in image.found])
        for column, place in enumerate(image.truths):
            category = annotations[place]["category_id"]
            total[category] += 1
            near = np.flatnonzero(image.ious[:, column] >= IOU)
            same = near[classes[near] == category]
            right[[image.found[row] for row in same]] = True
            if len(same):
                ious[category].append(float(image.ious[same[scores[same].argmax()], column]))
                found_at[category].append(float(scores[same].max()))
            if len(near):
                pairs[category, int(classes[near[scores[near].argmax()]])] += 1
    return Usual(
        precision=_precision(detections, right),
        iou={key: float(np.median(values)) for key, values in ious.items() if len(values) >= _FEW},
        score={key: float(np.median(values)) for key, values in found_at.items() if len(values) >= _FEW},
        found={key: len(ious[key]) / number for key, number in total.items()},
        confused=_shares(pairs, list(total)),
    )


def _shares(pairs: Mapping[tuple[int, int], float], classes: Sequence[int]) -> dict[tuple[int, int], float]:
    sums = {key: sum(pairs.get((key, other), 0.0) for other in classes) for key in classes}
    return {
        (one, other): (pairs.get((one, other), 0.0) + _PRIOR * (one != other)) / (sums[one] + _PRIOR * len(classes))
        for one in classes
        for other in classes
    }


def _precision(detections: Sequence[_Record], right: NDArray[np.bool_]) -> _Reals:
    """Of each detection, by class in bins of as many of about its score, never rising as scores fall."""
    precision = np.zeros(len(detections))
    labels = np.array([item["category_id"] for item in detections], np.int64)
    scores = np.array([item["score"] for item in detections])
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        order = mine[np.argsort(-scores[mine], kind="stable")]
        shares = [right[order[begin : begin + _BIN]].mean() for begin in range(0, len(order), _BIN)]
        precision[order] = np.repeat(np.minimum.accumulate(shares), _BIN)[: len(order)]
    return precision
