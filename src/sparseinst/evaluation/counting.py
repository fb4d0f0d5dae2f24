"""Figures as people who count cells give them: what is shown at one score, right, wrong or missed, image by image.

Detections are matched as everywhere here (`matching`), once for each IoU. F1 and TP / (TP + FP + FN) at several IoUs
are what StarDist and Cellpose report ("average precision" there), panoptic quality is that of Kirillov et al. (CVPR
2019), and the mean over IoU 0.50 to 0.95, image by image, is how the Data Science Bowl 2018 was scored.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

from sparseinst.evaluation.count_figures import IOUS, CountFigures, Counts, ImageCount
from sparseinst.evaluation.figures import NOTHING, shown
from sparseinst.evaluation.matching import FALSE, Overlaps, overlaps, take

_DSB_IOUS = (*IOUS, 0.95)


class _Tally(NamedTuple):
    """What is counted in one image."""

    objects: int
    found: tuple[int, ...]
    """At each of `_DSB_IOUS`: what lies on a crowd is another matter at another IoU."""
    right: tuple[int, ...]
    ious: NDArray[np.float64]
    """Of what is right at the lowest IoU."""
    ratios: NDArray[np.float64]
    """Found area / annotated area of the same."""


def count_objects(
    truth: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    *,
    score: float,
    max_dets: int,
    groups: Mapping[int, str] | None = None,
) -> Counts:
    """Counts what is shown at a score.

    Args:
        truth: COCO annotations, as `inputs.ground_truth` gives them.
        detections: COCO results of these images.
        score: lowest score that is shown.
        max_dets: highest-scored detections of a class in an image that count.
        groups: image id -> name of a group.
    """
    tallies = {
        one.image["id"]: _tally(one, truth, detections)
        for one in overlaps(truth, detections, max_dets=max_dets, min_score=score)
    }
    groups = groups or {}
    return Counts(
        score=score,
        ious=IOUS,
        pooled=_figures(tallies.values()),
        per_image=tuple(
            ImageCount(image["id"], image["file_name"], _figures([tallies[image["id"]]])) for image in truth["images"]
        ),
        per_group={
            name: _figures(tallies[key] for key, group in groups.items() if group == name)
            for name in sorted(set(groups.values()))
        },
    )


def table_of(figures: CountFigures) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows of a table: a row for every second of `IOUS`."""
    rows = [
        (f"{IOUS[i]:.2f}", *(shown(values[i]) for values in
         (figures.precision, figures.recall, figures.f1, figures.tp_of_tp_fp_fn)))
        for i in range(0, len(IOUS), 2)
    ]  # fmt: skip
    return ("IoU", "precision", "recall", "F1", "TP / (TP + FP + FN)"), rows


def summary_of(figures: CountFigures) -> str:
    """The other figures in words."""
    bias = "-" if figures.area_bias == NOTHING else f"{figures.area_bias:+.1%}"
    error = "-" if figures.count_error == NOTHING else f"{figures.count_error:.1%}"
    return (
        f"Panoptic quality {shown(figures.panoptic_quality)}, mean AP of DSB 2018 {shown(figures.dsb_ap)}; "
        f"{figures.found} found of {figures.objects}, counts of images off by {error} of all objects, areas by {bias} "
        "(median)."
    )


def _tally(one: Overlaps, truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]]) -> _Tally:
    matched = [take(one, iou=iou) for iou in _DSB_IOUS]
    lowest = matched[0][0]
    right = np.flatnonzero(lowest != FALSE)
    areas = (
        _areas(records[i] for i in places.tolist())
        for records, places in ((detections, one.found[right]), (truth["annotations"], one.truths[lowest[right]]))
    )
    return _Tally(
        objects=int((~one.crowd).sum()),
        found=tuple(int((~on_crowd).sum()) for _, on_crowd in matched),
        right=tuple(int((taken != FALSE).sum()) for taken, _ in matched),
        ious=one.ious[right, lowest[right]],
        ratios=np.divide(*areas),
    )


def _areas(records: Iterable[Mapping[str, Any]]) -> NDArray[np.float64]:
    return np.array([float(coco_mask.area(item["segmentation"])) for item in records], np.float64)


def _figures(tallies: Iterable[_Tally]) -> CountFigures:
    members = list(tallies)
    objects = sum(one.objects for one in members)
    found = np.array([one.found for one in members], float).reshape(-1, len(_DSB_IOUS)).sum(0)
    right = np.array([one.right for one in members], float).reshape(-1, len(_DSB_IOUS)).sum(0)
    ious, ratios = (
        np.concatenate([np.zeros(0), *parts])
        for parts in ([one.ious for one in members], [one.ratios for one in members])
    )
    here = slice(len(IOUS))
    error = sum(abs(one.found[0] - one.objects) for one in members)
    return CountFigures(
        images=len(members),
        objects=objects,
        found=int(found[0]),
        precision=_shares(right, found)[here],
        recall=_shares(right, np.full(len(right), float(objects)))[here],
        f1=_shares(2 * right, found + objects)[here],
        tp_of_tp_fp_fn=_shares(right, found + objects - right)[here],
        panoptic_quality=_share(float(ious.sum()), (found[0] + objects) / 2),
        dsb_ap=float(np.mean([_dsb(one) for one in members])) if members else NOTHING,
        count_error=_share(error, objects),
        count_ratio=_share(found[0], objects),
        area_bias=float(np.median(ratios)) - 1 if len(ratios) else NOTHING,
    )


def _dsb(one: _Tally) -> float:
    """TP / (TP + FP + FN) of one image, mean over the IoUs."""
    unions = [found + one.objects - right for found, right in zip(one.found, one.right, strict=True)]
    return float(np.mean([right / union if union else 1.0 for right, union in zip(one.right, unions, strict=True)]))


def _shares(parts: NDArray[np.float64], wholes: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(_share(part, whole) for part, whole in zip(parts.tolist(), wholes.tolist(), strict=True))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else NOTHING
