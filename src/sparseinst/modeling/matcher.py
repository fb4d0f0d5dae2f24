"""One-to-one assignment of slots to targets (paper, section 3.4, equations 2 and 3)."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

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


class Matcher:
    """Maximises dice^a x probability^b over one-to-one assignments, image by image.

    Args:
        dice: exponent a of the dice score (0.8 as published).
        probability: exponent b of the target class's probability (0.2 as published).
    """

    def __init__(self, *, dice: float, probability: float) -> None:
        self.dice, self.probability = dice, probability

    @torch.no_grad()
    def __call__(self, predictions: Predictions, targets: Sequence[Targets]) -> Assignment:
        """Matches every image's slots with its own targets; targets beyond N slots stay unmatched."""
        from scipy.optimize import linear_sum_assignment  # half a second to import, which prediction need not wait for

        device = predictions.logits.device
        scores = [
            self.score(logits, masks, target).flatten()
            for logits, masks, target in zip(predictions.logits, predictions.masks, targets, strict=True)
            if len(target)
        ]
        on_host = torch.cat(scores).cpu().numpy() if scores else np.zeros(0, np.float32)  # the only copy to the host
        slots, image, slot, target, start, first = predictions.logits.shape[1], [], [], [], 0, 0
        for i, count in enumerate(map(len, targets)):
            matrix = on_host[start : start + slots * count].reshape(slots, count)
            # A score that is not a number would stop the solver; the loss reports it with its images instead.
            rows, columns = linear_sum_assignment(np.nan_to_num(matrix), maximize=True)
            image.append(np.full(len(rows), i))
            slot.append(rows)
            target.append(columns + first)
            start, first = start + slots * count, first + count
        return Assignment(*(_to_device(part, device) for part in (image, slot, target)))

    def score(self, logits: Tensor, masks: Tensor, target: Targets) -> Tensor:
        """(N, T) matching scores in 0..1 of one image, in float32, for (N, C) logits and (N, h, w) mask logits."""
        dice = pairwise_dice(masks.float().flatten(1).sigmoid(), target.masks.float().flatten(1))
        probability = logits.float().sigmoid()[:, target.labels]
        return dice.pow(self.dice) * probability.pow(self.probability)


def _to_device(parts: Sequence[np.ndarray], device: torch.device) -> Tensor:
    joined = np.concatenate([np.zeros(0), *parts]).astype(np.int64)
    return torch.from_numpy(joined).to(device, non_blocking=True)
