"""One-to-one assignment of slots to targets (paper, section 3.4, equations 2 and 3)."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sparseinst.ops.guidance import Activation, activation_cells, activation_shares
from sparseinst.ops.losses import pairwise_dice
from sparseinst.structures import Predictions, Targets


class Assignment(NamedTuple):
    """K matched pairs of a batch, ordered by image and slot; all int64 on the device of the predictions."""

    image: Tensor
    """(K,) image within the batch."""
    slot: Tensor
    """(K,) slot of that image."""
    target: Tensor
    """(K,) target, counted through the batch's targets one after the other."""

    def by_image(self, targets: Sequence[Targets], slots: int) -> tuple[list[Tensor], list[Tensor]]:
        """For each image its matched slots and their targets, counted within the image.

        Args:
            targets: those that were matched.
            slots: N, the number of slots of an image.
        """
        counts = list(map(len, targets))
        pairs = [min(count, slots) for count in counts]  # known without asking the device
        first = [0, *accumulate(counts)]
        own = [part - start for part, start in zip(self.target.split(pairs), first, strict=False)]
        return list(self.slot.split(pairs)), own


class Pairs(NamedTuple):
    """All N slots of an image beside all its T targets, in float32 and without gradient."""

    score: Tensor
    """(N, T) matching scores in 0..1."""
    dice: Tensor
    """(N, T) dice scores in 0..1, which the matching scores are made of."""


class Matcher:
    """Maximises dice^a x probability^b x share^c over one-to-one assignments, image by image.

    Args:
        dice: exponent a of the dice score (0.8 as published).
        probability: exponent b of the target class's probability (0.2 as published).
        share: exponent c of the share of the slot's activation that lies on the target (0 as published).
        activation: how the network normalises its activation maps; only the share depends on it.
    """

    def __init__(
        self, *, dice: float, probability: float, share: float = 0.0, activation: Activation = "sigmoid"
    ) -> None:
        self.dice, self.probability, self.share, self.activation = dice, probability, share, activation

    def __call__(self, predictions: Predictions, targets: Sequence[Targets]) -> Assignment:
        """Matches every image's slots with its own targets; targets beyond N slots stay unmatched."""
        return self.assign(self.compare(predictions, targets))

    @torch.no_grad()
    def compare(self, predictions: Predictions, targets: Sequence[Targets]) -> list[Pairs]:
        """Compares every image's slots with its own targets."""
        # (N, P), the same for every image: between what stays of one image, malloc often finds no room for the next's.
        work = predictions.masks.new_empty(predictions.masks.shape[1:], dtype=torch.float32).flatten(1)
        pairs = [
            self._image(logits, masks, target, work)
            for logits, masks, target in zip(predictions.logits, predictions.masks, targets, strict=True)
        ]
        if not self.share:
            return pairs
        shares = self._shares(predictions, targets)
        return [Pairs(pair.score * share.pow(self.share), pair.dice) for pair, share in zip(pairs, shares, strict=True)]

    def assign(self, pairs: Sequence[Pairs]) -> Assignment:
        """The best assignment of each image, by what `compare` has given."""
        from scipy.optimize import linear_sum_assignment  # half a second to import, which prediction need not wait for

        shapes, device = [pair.score.shape for pair in pairs], pairs[0].score.device
        on_host = torch.cat([pair.score.flatten() for pair in pairs]).cpu().numpy()  # the only copy to the host
        image, slot, target, start, first = [], [], [], 0, 0
        for i, (slots, count) in enumerate(shapes):
            matrix = on_host[start : start + slots * count].reshape(slots, count)
            # A score that is not a number would stop the solver; the loss reports it with its images instead.
            rows, columns = linear_sum_assignment(np.nan_to_num(matrix), maximize=True)
            image.append(np.full(len(rows), i))
            slot.append(rows)
            target.append(columns + first)
            start, first = start + slots * count, first + count
        return Assignment(*(_to_device(part, device) for part in (image, slot, target)))

    def _image(self, logits: Tensor, masks: Tensor, target: Targets, work: Tensor) -> Pairs:
        """Of one image, for (N, C) logits and (N, h, w) mask logits; `work` (N, h*w) is overwritten."""
        if not len(target):
            return Pairs(none := logits.new_zeros(len(logits), 0, dtype=torch.float32), none)
        dice = pairwise_dice(work.copy_(masks.flatten(1)).sigmoid_(), target.masks.float().flatten(1))
        probability = logits.float().sigmoid()[:, target.labels]
        return Pairs(dice.pow(self.dice) * probability.pow(self.probability), dice)

    def _shares(self, predictions: Predictions, targets: Sequence[Targets]) -> Iterator[Tensor]:
        """For each image the (N, T) shares of its slots' activation that lie on its targets, in 0..1."""
        slots = predictions.logits.shape[1]
        for activation, target in zip(predictions.activation, targets, strict=True):
            maps = activation.flatten(1).unflatten(0, (-1, slots)).transpose(0, 1)  # (N, G, h/2 * w/2)
            yield activation_shares(maps, activation_cells(target.masks).T, kind=self.activation)


def _to_device(parts: Sequence[np.ndarray], device: torch.device) -> Tensor:
    joined = np.concatenate([np.zeros(0), *parts]).astype(np.int64)
    return torch.from_numpy(joined).to(device, non_blocking=True)
