"""Precision-recall curves, as COCO's evaluation integrates them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparseinst.evaluation.figures import NOTHING, ClassFigures

_IOU_50, _IOU_75 = 0, 5
"""Their places among COCO's IoUs."""


@dataclass(frozen=True)
class Curve:
    """Precision of one class (or the mean of all) at recalls 0.00, 0.01 .. 1.00; the mean of a curve is its AP.

    Args:
        name: of the class; empty for the mean over classes.
        instances: annotated ones, crowds not counted.
        at_50: 101 precisions at IoU 0.50, each the highest at that recall or beyond.
        at_75: at IoU 0.75.
        mean: mean over IoU 0.50:0.05:0.95.
    """

    name: str
    instances: int
    at_50: tuple[float, ...]
    at_75: tuple[float, ...]
    mean: tuple[float, ...]


def curves(precision: NDArray[np.float64], classes: Sequence[ClassFigures]) -> tuple[Curve, ...]:
    """The mean over classes first, then each class that has instances; none if no class has.

    Args:
        precision: (IoUs, recalls, classes) of COCO's evaluation, -1 for a class without instances.
        classes: C of them, in that order.
    """
    counted = [label for label in range(len(classes)) if (precision[:, :, label] > NOTHING).all()]
    if not counted:
        return ()
    total = sum(item.instances for item in classes)
    of_classes = (_curve(classes[label].name, classes[label].instances, precision[:, :, label]) for label in counted)
    return (_curve("", total, precision[:, :, counted].mean(axis=2)), *of_classes)


def _curve(name: str, instances: int, precision: NDArray[np.float64]) -> Curve:
    rows = (precision[_IOU_50], precision[_IOU_75], precision.mean(axis=0))
    return Curve(name, instances, *(tuple(row.round(5).tolist()) for row in rows))
