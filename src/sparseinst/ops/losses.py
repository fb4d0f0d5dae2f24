"""Scores and losses between mask logits and target masks, in float32.

K counts matched pairs, P pixels of the mask grid.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

DICE_EPSILON = 1e-4
IOU_EPSILON = 1e-6


def pairwise_dice(masks: Tensor, targets: Tensor) -> Tensor:
    """Dice score of every slot with every target (paper, equation 3).

    Args:
        masks: (N, P) mask probabilities.
        targets: (T, P) soft target masks in 0..1.

    Returns:
        (N, T) scores in 0..1.
    """
    overlap = 2 * masks @ targets.T  # (N, T)
    squares = masks.square().sum(1)[:, None] + targets.square().sum(1)[None]  # (N, T)
    return overlap / (squares + DICE_EPSILON)


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """1 - dice of each matched pair, (K,), for (K, P) mask logits and soft target masks."""
    masks = logits.sigmoid()
    overlap = 2 * (masks * targets).sum(1)
    squares = masks.square().sum(1) + targets.square().sum(1)
    return 1 - overlap / (squares + DICE_EPSILON)


def focal_loss(logits: Tensor, targets: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Sigmoid focal loss (Lin et al., 2017) summed over all elements; logits and 0/1 targets of one shape."""
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    probability = logits.sigmoid()
    wrongness = probability * (1 - targets) + (1 - probability) * targets
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return (weight * wrongness.pow(gamma) * entropy).sum()


@torch.no_grad()
def mask_iou(logits: Tensor, targets: Tensor, *, threshold: float = 0.4) -> Tensor:
    """IoU of each matched pair, (K,): prediction binarised at probability 0.4 and target at 0.5, as published."""
    found = logits.sigmoid() >= threshold
    wanted = targets > 0.5
    intersection = (found & wanted).sum(1).float()
    union = (found | wanted).sum(1).float()
    return intersection / (union + IOU_EPSILON)
