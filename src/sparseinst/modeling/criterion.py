"""The losses of training (paper, section 3.4), all in float32."""

from collections.abc import Sequence

import torch
from torch import Tensor, distributed
from torch.nn import functional as F

from sparseinst.modeling.matcher import Assignment, Matcher
from sparseinst.ops.losses import focal_loss, mask_losses
from sparseinst.recipe import LossConfig
from sparseinst.structures import Predictions, Targets


def count_instances(targets: Sequence[Targets], device: torch.device | str) -> Tensor:
    """Number of targets in the batch, averaged over processes, at least 1: what the losses are divided by."""
    count = torch.tensor(float(sum(map(len, targets))), device=device)
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(count)
        count /= distributed.get_world_size()
    return count.clamp(min=1)


class Criterion:
    """Matches slots with targets and weighs their losses.

    A batch without any target gives a focal loss and three zeros, each with its gradient.
    """

    def __init__(self, config: LossConfig) -> None:
        self.config = config
        self.matcher = Matcher(dice=config.match_dice, probability=config.match_class)

    def __call__(
        self, predictions: Predictions, targets: Sequence[Targets], num_instances: Tensor
    ) -> dict[str, Tensor]:
        """Gives the weighted losses; their sum is the training loss.

        Args:
            predictions: of B images, of any floating type.
            targets: B targets on the device of the predictions, masks at the mask stride.
            num_instances: see `count_instances`.
        """
        with torch.autocast(predictions.logits.device.type, enabled=False):
            # The masks stay as they are: `mask_losses` takes them to float32 piece by piece.
            logits, objectness = predictions.logits.float(), predictions.objectness.float()
            predictions = predictions._replace(logits=logits, objectness=objectness)
            assignment = self.matcher(predictions, targets)
            losses = self._mask_losses(predictions, targets, assignment, num_instances)
            losses["loss_ce"] = self._class_loss(logits, targets, assignment, num_instances)
            return losses

    def _class_loss(
        self, logits: Tensor, targets: Sequence[Targets], assignment: Assignment, num_instances: Tensor
    ) -> Tensor:
        wanted = torch.zeros_like(logits)  # (B, N, C)
        labels = torch.cat([target.labels for target in targets])[assignment.target]
        wanted[assignment.image, assignment.slot, labels] = 1
        return self.config.classification * focal_loss(logits, wanted) / num_instances

    def _mask_losses(
        self, predictions: Predictions, targets: Sequence[Targets], assignment: Assignment, num_instances: Tensor
    ) -> dict[str, Tensor]:
        matched = assignment.by_image(targets, predictions.masks.shape[1])
        parts = mask_losses(predictions.masks, [target.masks for target in targets], *matched)
        objectness = predictions.objectness[assignment.image, assignment.slot, 0]  # (K,)
        confidence = F.binary_cross_entropy_with_logits(objectness, parts.iou, reduction="sum")
        pairs, pixels = len(objectness), predictions.masks.shape[2:].numel()
        # Means over the matched slots, written as sums so that none matched gives 0 and not 0/0.
        return {
            "loss_mask": self.config.mask * parts.entropy.sum() / max(1, pairs * pixels),
            "loss_dice": self.config.dice * parts.dice.sum() / num_instances,
            "loss_objectness": self.config.objectness * confidence / max(1, pairs),
        }
