"""The paper's losses of training, all in float32."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sparseinst.batch import Targets
from sparseinst.modeling.slots.matcher import Assignment, Matcher
from sparseinst.ops.losses import focal_loss, mask_losses
from sparseinst.ops.processes import share
from sparseinst.predictions import Predictions
from sparseinst.recipe import LossConfig


def count_instances(targets: Sequence[Targets], device: torch.device | str) -> Tensor:
    """Number of targets in the batch, averaged over processes (see `share`): what losses are divided by."""
    return share(sum(map(len, targets)), device)


class Criterion:
    """Matches slots with targets and weighs their losses.

    A batch without any target gives a class loss and otherwise zeros, each with its gradient.

    Args:
        config: weights and exponents.
        objectness: whether the network has that head.

    Attributes:
        names: names of the losses in the order of the log.
    """

    def __init__(self, config: LossConfig, *, objectness: bool = True) -> None:
        self.config = config
        self.matcher = Matcher(dice=config.match_dice, probability=config.match_class)
        self.names = ("loss_ce", "loss_mask", "loss_dice", *(("loss_objectness",) if objectness else ()))

    def __call__(
        self, predictions: Predictions, targets: Sequence[Targets], num_instances: Tensor
    ) -> dict[str, Tensor]:
        """Gives the weighted losses; their sum is the training loss.

        Args:
            predictions: of B images, of any floating type; without objectness there is no loss for it.
            targets: B targets on the device of the predictions, masks at the mask stride.
            num_instances: by which sums over instances are divided: their mean number a process, at least 1.
        """
        with torch.autocast(predictions.logits.device.type, enabled=False):
            # The masks stay as they are: `mask_losses` takes them to float32 piece by piece.
            objectness = None if predictions.objectness is None else predictions.objectness.float()
            predictions = predictions._replace(logits=predictions.logits.float(), objectness=objectness)
            assignment = self.matcher(predictions, targets)
            return {
                "loss_ce": self._class_loss(predictions, targets, assignment) / num_instances,
                **self._mask_losses(predictions, targets, assignment, num_instances),
            }

    def _class_loss(self, predictions: Predictions, targets: Sequence[Targets], assignment: Assignment) -> Tensor:
        wanted = torch.zeros_like(predictions.logits)  # (B, N, C)
        labels = torch.cat([target.labels for target in targets])[assignment.target]  # (K,)
        wanted[assignment.image, assignment.slot, labels] = 1
        return self.config.classification * focal_loss(predictions.logits, wanted)

    def _mask_losses(
        self, predictions: Predictions, targets: Sequence[Targets], assignment: Assignment, num_instances: Tensor
    ) -> dict[str, Tensor]:
        masks, wanted = predictions.masks, [target.masks for target in targets]
        parts = mask_losses(masks, wanted, *assignment.by_image(targets, masks.shape[1]))
        # Means over the matched slots of all processes, written as sums so that none matched gives 0 and not 0/0.
        pairs, pixels = share(len(parts.iou), masks.device), masks.shape[2:].numel()
        losses = {
            "loss_mask": self.config.mask * parts.entropy.sum() / (pairs * pixels),
            "loss_dice": self.config.dice * parts.dice.sum() / num_instances,
        }
        if predictions.objectness is not None:
            said = predictions.objectness[assignment.image, assignment.slot, 0]  # (K,)
            confidence = F.binary_cross_entropy_with_logits(said, parts.iou, reduction="sum")
            losses["loss_objectness"] = self.config.objectness * confidence / pairs
        return losses
