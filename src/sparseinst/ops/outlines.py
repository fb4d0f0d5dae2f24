"""The band along the outline of a mask, and what a predicted mask gets wrong there."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sparseinst.ops.losses import pair_chunks


def outlines(masks: Tensor) -> Tensor:
    """Where each mask changes: the largest minus the smallest value of the 3x3 pixels around a pixel.

    Both sides of the outline belong to it; the border of the grid is no outline.

    Args:
        masks: (T, h, w) floating, 0..1.

    Returns:
        (T, h, w) in 0..1.
    """
    return _highest(masks) + _highest(-masks)


def _highest(masks: Tensor) -> Tensor:
    """Of the 3x3 pixels around each; as max pooling, which takes four times as long on a CPU."""
    padded = F.pad(masks, (1, 1, 1, 1), value=-torch.inf)
    rows = torch.maximum(padded[:, :-2], padded[:, 1:-1]).maximum(padded[:, 2:])
    return torch.maximum(rows[:, :, :-2], rows[:, :, 1:-1]).maximum(rows[:, :, 2:])


def outline_losses(
    masks: Tensor, targets: Sequence[Tensor], slots: Sequence[Tensor], matched: Sequence[Tensor]
) -> Tensor:
    """Binary cross-entropy of matched slots, mean over the band along the outline of their target.

    As lean as `mask_losses`, whose arguments these are: a few masks at a time, the gradient in closed form, once.

    Returns:
        (K,) losses in the order of the pairs; 0 for a target without an outline.
    """
    losses: Tensor = _OutlineLosses.apply(masks, *targets, *slots, *matched)
    return losses


def _band(wanted: Tensor, size_hw: Sequence[int]) -> Tensor:
    """(k, P) weights of the pixels that sum to 1, or 0 without an outline, for (k, P) target masks."""
    band = outlines(wanted.unflatten(1, size_hw)).flatten(1)
    return band / band.sum(1, keepdim=True).clamp(min=1e-6)


class _OutlineLosses(torch.autograd.Function):
    """Cross-entropy of sigmoid(logit) = p against t has the gradient p - t."""

    @staticmethod
    def forward(ctx: Any, masks: Tensor, *pairs: Tensor) -> Tensor:
        count = sum(map(len, pairs[len(masks) : 2 * len(masks)]))
        losses = masks.new_zeros(count, dtype=torch.promote_types(masks.dtype, torch.float32))
        for chunk in pair_chunks(masks, pairs):
            entropy = F.binary_cross_entropy_with_logits(chunk.logits, chunk.wanted, reduction="none")
            losses[chunk.pairs] = torch.linalg.vecdot(entropy, _band(chunk.wanted, masks.shape[2:]))
        ctx.save_for_backward(masks, *pairs)
        return losses

    @staticmethod
    def backward(ctx: Any, d_losses: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("outline_losses expected one derivative, got create_graph=True: no second is defined")
        masks, *pairs = ctx.saved_tensors
        gradient = torch.zeros_like(masks, memory_format=torch.contiguous_format)
        for chunk in pair_chunks(masks, pairs):
            band = _band(chunk.wanted, masks.shape[2:]).mul_(d_losses[chunk.pairs, None])
            d_x = chunk.logits.sigmoid_().sub_(chunk.wanted).mul_(band)
            gradient[chunk.image].index_copy_(0, chunk.slots, d_x.to(masks.dtype).unflatten(1, masks.shape[2:]))
        return gradient, *(None for _ in pairs)
