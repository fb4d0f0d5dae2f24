"""How alike a known object and a detection are: the overlap of their masks, or how near and how large they are."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sparseinst.masks.runs import decode_runs
from sparseinst.structures import Instances

_REACH = 1.5
"""Without any overlap, objects can be one up to this many of their diameters apart ..."""
_SIZES = 2.5
"""... and if the areas differ by no more than this factor."""


class Outline(NamedTuple):
    """The mask of one instance within its box."""

    mask: NDArray[np.bool_]
    """(height, width) of the box."""
    corner: NDArray[np.float64]
    """(2,) x, y of the box in the image."""
    area: float
    label: int

    middle: NDArray[np.float64]
    """(2,) x, y in the box, with as many pixels of the mask left of it as right, and above it as below.

    Not the mean, which a stray piece at the other end of the picture would carry away.
    """

    @classmethod
    def of(cls, instances: Instances) -> list[Self]:
        """The outlines of all instances."""
        runs, boxes, found = decode_runs(instances.rles), instances.boxes.astype(int), []
        for index, (area, label) in enumerate(zip(instances.areas, instances.labels, strict=True)):
            x0, y0, x1, y1 = boxes[index].tolist()
            mask = runs.dense(index, instances.size_hw[0], (slice(y0, y1), slice(x0, x1)))
            middle = np.array([_median(mask.sum(0)), _median(mask.sum(1))])
            found.append(cls(mask, np.array([x0, y0], float), float(area), int(label), middle))
        return found

    @property
    def centre(self) -> NDArray[np.float64]:
        """(2,) x, y of the middle in the image."""
        return self.corner + self.middle

    @property
    def diameter(self) -> float:
        """Of the disc of the same area, in pixels."""
        return float(np.sqrt(4 * self.area / np.pi))


def overlaps(expected: list[Outline], found: list[Outline]) -> NDArray[np.float64]:
    """(expected, found) intersection over union of the masks, in 0..1; 0 where the classes differ."""
    result = np.zeros((len(expected), len(found)))
    if not result.size:
        return result
    ours, theirs = _boxes(expected), _boxes(found)
    meet = (np.maximum(ours[:, None, :2], theirs[:, :2]) < np.minimum(ours[:, None, 2:], theirs[:, 2:])).all(2)
    for i, j in np.argwhere(meet & _same_label(expected, found)):
        shared = _shared(expected[i], found[j])
        result[i, j] = shared / (expected[i].area + found[j].area - shared)
    return result


def nearness(expected: list[Outline], found: list[Outline]) -> NDArray[np.float64]:
    """(expected, found) 1 at the same place, falling to 0 where they are too far apart, too unlike or of two classes.

    For objects that move further than they are large, as cells do from one picture of a time-lapse to the next.
    """
    result = np.zeros((len(expected), len(found)))
    if not result.size:
        return result
    ours, theirs = (np.array([item.centre for item in items]) for items in (expected, found))
    apart = np.linalg.norm(ours[:, None] - theirs, axis=2)
    diameter = np.array([item.diameter for item in expected])[:, None]
    area, other = (np.array([item.area for item in items]) for items in (expected, found))
    ratio = np.maximum(area[:, None], other) / np.minimum(area[:, None], other).clip(min=1)
    alike = (ratio <= _SIZES) & _same_label(expected, found)
    result = np.where(alike, 1 - apart / (_REACH * diameter), 0).clip(min=0)
    return result


def _median(counts: NDArray[np.int64]) -> float:
    """Where half of what is counted lies on either side, with cell i from i to i + 1."""
    if not counts.any():
        return 0.0
    total = np.cumsum(counts)
    half = float(total[-1]) / 2
    cell = int(np.searchsorted(total, half))
    return cell + 1 - (float(total[cell]) - half) / float(counts[cell])


def _boxes(items: list[Outline]) -> NDArray[np.float64]:
    corners = np.array([item.corner for item in items])
    sizes = np.array([item.mask.shape[::-1] for item in items])
    return np.concatenate([corners, corners + sizes], axis=1)


def _same_label(expected: list[Outline], found: list[Outline]) -> NDArray[np.bool_]:
    labels, others = (np.array([item.label for item in items]) for items in (expected, found))
    same: NDArray[np.bool_] = labels[:, None] == others
    return same


def _shared(one: Outline, other: Outline) -> int:
    """Pixels that both masks cover, each moved to a whole pixel."""
    x, y = np.rint(one.corner - other.corner).astype(int)
    height, width = one.mask.shape
    rows, columns = other.mask.shape
    top, left = max(0, -y), max(0, -x)
    bottom, right = min(height, rows - y), min(width, columns - x)
    if top >= bottom or left >= right:
        return 0
    both = one.mask[top:bottom, left:right] & other.mask[top + y : bottom + y, left + x : right + x]
    return int(np.count_nonzero(both))
