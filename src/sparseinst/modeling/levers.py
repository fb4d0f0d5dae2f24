"""Losses beyond the paper, each of which a weight above 0 in `LossConfig` switches on."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sparseinst.modeling.matcher import Assignment, Pairs
from sparseinst.ops.guidance import Activation, activation_cells, guidance_losses
from sparseinst.ops.outlines import outline_losses
from sparseinst.recipe import LossConfig
from sparseinst.structures import Predictions, Targets


class Matched(NamedTuple):
    """A batch whose slots are matched with its targets: what losses are computed from."""

    predictions: Predictions
    """Of B images; class logits and objectness in float32."""
    targets: Sequence[Targets]
    pairs: Sequence[Pairs]
    """What the assignment was found by, of each image."""
    assignment: Assignment
    num_instances: Tensor
    """What losses are divided by."""
    iteration: int | None
    """Iterations done before; None where every loss is to have its full weight."""
    activation: Activation

    @property
    def by_image(self) -> tuple[list[Tensor], list[Tensor]]:
        """For each image its matched slots and their targets, counted within the image."""
        return self.assignment.by_image(self.targets, self.predictions.logits.shape[1])

    @property
    def labels(self) -> Tensor:
        """(K,) class of the target of each pair."""
        return torch.cat([target.labels for target in self.targets])[self.assignment.target]


def guidance(matched: Matched, config: LossConfig) -> Tensor:
    """The activation of a matched slot should lie on its target; rises to its weight over the warm-up."""
    activation, slots = matched.predictions.activation, matched.predictions.logits.shape[1]
    maps = activation.flatten(2).unflatten(1, (activation.shape[1] // slots, slots))  # (B, G, N, h/2 * w/2)
    pairs = zip(matched.targets, matched.by_image[1], strict=True)
    cells = torch.cat([activation_cells(target.masks[chosen]) for target, chosen in pairs])
    own = maps[matched.assignment.image, :, matched.assignment.slot]  # (K, G, h/2 * w/2)
    done, warmup = matched.iteration, config.guidance_warmup
    rise = 1.0 if done is None or done >= warmup else done / warmup
    return rise * guidance_losses(own, cells, kind=matched.activation).sum() / matched.num_instances


def duplicate(matched: Matched, _: LossConfig) -> Tensor:
    """An unmatched slot should not be sure of the target that it overlaps most, in the measure of its dice with it.

    All targets are taken where a slot is unmatched. Cross-entropy, whose gradient is the probability p itself: that of
    the focal loss falls with its cube and leaves duplicates that are half sure alone.
    """
    logits = matched.predictions.logits
    overlap = logits.new_zeros(logits.shape[:2])  # (B, N)
    label = torch.zeros_like(overlap, dtype=torch.int64)
    for i, (pairs, target) in enumerate(zip(matched.pairs, matched.targets, strict=True)):
        if len(target):
            overlap[i], nearest = pairs.dice.max(1)
            label[i] = target.labels[nearest]
    overlap[matched.assignment.image, matched.assignment.slot] = 0
    said = logits.gather(2, label[:, :, None])[:, :, 0]
    return (overlap * F.softplus(said)).sum() / matched.num_instances


def boundary(matched: Matched, _: LossConfig) -> Tensor:
    """The mask of a matched slot should be right along the outline of its target."""
    losses = outline_losses(matched.predictions.masks, [target.masks for target in matched.targets], *matched.by_image)
    return losses.sum() / matched.num_instances


LEVERS: dict[str, Callable[[Matched, LossConfig], Tensor]] = {
    "guidance": guidance,
    "duplicate": duplicate,
    "boundary": boundary,
}
"""The losses, without their weights, by the name of their weight; in the order of the log."""


def switched_on(config: LossConfig) -> tuple[str, ...]:
    """Names of those whose weight is above 0."""
    return tuple(name for name in LEVERS if getattr(config, name) > 0)
