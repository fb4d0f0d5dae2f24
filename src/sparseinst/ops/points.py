"""Losses of masks from a sample of their pixels."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sparseinst.ops.losses import DICE_EPSILON, MaskLosses, binary_iou_, pair_chunks

OVERSAMPLE, IMPORTANT = 3, 0.75
"""Candidates of each point, and the share of points that are the least sure of them (Kirillov et al., 2020)."""


def point_losses(
    masks: Tensor, targets: Sequence[Tensor], slots: Sequence[Tensor], matched: Sequence[Tensor], *, points: int
) -> MaskLosses:
    """What `mask_losses` gives, from some pixels of each pair.

    The pixels are drawn with replacement by torch's global generator: most where the mask is least sure, the rest
    anywhere (PointRend, Kirillov et al., 2020). The entropy is scaled to the whole mask. The IoU is not sampled: it is
    a target, which a choice of unsure pixels would make too low, and without gradient it leaves nothing in memory.

    Args:
        masks: (B, N, h, w) mask logits of any floating type.
        targets: B times (T, h, w) soft target masks in 0..1.
        slots: B times (k,) int64 matched slots of an image.
        matched: B times (k,) int64 target of each of these slots, counted within its image.
        points: pixels of each pair; useful where the grid has many times as many.
    """
    with torch.no_grad():
        pixels = [_sample(own, chosen, points=points) for own, chosen in zip(masks, slots, strict=True)]
        wanted = [
            target.flatten(1)[theirs[:, None], places]
            for target, theirs, places in zip(targets, matched, pixels, strict=True)
        ]
        chunks = pair_chunks(masks, [*targets, *slots, *matched])
        iou = [binary_iou_(chunk.logits.sigmoid_(), chunk.wanted) for chunk in chunks]
        total = masks.shape[2:].numel()
        which = torch.cat([i * masks.shape[1] + chosen for i, chosen in enumerate(slots)])  # (K,) mask in the batch
        places = which[:, None] * total + torch.cat(pixels)  # (K, points) in the flattened batch
    kind = torch.promote_types(masks.dtype, torch.float32)
    x = masks.flatten().gather(0, places.flatten()).view_as(places).to(kind)  # (K, points)
    t, p = torch.cat(wanted).to(kind), x.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(x, t, reduction="none").mean(1) * total
    overlap = 2 * torch.linalg.vecdot(p, t)
    dice = 1 - overlap / (torch.linalg.vecdot(p, p) + torch.linalg.vecdot(t, t) + DICE_EPSILON)
    return MaskLosses(entropy, dice, torch.cat([entropy.new_zeros(0), *iou]))


def _sample(masks: Tensor, slots: Tensor, *, points: int) -> Tensor:
    """(k, points) pixels of the chosen ones of (N, h, w) mask logits, counted along the flattened grid."""
    total, important = masks.shape[1:].numel(), int(IMPORTANT * points)
    places = torch.randint(total, (len(slots), OVERSAMPLE * points), device=masks.device)
    sureness = masks.flatten(1)[slots[:, None], places].abs()
    unsure = places.gather(1, sureness.topk(important, largest=False, sorted=False).indices)
    anywhere = torch.randint(total, (len(slots), points - important), device=masks.device)
    return torch.cat([unsure, anywhere], dim=1)
