"""The losses of training (paper, section 3.4), all in float32."""

from collections.abc import Sequence

import torch
from torch import Tensor, distributed
from torch.nn import functional as F

from sparseinst.modeling.levers import LEVERS, Matched, switched_on
from sparseinst.modeling.matcher import Matcher
from sparseinst.ops.guidance import Activation
from sparseinst.ops.losses import MaskLosses, focal_loss, mask_losses, quality_focal_loss, varifocal_loss
from sparseinst.ops.points import point_losses
from sparseinst.recipe import LossConfig
from sparseinst.structures import Predictions, Targets

CLASS_LOSSES = {"binary": focal_loss, "quality": quality_focal_loss, "varifocal": varifocal_loss}
"""By `LossConfig.class_target`; the first is taught 1 for a matched slot, the others the IoU of its mask."""


def count_instances(targets: Sequence[Targets], device: torch.device | str) -> Tensor:
    """Number of targets in the batch, averaged over processes, at least 1: what the losses are divided by."""
    count = torch.tensor(float(sum(map(len, targets))), device=device)
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(count)
        count /= distributed.get_world_size()
    return count.clamp(min=1)


def loss_names(config: LossConfig, *, objectness: bool = True) -> tuple[str, ...]:
    """Names of the criterion's losses in a fixed order, for a network with or without objectness."""
    names = ("ce", "mask", "dice", *(("objectness",) if objectness else ()), *switched_on(config))
    return tuple(f"loss_{name}" for name in names)


class Criterion:
    """Matches slots with targets and weighs their losses.

    A batch without any target gives a class loss and otherwise zeros, each with its gradient.

    Args:
        config: weights, exponents and levers.
        activation: how the network normalises its activation maps; matters to the guidance loss and to matching by
            the activation.
    """

    def __init__(self, config: LossConfig, *, activation: Activation = "sigmoid") -> None:
        self.config, self.activation = config, activation
        self.matcher = Matcher(
            dice=config.match_dice,
            probability=config.match_class,
            share=config.match_activation,
            activation=activation,
        )

    def __call__(
        self,
        predictions: Predictions,
        targets: Sequence[Targets],
        num_instances: Tensor,
        *,
        iteration: int | None = None,
    ) -> dict[str, Tensor]:
        """Gives the weighted losses, named as `loss_names` says; their sum is the training loss.

        Args:
            predictions: of B images, of any floating type; without objectness there is no loss for it.
            targets: B targets on the device of the predictions, masks at the mask stride.
            num_instances: see `count_instances`.
            iteration: iterations done before, by which losses with a warm-up rise; without it they have their weight.
        """
        with torch.autocast(predictions.logits.device.type, enabled=False):
            # The masks stay as they are: `mask_losses` takes them to float32 piece by piece.
            objectness = None if predictions.objectness is None else predictions.objectness.float()
            predictions = predictions._replace(logits=predictions.logits.float(), objectness=objectness)
            pairs = self.matcher.compare(predictions, targets)
            matched = Matched(
                predictions, targets, pairs, self.matcher.assign(pairs), num_instances, iteration, self.activation
            )
            parts = self._mask_parts(matched)
            levers = {name: LEVERS[name](matched, self.config) for name in switched_on(self.config)}
            return {
                "loss_ce": self._class_loss(matched, parts),
                **self._mask_losses(matched, parts),
                **{f"loss_{name}": getattr(self.config, name) * loss for name, loss in levers.items()},
            }

    def _mask_parts(self, matched: Matched) -> MaskLosses:
        masks, wanted = matched.predictions.masks, [target.masks for target in matched.targets]
        if 0 < self.config.points < masks.shape[2:].numel():  # as many as there are pixels say less than all of them
            return point_losses(masks, wanted, *matched.by_image, points=self.config.points)
        return mask_losses(masks, wanted, *matched.by_image)

    def _class_loss(self, matched: Matched, parts: MaskLosses) -> Tensor:
        logits, (image, slot, _) = matched.predictions.logits, matched.assignment
        wanted = torch.zeros_like(logits)  # (B, N, C)
        kind = self.config.class_target
        wanted[image, slot, matched.labels] = torch.ones_like(parts.iou) if kind == "binary" else parts.iou
        loss = CLASS_LOSSES[kind](logits, wanted)
        return self.config.classification * loss / matched.num_instances

    def _mask_losses(self, matched: Matched, parts: MaskLosses) -> dict[str, Tensor]:
        # Means over the matched slots, written as sums so that none matched gives 0 and not 0/0.
        pairs, pixels = max(1, len(parts.iou)), matched.predictions.masks.shape[2:].numel()
        losses = {
            "loss_mask": self.config.mask * parts.entropy.sum() / (pairs * pixels),
            "loss_dice": self.config.dice * parts.dice.sum() / matched.num_instances,
        }
        if matched.predictions.objectness is not None:
            said = matched.predictions.objectness[matched.assignment.image, matched.assignment.slot, 0]  # (K,)
            confidence = F.binary_cross_entropy_with_logits(said, parts.iou, reduction="sum")
            losses["loss_objectness"] = self.config.objectness * confidence / pairs
        return losses
