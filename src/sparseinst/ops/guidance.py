"""How much of an activation map lies on an instance."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Activation = Literal["sigmoid", "softmax"]
"""How a network normalises its activation maps."""
MASS_EPSILON, SHARE_EPSILON = 1e-6, 1e-6


def activation_shares(activation: Tensor, cells: Tensor, *, kind: Activation) -> Tensor:
    """The share of each slot's weight over cells, as the decoder gathers features by it, that lies on each target.

    The mean over the slot's groups, each of which gathers a part of equal mass: a group may look beside the instance
    at the price of its part, and groups may divide the instance among themselves.

    Args:
        activation: (..., G, P) logits of the G maps of a slot over P cells, of any floating type.
        cells: (..., P, T) targets in 0..1.
        kind: "sigmoid" (divided by its sum) or "softmax"; the bias that a softmax network adds cancels.

    Returns:
        (..., T) in 0..1, in float32 (float64 for float64 logits).
    """
    activation = activation.to(torch.promote_types(activation.dtype, torch.float32))
    cells = cells.to(activation.dtype)
    if kind == "softmax":
        return (activation.softmax(-1) @ cells).mean(-2)
    probability = activation.sigmoid()
    return (probability @ cells / probability.sum(-1, keepdim=True).clamp(min=MASS_EPSILON)).mean(-2)


def activation_cells(masks: Tensor) -> Tensor:
    """Target masks (T, h, w) on the grid of the activation maps: (T, h/2 * w/2), the mean of 2x2 pixels."""
    return F.avg_pool2d(masks[:, None], 2).flatten(1)


def guidance_losses(activation: Tensor, cells: Tensor, *, kind: Activation) -> Tensor:
    """-log of the share of each slot's weight that lies on its target, so that weight on the background costs.

    A target smaller than a cell cannot hold a whole share: its loss ends above 0, with the weight on its best cell.

    Args:
        activation: (K, G, P) logits of the maps of each slot.
        cells: (K, P) target of each, in 0..1.
        kind: as in `activation_shares`.

    Returns:
        (K,) losses; 0 for a target without any cell, which nothing can lie on.
    """
    share = activation_shares(activation, cells[:, :, None], kind=kind)[:, 0]
    return torch.where(cells.any(1), -(share + SHARE_EPSILON).log(), 0.0)
