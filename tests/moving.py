"""A made-up sequence of moving discs whose true ids are known, and how well ids agree with them."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from sparseinst import Instances
from sparseinst.masks import rle

SIZE_HW = (160, 240)


class Moment(NamedTuple):
    """One frame: what is seen of each object, what a network would find of it, and which object each find is of."""

    truth: Instances
    truth_ids: NDArray[np.int64]
    found: Instances


def instances(masks: NDArray[np.bool_], scores: Sequence[float], labels: Sequence[int] | None = None) -> Instances:
    numbers = np.arange(len(masks))
    kinds = np.zeros(len(masks), np.int64) if labels is None else np.array(labels, np.int64)
    return Instances(np.array(scores, np.float32), kinds, rle.encode(masks), numbers, masks.shape[1:])


def disc(x: float, y: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def sequence(*, seed: int = 0, objects: int = 10, frames: int = 60, noise: bool = False) -> list[Moment]:
    """Discs on straight paths that cross and hide each other, some entering or leaving late.

    With noise 5 % of what is seen is missed, 5 % of the finds are of nothing, outlines and scores shake.
    """
    random = np.random.default_rng(seed)
    height, width = SIZE_HW
    radius = random.uniform(7, 14, objects)
    start = np.stack([random.uniform(0, width, objects), random.uniform(0, height, objects)], 1)
    speed = random.uniform(-2.5, 2.5, (objects, 2))
    first = np.where(np.arange(objects) < objects // 2, 0, random.integers(0, max(1, frames // 2), objects))
    moments = []
    for time in range(frames):
        owners = np.full(SIZE_HW, -1)
        for k in range(objects):  # later ones lie on top
            if time >= first[k]:
                owners[disc(*(start[k] + speed[k] * (time - first[k])), radius[k])] = k
        seen = [k for k in range(objects) if (owners == k).sum() > 40]
        masks = np.array([owners == k for k in seen]).reshape(-1, *SIZE_HW)
        truth = instances(masks, [1] * len(seen))
        moments.append(Moment(truth, np.array(seen, np.int64) + 1, _shaken(masks, random) if noise else truth))
    return moments


def _shaken(masks: NDArray[np.bool_], random: np.random.Generator) -> Instances:
    kept = [mask for mask in masks if random.random() > 0.05]
    moved = [np.roll(mask, tuple(random.integers(-1, 2, 2)), (0, 1)) for mask in kept]
    scores = random.uniform(0.35, 0.95, len(moved)).tolist()
    while random.random() < 0.05 * max(1, len(moved)):
        moved.append(disc(random.uniform(0, SIZE_HW[1]), random.uniform(0, SIZE_HW[0]), 8))
        scores.append(random.uniform(0.3, 0.6))
        if len(moved) > len(masks) + 3:
            break
    order = random.permutation(len(moved))
    return instances(np.array(moved).reshape(-1, *SIZE_HW)[order], np.array(scores)[order].tolist())


def idf1(moments: Sequence[Moment], ids: Sequence[NDArray[np.int64]]) -> float:
    """Identity F1 (Ristani et al. 2016) of the best pairing of true and given ids; a match has an IoU >= 0.5."""
    pairs: Counter[tuple[int, int]] = Counter()
    true = given = 0
    for moment, numbers in zip(moments, ids, strict=True):
        kept = numbers > 0
        true, given = true + len(moment.truth_ids), given + int(kept.sum())
        ours, theirs = moment.found.masks[kept], moment.truth.masks
        shared = np.einsum("ahw,bhw->ab", ours.astype(np.float32), theirs.astype(np.float32))
        union = ours.sum((1, 2))[:, None] + theirs.sum((1, 2)) - shared
        for row, column in np.argwhere(shared >= 0.5 * union):
            pairs[int(numbers[kept][row]), int(moment.truth_ids[column])] += 1
    rows, columns = ({pair[axis]: i for i, pair in enumerate(pairs)} for axis in (0, 1))
    table = np.zeros((len(pairs), len(pairs)))
    for (one, other), count in pairs.items():
        table[rows[one], columns[other]] = count
    matched = table[linear_sum_assignment(table, maximize=True)].sum()
    return float(2 * matched / max(true + given, 1))
