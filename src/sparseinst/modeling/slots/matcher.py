"""The paper's one-to-one assignment of slots to targets, by class and dice score."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sparseinst.batch import Targets
from sparseinst.ops.losses import pairwise_dice
from sparseinst.predictions import Predictions


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


class Matcher:
    """Maximises dice^a x probability^b over one-to-one assignments, image by image.

    Args:
        dice: exponent a of the dice score (0.8 as published).
        probability: exponent b of the target class's probability (0.2 as published).
    """

    def __init__(self, *, dice: float, probability: float) -> None:
        self.dice, self.probability = dice, probability

    def __call__(self, predictions: Predictions, targets: Sequence[Targets]) -> Assignment:
        """Matches every image's slots with its own targets; targets beyond N slots stay unmatched."""
        from scipy.optimize import linear_sum_assignment  # half a second to import, which prediction need not wait for

        scores = self.scores(predictions, targets)
        shapes, device = [score.shape for score in scores], scores[0].device
        on_host = torch.cat([score.flatten() for score in scores]).cpu().numpy()  # the only copy to the host
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

    @torch.no_grad()
    def scores(self, predictions: Predictions, targets: Sequence[Targets]) -> list[Tensor]:
        """For each image its (N, T) matching scores in 0..1, in float32 and without gradient."""
        # (N, P), the same for every image: between what stays of one image, malloc often finds no room for the next's.
        work = predictions.masks.new_empty(predictions.masks.shape[1:], dtype=torch.float32).flatten(1)
        return [
            self._image(logits, masks, target, work)
            for logits, masks, target in zip(predictions.logits, predictions.masks, targets, strict=True)
        ]

    def _image(self, logits: Tensor, masks: Tensor, target: Targets, work: Tensor) -> Tensor:
        """Of one image, for (N, C) logits and (N, h, w) mask logits; `work` (N, h*w) is overwritten."""
        if not len(target):
            return logits.new_zeros(len(logits), 0, dtype=torch.float32)
        dice = pairwise_dice(work.copy_(masks.flatten(1)).sigmoid_(), target.masks.float().flatten(1))
        probability = logits.float().sigmoid()[:, target.labels]
        return dice.pow(self.dice) * probability.pow(self.probability)


def _to_device(parts: Sequence[np.ndarray], device: torch.device) -> Tensor:
    joined = np.concatenate([np.zeros(0), *parts]).astype(np.int64)
    return torch.from_numpy(joined).to(device, non_blocking=True)
