"""What AP hardly feels and pictures show: objects found twice, and masks in several pieces."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from faster_coco_eval.core import mask as coco_mask

from sparseinst.evaluation.figures import NOTHING
from sparseinst.evaluation.matching import by_image
from sparseinst.masks.pieces import in_pieces

TWIN_IOU = 0.5
"""Two masks that overlap by more are of the same object, most likely."""


class Oddities(NamedTuple):
    """Shares of the detections from a score on, 0..1; -1 where there is none."""

    twins: float
    """Those with another such detection in the image, of whatever class, at an IoU above `TWIN_IOU`."""
    pieces: float
    """Those whose mask is in several pieces; what meets at a corner is one."""


def oddities(detections: Sequence[Mapping[str, Any]], *, score: float) -> Oddities:
    """Counts twins and masks in pieces.

    Args:
        detections: COCO results, as `inputs.detections` gives them.
        score: only detections of at least this score count.
    """
    shown = [item for item in detections if item["score"] >= score]
    twins = pieces = 0
    for places in by_image(shown).values():
        masks = [shown[place]["segmentation"] for place in places]
        ious = np.array(coco_mask.iou(masks, masks, [0] * len(masks)))
        np.fill_diagonal(ious, 0)
        twins += int(np.count_nonzero((ious > TWIN_IOU).any(axis=1)))
        pieces += int(np.count_nonzero(in_pieces([mask["counts"].encode() for mask in masks], masks[0]["size"])))
    return Oddities(twins / len(shown), pieces / len(shown)) if shown else Oddities(NOTHING, NOTHING)
