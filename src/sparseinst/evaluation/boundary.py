"""Boundary AP: how well the outlines fit, not only the areas (Cheng et al., "Boundary IoU", CVPR 2021)."""

import math
from typing import Any

import cv2
import numpy as np
from faster_coco_eval import COCOeval_faster
from numpy.typing import NDArray

from sparseinst.masks import rle
from sparseinst.masks.runs import decode_runs

DILATION = 0.02
"""Width of the boundary as a part of the image's diagonal, as published."""

_LOWEST_IOU = 0.5
"""COCO's lowest IoU: below it a pair matches nowhere, whatever its boundary."""


class BoundaryEvaluator(COCOeval_faster):  # type: ignore[misc]
    """COCO's evaluation by the lower of mask IoU and boundary IoU.

    The library's own ("boundary") computes the boundary of every mask over the whole image; here only those of pairs
    that may match are, and within their boxes. The figures are equal.
    """

    def computeIoU(self, imgId: int, catId: int) -> Any:
        """IoU of each detection with each annotation of a class in an image, as the library orders them."""
        ious = super().computeIoU(imgId, catId)
        if len(ious) == 0:
            return ious
        truth = self.gt_dataset.get_instances([imgId], [catId], True)[0][0]
        found = self.dt_dataset.get_instances([imgId], [catId], True)[0][0]
        order = np.argsort([-item["score"] for item in found], kind="stable")
        regular = np.array([not item["iscrowd"] for item in truth])
        for d, t in np.argwhere((ious >= _LOWEST_IOU) & regular):
            one, other = found[order[d]]["segmentation"], truth[t]["segmentation"]
            pair = (str(one["counts"]).encode("ascii"), str(other["counts"]).encode("ascii"))
            ious[d, t] = min(ious[d, t], boundary_iou(pair, (one["size"][0], one["size"][1])))
        return ious


def boundary_iou(pair: tuple[bytes, bytes], size_hw: tuple[int, int]) -> float:
    """IoU of the boundaries of two encoded masks, 0..1: of their pixels near their edges and the image's.

    Args:
        pair: compressed run-length encodings over the image, each of at least one pixel.
        size_hw: height and width of the image.
    """
    boxes = rle.boxes_xyxy(pair, size_hw).astype(int)
    (x0, y0), (x1, y1) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    runs = decode_runs(pair)
    window = slice(y0, y1), slice(x0, x1)
    width_px = max(1, round(DILATION * math.hypot(*size_hw)))
    one, other = (_boundary(runs.dense(i, size_hw[0], window), width_px) for i in range(2))
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 0.0


def _boundary(mask: NDArray[np.bool_], width_px: int) -> NDArray[np.bool_]:
    """The mask's pixels within `width_px` of its outside; what lies beyond the window is outside."""
    side = 2 * width_px + 1
    padded = np.pad(mask.astype(np.uint8), 1)
    inner = cv2.erode(padded, np.ones((side, side), np.uint8))[1:-1, 1:-1]
    return np.asarray(mask & (inner == 0), np.bool_)
