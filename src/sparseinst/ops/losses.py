"""Scores and losses between mask logits and target masks, in float32 (float64 for float64 logits).

K counts matched pairs, P pixels of the mask grid.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

DICE_EPSILON = 1e-4
IOU_EPSILON = 1e-6
FOUND = 0.4
"""Mask probability from which a pixel counts as found when a mask's IoU is taken, as published."""

_CHUNK, _CPU_CHUNK = 2**24, 2**19
"""Pixels worked on at a time: on a CPU few enough for its cache, elsewhere enough to fill the device."""


class Focus(NamedTuple):
    """Where the cross-entropy of K masks counts: weight far + rows * columns at a pixel."""

    far: float
    """Weight of every pixel."""
    rows: Tensor
    """(K, h) further weight by row ..."""
    columns: Tensor
    """(K, w) ... times that by column."""


class MaskLosses(NamedTuple):
    """What K pairs of a slot and a target give, in the order of the pairs."""

    entropy: Tensor
    """(K,) binary cross-entropy summed over the pixels, by their weights where there is a focus."""
    dice: Tensor
    """(K,) 1 - dice."""
    iou: Tensor
    """(K,) in 0..1, of the prediction binarised at probability 0.4 and the target at 0.5; without gradient."""


def pairwise_dice(masks: Tensor, targets: Tensor) -> Tensor:
    """Dice score of every slot with every target (of the paper's assignment).

    Args:
        masks: (N, P) mask probabilities.
        targets: (T, P) soft target masks in 0..1.

    Returns:
        (N, T) scores in 0..1.
    """
    overlap = 2 * (masks @ targets.T)  # (N, T)
    # Norms, because `vecdot` would make a copy of the masks' size.
    own, theirs = (torch.linalg.vector_norm(part, dim=1).square() for part in (masks, targets))
    squares = own[:, None] + theirs  # (N, T)
    scores: Tensor = overlap / (squares + DICE_EPSILON)
    return scores


def focal_loss(logits: Tensor, targets: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Sigmoid focal loss (Lin et al., 2017) summed over all elements; logits and 0/1 targets of one shape."""
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    probability = logits.sigmoid()
    wrongness = probability * (1 - targets) + (1 - probability) * targets
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return (weight * wrongness.pow(gamma) * entropy).sum()


def centre_focal_loss(logits: Tensor, centres: Tensor, near: Tensor) -> Tensor:
    """Focal loss of centres (Law and Deng, CornerNet, 2018) summed over all elements.

    Args:
        logits: of any shape.
        centres: of the same shape, 1 where an object is to be announced, elsewhere 0.
        near: of the same shape, in 0..1: how close an element is to a centre; elements beside one cost less.
    """
    probability = logits.sigmoid()
    found = centres * (1 - probability).square() * F.logsigmoid(logits)
    quiet = (1 - centres) * (1 - near).pow(4) * probability.square() * F.logsigmoid(-logits)
    return -(found + quiet).sum()


def mask_losses(
    masks: Tensor,
    targets: Sequence[Tensor],
    slots: Sequence[Tensor],
    matched: Sequence[Tensor],
    *,
    focus: Focus | None = None,
) -> MaskLosses:
    """Losses of matched slots, without a copy of all their masks.

    Works through a few masks at a time, keeps three numbers of each pair, and computes the probabilities anew for the
    gradient, so that this is the only thing of the masks' size that is ever made. It can be differentiated once.

    Args:
        masks: (B, N, h, w) mask logits of any floating type, which is also their gradient's.
        targets: B times (T, h, w) soft target masks in 0..1 of any floating type.
        slots: B times (k,) int64 matched slots of an image, none twice.
        matched: B times (k,) int64 target of each of these slots, counted within its image.
        focus: where the cross-entropy counts; None is everywhere alike.
    """
    return MaskLosses(*_MaskLosses.apply(masks, focus, *targets, *slots, *matched))


def binary_iou_(masks: Tensor, targets: Tensor) -> Tensor:
    """IoU of (K, P) mask probabilities binarised at 0.4 and (K, P) targets at 0.5, (K,); both are overwritten."""
    found, wanted = masks.ge_(FOUND), targets.gt_(0.5)
    areas = found.sum(1) + wanted.sum(1)
    intersection = found.mul_(wanted).sum(1)
    return intersection / (areas - intersection + IOU_EPSILON)


class PairChunk(NamedTuple):
    """Some of an image's pairs."""

    image: int
    pairs: slice
    """Where they stand among the K pairs."""
    slots: Tensor
    """(k,) slot of each."""
    logits: Tensor
    """(k, P) mask logits, a copy."""
    wanted: Tensor
    """(k, P) target masks, a copy."""


def pair_chunks(masks: Tensor, pairs: Sequence[Tensor]) -> Iterator[PairChunk]:
    """Goes through the pairs of `mask_losses` a few at a time, in float32 (float64 for float64 logits).

    Args:
        masks: (B, N, h, w) mask logits.
        pairs: targets, slots and matched of the B images, one after the other.
    """
    images, kind = len(masks), torch.promote_types(masks.dtype, torch.float32)
    size = max(1, (_CPU_CHUNK if masks.device.type == "cpu" else _CHUNK) // max(1, masks.shape[2:].numel()))
    first = 0
    for i in range(images):
        targets, slots, matched = pairs[i::images]
        for own, theirs in zip(slots.split(size), matched.split(size), strict=True):
            if len(own):
                logits = masks[i].index_select(0, own).flatten(1).to(kind)
                wanted = targets.index_select(0, theirs).flatten(1).to(kind)
                yield PairChunk(i, slice(first, first + len(own)), own, logits, wanted)
                first += len(own)


class _MaskLosses(torch.autograd.Function):
    """The losses and their gradient in closed form: p = sigmoid(logit) has dp = p (1 - p), cross-entropy p - t."""

    @staticmethod
    def forward(ctx: Any, masks: Tensor, focus: Focus | None, *pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count = sum(map(len, pairs[len(masks) : 2 * len(masks)]))
        kind = torch.promote_types(masks.dtype, torch.float32)
        entropy, overlap, squares, iou = (masks.new_zeros(count, dtype=kind) for _ in range(4))
        for chunk in pair_chunks(masks, pairs):
            at, x, t = chunk.pairs, chunk.logits, chunk.wanted
            p = x.sigmoid()
            product = p * t
            overlap[at] = product.sum(1)
            squares[at] = torch.mul(p, p, out=product).sum(1) + torch.mul(t, t, out=product).sum(1) + DICE_EPSILON
            # max(x, 0) - x t is exactly 0 where the mask is surely right, so that the small rest is not lost beside x.
            surely = torch.clamp(x, min=0, out=product).addcmul_(x, t, value=-1)
            unsure = F.logsigmoid(x.abs_())
            if focus is not None:
                weight = _weights(focus, at)
                surely, unsure = surely.mul_(weight), unsure.mul_(weight)
            entropy[at] = surely.sum(1) - unsure.sum(1)
            iou[at] = binary_iou_(p, t)
        ctx.save_for_backward(masks, overlap, squares, *pairs)
        ctx.focus = focus
        ctx.mark_non_differentiable(iou)
        return entropy, 1 - 2 * overlap / squares, iou

    @staticmethod
    def backward(ctx: Any, d_entropy: Tensor, d_dice: Tensor, d_iou: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("mask_losses expected one derivative, got create_graph=True: its second is not defined")
        masks, overlap, squares, *pairs = ctx.saved_tensors
        by_p = (4 * d_dice * overlap / squares.square())[:, None]  # d loss / d p = by_p * p + by_t * t
        by_t = (-2 * d_dice / squares)[:, None]
        gradient = torch.empty_like(masks, memory_format=torch.contiguous_format)
        for own, slots in zip(gradient, pairs[len(masks) :], strict=False):
            if len(slots) < len(own):
                own.zero_()
        for chunk in pair_chunks(masks, pairs):
            p, t = chunk.logits.sigmoid_(), chunk.wanted
            d_x = (by_p[chunk.pairs] * p).addcmul_(by_t[chunk.pairs], t)
            d_x.mul_(torch.addcmul(p, p, p, value=-1))
            d_entropies = d_entropy[chunk.pairs, None]
            if ctx.focus is not None:
                d_entropies = d_entropies * _weights(ctx.focus, chunk.pairs)
            d_x.addcmul_(p.sub_(t), d_entropies)
            gradient[chunk.image].index_copy_(0, chunk.slots, d_x.to(masks.dtype).unflatten(1, masks.shape[2:]))
        return gradient, None, *(None for _ in pairs)


def _weights(focus: Focus, pairs: slice) -> Tensor:
    """(k, h*w) weights of the pixels of some pairs."""
    return (focus.far + focus.rows[pairs, :, None] * focus.columns[pairs, None, :]).flatten(1)
