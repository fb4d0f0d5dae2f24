"""The losses of training (paper, section 3.4), all in float32."""

from collections.abc import Sequence

import torch
from torch import Tensor, distributed
from torch.nn import functional as F

from sparseinst.modeling.matcher import Assignment, Matcher
from sparseinst.ops.losses import dice_loss, focal_loss, mask_iou
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
            predictions = Predictions(*(part.float() for part in predictions))
            assignment = self.matcher(predictions, targets)
            losses = self._mask_losses(predictions, targets, assignment, num_instances)
            losses["loss_ce"] = self._class_loss(predictions.logits, targets, assignment, num_instances)
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
        masks = predictions.masks[assignment.image, assignment.slot].flatten(1)  # (K, h*w)
        wanted = torch.cat([target.masks for target in targets]).flatten(1)[assignment.target].float()
        objectness = predictions.objectness[assignment.image, assignment.slot, 0]  # (K,)
        entropy = F.binary_cross_entropy_with_logits(masks, wanted, reduction="sum")
        confidence = F.binary_cross_entropy_with_logits(objectness, mask_iou(masks, wanted), reduction="sum")
        # Means over the matched slots, written as sums so that none matched gives 0 and not 0/0.
        return {
            "loss_mask": self.config.mask * entropy / max(1, masks.numel()),
            "loss_dice": self.config.dice * dice_loss(masks, wanted).sum() / num_instances,
            "loss_objectness": self.config.objectness * confidence / max(1, len(objectness)),
        }
