"""The figures of COCO's evaluation, as values that print and serialise themselves."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.evaluation.count_figures import Counts

NOTHING = -1.0
"""What COCO's evaluation gives as a figure where the images hold no instance that counts."""

_AREAS = ("all", "small", "medium", "large")
"""Areas in the order of COCO's parameters: all, below 32², up to 96², above (pixels of the original image)."""


@dataclass(frozen=True)
class Figures:
    """Mask AP and AR over all classes, 0..1; -1 where the images hold no instance that counts.

    Args:
        max_dets: highest-scored detections of a class in an image that count.
        ap: mean over IoU 0.50:0.05:0.95.
        ap50: at IoU 0.50.
        ap75: at IoU 0.75.
        ap_small: of instances below 32² pixels.
        ap_medium: of instances of 32² to 96² pixels.
        ap_large: of instances above 96² pixels.
        ar: recall, mean over the IoUs.
    """

    max_dets: int
    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar: float

    def table(self) -> list[tuple[str, str]]:
        """Rows of (name, value) as printed: values with four decimals, - where there is none."""
        names = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR")
        values = (self.ap, self.ap50, self.ap75, self.ap_small, self.ap_medium, self.ap_large, self.ar)
        return [(name, shown(value)) for name, value in zip(names, values, strict=True)]


@dataclass(frozen=True)
class ClassFigures:
    """AP of one class, -1 where the images hold no instance of it."""

    name: str
    instances: int
    ap: float
    ap50: float


@dataclass(frozen=True)
class Evaluation(Figures):
    """What an evaluation found: the figures at `max_dets`, and what lies behind them.

    Args:
        images: number of images.
        instances: annotated instances in them, crowds not counted.
        detections: detections in them, all of them.
        most_instances: most instances of one class in one image, which is what `max_dets` limits.
        best_f1: highest F1 at IoU 0.50 that any score threshold gives, all detections of all classes in one list; -1
            where there is no instance.
        best_score: that threshold (see `calibration.Thresholds`), a good default for showing predictions; -1
            where the images hold no instance.
        covering: the same figures at a cap that covers every image, if `most_instances` is above `max_dets`.
        per_class: in the order of the file's category ids.
        per_group: figures of groups of images at `max_dets`, by the group's name.
        twins: share (0..1) of the detections at the model's default score that have another of them in their image, of
            whatever class, at a mask IoU above 0.50; -1 without detections, or where no model was at hand.
        pieces: share of the same that are in several pieces (8-connected); -1 where none is.
        counts: what is shown at the model's default score, right, wrong or missed, by image; None where no model was
            at hand.
    """

    images: int
    instances: int
    detections: int
    most_instances: int
    best_f1: float
    best_score: float
    covering: Figures | None
    per_class: tuple[ClassFigures, ...]
    per_group: dict[str, Figures]
    twins: float = NOTHING
    pieces: float = NOTHING
    counts: Counts | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values; figures that do not exist are null."""
        content: dict[str, Any] = nulled(asdict(self))
        return content


def shown(figure: float) -> str:
    """A figure as text, - where there is none.

    Example:
        >>> shown(0.25), shown(-1.0)
        ('0.2500', '-')
    """
    return "-" if figure == NOTHING else f"{figure:.4f}"


def figures(precision: NDArray[np.float64], recall: NDArray[np.float64], *, cap: int, max_dets: int) -> dict[str, Any]:
    """The arguments of `Figures` from COCO's arrays.

    Args:
        precision: (IoUs, recalls, classes, areas, caps), -1 where nothing counts.
        recall: (IoUs, classes, areas, caps), -1 where nothing counts.
        cap: index of the cap among the caps.
        max_dets: its value.
    """
    at = precision[..., cap]
    small, medium, large = (mean(at[..., _AREAS.index(area)]) for area in _AREAS[1:])
    return {
        "max_dets": max_dets, "ap": mean(at[..., 0]), "ap50": mean(at[0, :, :, 0]), "ap75": mean(at[5, :, :, 0]),
        "ap_small": small, "ap_medium": medium, "ap_large": large, "ar": mean(recall[:, :, 0, cap]),
    }  # fmt: skip


def mean(values: NDArray[np.float64]) -> float:
    """Mean of the values that count (above -1); -1 if there is none."""
    counted = values[values > NOTHING]
    return float(counted.mean()) if counted.size else NOTHING


def nulled(value: Any) -> Any:
    """A value for JSON, with null for every figure that does not exist."""
    if isinstance(value, dict):
        return {key: nulled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [nulled(item) for item in value]
    return None if isinstance(value, float) and value == NOTHING else value
