"""The figures of counting, as values."""

from dataclasses import dataclass

IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(9))
"""IoUs at which objects are counted: 0.50, 0.55 .. 0.90."""


@dataclass(frozen=True)
class CountFigures:
    """How well objects are counted and drawn; -1 where there is nothing to divide by.

    Args:
        images: how many images.
        objects: annotated in them, crowds not counted.
        found: detections, those on crowds not counted.
        precision: at each of `IOUS` the part of the detections that are right, 0..1.
        recall: the part of the objects that are found.
        f1: 2 TP / (2 TP + FP + FN).
        tp_of_tp_fp_fn: TP / (TP + FP + FN).
        panoptic_quality: sum of the IoUs of what is right at IoU 0.50, divided by TP + FP / 2 + FN / 2.
        dsb_ap: TP / (TP + FP + FN), mean over IoU 0.50:0.05:0.95, then over images; an image without objects in which
            nothing is found counts 1.
        count_error: sum over images of |found - objects|, divided by all objects.
        count_ratio: found / objects: above 1 where too many are found.
        area_bias: median over what is right at IoU 0.50 of found area / annotated area - 1.
    """

    images: int
    objects: int
    found: int
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    tp_of_tp_fp_fn: tuple[float, ...]
    panoptic_quality: float
    dsb_ap: float
    count_error: float
    count_ratio: float
    area_bias: float


@dataclass(frozen=True)
class ImageCount:
    """The figures of one image, `image_id` in the annotation file."""

    image_id: int
    file_name: str
    figures: CountFigures


@dataclass(frozen=True)
class Counts:
    """Figures of what is shown at a score.

    Args:
        score: lowest score of a detection that counts.
        ious: `IOUS`.
        pooled: over all images.
        per_image: in the order of the annotation file.
        per_group: of groups of images, by the group's name.
    """

    score: float
    ious: tuple[float, ...]
    pooled: CountFigures
    per_image: tuple[ImageCount, ...]
    per_group: dict[str, CountFigures]
