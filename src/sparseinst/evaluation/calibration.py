"""What scores are worth: whether they are the probability of being right, and which threshold to show masks from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparseinst.evaluation.matching import Matches

_BINS = 10
_THRESHOLDS = np.arange(100) / 100


@dataclass(frozen=True)
class ScoreBin:
    """The detections with a score in low..high.

    Args:
        low: lowest score.
        high: above the highest one (the last bin holds 1, too).
        detections: their number.
        score: their mean score; None where there is no detection, as is the precision.
        precision: the part of them that took an instance at IoU 0.5.
    """

    low: float
    high: float
    detections: int
    score: float | None
    precision: float | None


@dataclass(frozen=True)
class Calibration:
    """Scores against precision.

    Args:
        bins: in equal steps over 0..1.
        error: expected calibration error, 0..1: the gap between mean score and precision, weighted by detections
            (Guo et al. 2017); None without a detection.
        error_shown: the same of the detections at or above the default score.
    """

    bins: tuple[ScoreBin, ...]
    error: float | None
    error_shown: float | None


@dataclass(frozen=True)
class Thresholds:
    """What is found from each score threshold on, all classes together, at IoU 0.5.

    Args:
        scores: 0.00, 0.01 .. 0.99.
        precision: the part of the detections that are right, 0..1; None where there is none.
        recall: the part of the instances that are found, 0..1; 0 where there is none.
        f1: their harmonic mean.
        best: the threshold of the highest F1; of equals in a row the middle one, far from what would change it.
    """

    scores: tuple[float, ...]
    precision: tuple[float | None, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    best: float


def calibrate(matches: Matches, *, shown: float) -> Calibration:
    """Calibration of a matching by class.

    Args:
        matches: of all scores.
        shown: the default score.
    """
    keep = matches.scores >= shown
    bins = score_bins(matches.scores, matches.right)
    return Calibration(bins, _error(bins), _error(score_bins(matches.scores[keep], matches.right[keep])))


def score_bins(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[ScoreBin, ...]:
    """Detections sorted into bins by (d,) scores, (d,) whether they are right."""
    place = np.clip((scores * _BINS).astype(int), 0, _BINS - 1)
    found = []
    for i in range(_BINS):
        mine = place == i
        count = int(mine.sum())
        means = (float(scores[mine].mean()), float(right[mine].mean())) if count else (None, None)
        found.append(ScoreBin(i / _BINS, (i + 1) / _BINS, count, *means))
    return tuple(found)


def _error(bins: tuple[ScoreBin, ...]) -> float | None:
    total = sum(item.detections for item in bins)
    if not total:
        return None
    return sum(
        item.detections / total * abs(item.score - item.precision)
        for item in bins
        if item.score is not None and item.precision is not None
    )


def thresholds(matches: Matches) -> Thresholds:
    """Precision, recall and F1 of a matching by class at score thresholds 0.00 .. 0.99."""
    shown, right = (_from_threshold(scores) for scores in (matches.scores, matches.scores[matches.right]))
    instances = len(matches.found_at)
    recall = right / max(instances, 1)
    f1 = 2 * right / np.maximum(shown + instances, 1)
    return Thresholds(
        scores=tuple(_THRESHOLDS.tolist()),
        precision=tuple(int(hits) / int(count) if count else None for hits, count in zip(right, shown, strict=True)),
        recall=tuple(recall.tolist()),
        f1=tuple(f1.tolist()),
        best=float(_THRESHOLDS[_middle_of_highest(f1)]),
    )


def _middle_of_highest(values: NDArray[np.float64]) -> int:
    """The middle of the first row of highest values.

    Example:
        >>> _middle_of_highest(np.array([1.0, 3.0, 3.0, 3.0, 2.0, 3.0]))
        2
    """
    first = int(values.argmax())
    lower = np.flatnonzero(values[first:] < values[first])
    length = int(lower[0]) if len(lower) else len(values) - first
    return first + (length - 1) // 2


def _from_threshold(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many scores are at or above each threshold."""
    return len(scores) - np.searchsorted(np.sort(scores), _THRESHOLDS, side="left")
