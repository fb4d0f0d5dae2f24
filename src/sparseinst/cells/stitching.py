"""Masks of adjacent planes as objects of a stack: those that overlap most are the same object."""

from collections.abc import Sequence

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from sparseinst.errors import InputError
from sparseinst.structures import Instances

LEAST_IOU = 0.25
"""Masks of adjacent planes that overlap less are of different objects."""


def stitch(planes: Sequence[Instances], *, least_iou: float = LEAST_IOU) -> list[NDArray[np.int64]]:
    """Numbers of objects through a stack: each mask that continues one of the plane before has its number.

    Masks of two planes are paired so that the sum of their IoUs is greatest, pairs below `least_iou` are taken apart.
    A mask goes on in one mask at most. What is missing in one plane begins anew in the next.

    Args:
        planes: instances of each plane, in order, of one size.
        least_iou: 0..1.

    Returns:
        For each plane (n,) numbers from 1.

    Raises:
        InputError: the IoU is outside 0..1.
    """
    if not 0 <= least_iou <= 1:
        raise InputError(f"stitch: expected an IoU in 0..1, got {least_iou}: give the overlap of masks of one object")
    numbers: list[NDArray[np.int64]] = []
    count = 0
    for plane, instances in enumerate(planes):
        own = np.zeros(len(instances), np.int64)
        if plane and len(instances) and len(planes[plane - 1]):
            ious = _ious(planes[plane - 1], instances)
            ious[planes[plane - 1].labels[:, None] != instances.labels] = 0
            before, here = linear_sum_assignment(-ious)
            same = (ious[before, here] >= least_iou) & (ious[before, here] > 0)
            own[here[same]] = numbers[-1][before[same]]
        fresh = np.flatnonzero(own == 0)
        own[fresh] = count + 1 + np.arange(len(fresh))
        count += len(fresh)
        numbers.append(own)
    return numbers


def _ious(one: Instances, other: Instances) -> NDArray[np.float64]:
    records = (
        [{"size": list(part.size_hw), "counts": counts} for counts in part.rles] for part in (one, other)
    )  # fmt: skip
    return np.array(coco_mask.iou(*records, [0] * len(other)), np.float64).reshape(len(one), len(other))
