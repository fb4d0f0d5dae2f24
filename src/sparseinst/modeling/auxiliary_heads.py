"""Heads that exist in training only and learn from the targets: semantic, one-to-many, denoising."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparseinst.config import DecoderConfig
from sparseinst.modeling.criterion import CLASS_LOSSES, Criterion, count_instances
from sparseinst.modeling.decoder import PRIOR_BIAS, Decoder, InstanceActivation
from sparseinst.ops.losses import DICE_EPSILON, MaskLosses, mask_losses
from sparseinst.ops.noise import noised
from sparseinst.recipe import LossConfig
from sparseinst.structures import Batch, Predictions, Targets


class Scene(NamedTuple):
    """What is known of a batch within a training step; every head reads what it needs."""

    batch: Batch
    num_instances: Tensor
    """Number of targets that losses are divided by; see `count_instances`."""
    iteration: int
    """Iterations done before."""
    features: Tensor
    """(B, D, h/2, w/2) fused features of the encoder."""
    instance_features: Tensor
    """(B, D', h/2, w/2) that slots are gathered from."""
    mask_features: Tensor
    """(B, K, h/2, w/2) that kernels are multiplied with."""
    decoder: Decoder
    predictions: Predictions
    """Of the network itself."""


class Semantic(nn.Module):
    """Says of every cell of the fused features which classes cover it.

    The loss is binary cross-entropy (summed over classes, mean over cells) and 1 - dice (mean over the classes that an
    image shows, which even out large and small ones).

    Args:
        channels: width D of the fused features.
        classes: number C of classes.
    """

    def __init__(self, channels: int, *, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, classes, 1)
        nn.init.normal_(self.conv.weight, std=0.01)
        assert self.conv.bias is not None
        nn.init.constant_(self.conv.bias, PRIOR_BIAS)

    def forward(self, scene: Scene) -> Tensor:
        """The loss, without its weight."""
        logits = self.conv(scene.features)  # (B, C, h/2, w/2)
        with torch.autocast(logits.device.type, enabled=False):
            logits, wanted = logits.float(), class_maps(scene.batch.targets, logits.shape[1])
            entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
            p, t = logits.sigmoid().flatten(2), wanted.flatten(2)
            dice = 2 * (p * t).sum(2) / (p.square().sum(2) + t.square().sum(2) + DICE_EPSILON)  # (B, C)
            shown = t.any(2)
            cells = logits[:, 0].numel()
            loss: Tensor = entropy / cells + ((1 - dice) * shown).sum() / shown.sum().clamp(min=1)
            return loss


class OneToMany(nn.Module):
    """A second set of slots, of which several are matched to each target (H-DETR, Jia et al., 2023).

    It has activation maps of its own and shares all else with the decoder, so that the shared parts hear from many
    slots an image. The loss is the criterion's, without the penalty on duplicates, which are wanted here.

    Args:
        channels: width D' of the features that slots are gathered from.
        config: settings of the decoder, whose maps are of the same kind.
        loss: weights of the criterion.
        slots: number of slots.
        matches: slots matched to each target, fewer where the slots do not suffice.
    """

    def __init__(self, channels: int, *, config: DecoderConfig, loss: LossConfig, slots: int, matches: int) -> None:
        super().__init__()
        self.activation = InstanceActivation(
            channels, slots=slots, groups=config.groups, kernel=config.kernel, activation=config.activation
        )
        self.matches = matches
        self.criterion = Criterion(loss.model_copy(update={"duplicate": 0.0}), activation=config.activation)

    def forward(self, scene: Scene) -> Tensor:
        """The loss, without its weight."""
        slots, activation = self.activation(scene.instance_features)
        predictions = Predictions(*scene.decoder.heads(slots, scene.mask_features), activation)
        repeated = [self._repeated(target) for target in scene.batch.targets]
        num_instances = count_instances(repeated, slots.device)
        losses = self.criterion(predictions, repeated, num_instances, iteration=scene.iteration)
        return torch.stack(list(losses.values())).sum()

    def _repeated(self, target: Targets) -> Targets:
        """Each target as often as it is to be matched, but no oftener than it takes to keep all slots busy."""
        times = min(self.matches, -(-self.activation.slots // max(1, len(target))))
        return Targets(target.labels.repeat(times), target.masks.repeat(times, 1, 1))


class Denoising(nn.Module):
    """Slots gathered from noised masks of the targets, each of which must say what its target is.

    No parameters of its own: it teaches the decoder's heads and features without waiting for the activation maps to
    find the targets (as DN-DETR does for boxes, Li et al., 2022). The loss is the class loss of these slots and the
    losses of their masks and objectness, weighed as the criterion's.

    Args:
        loss: weights of the terms.
        slots: most targets of an image that are used, drawn at random where there are more.
    """

    def __init__(self, loss: LossConfig, *, slots: int) -> None:
        super().__init__()
        self.loss, self.slots = loss, slots

    def forward(self, scene: Scene) -> Tensor:
        """The loss, without its weight."""
        decoder, targets = scene.decoder, [_some(target, self.slots) for target in scene.batch.targets]
        weights = self._weights(targets, scene.instance_features)  # (B, T, h/2 * w/2)
        weights = weights.repeat(1, decoder.activation.groups, 1)  # every group looks at the same place
        slots = decoder.activation.gather(weights, scene.instance_features)
        logits, masks, objectness = decoder.heads(slots, scene.mask_features)
        with torch.autocast(logits.device.type, enabled=False):
            own = [torch.arange(len(target), device=masks.device) for target in targets]
            parts = mask_losses(masks, [target.masks for target in targets], own, own)
            sure = None if objectness is None else _first(objectness, targets)[:, 0]
            rest = pair_loss(
                parts, sure, pixels=masks[0, 0].numel(), weights=self.loss, num_instances=scene.num_instances
            )
            said = self._class_loss(_first(logits, targets).float(), targets, parts.iou)
            return said / scene.num_instances + rest

    def _class_loss(self, logits: Tensor, targets: Sequence[Targets], iou: Tensor) -> Tensor:
        """Of (K, C) logits, with the same target as the criterion's: 1, or the IoU of the mask."""
        wanted = F.one_hot(torch.cat([target.labels for target in targets]), logits.shape[1]).to(iou)  # (K, C)
        kind = self.loss.class_target
        loss = CLASS_LOSSES[kind](logits, wanted if kind == "binary" else wanted * iou[:, None])
        return self.loss.classification * loss

    def _weights(self, targets: Sequence[Targets], features: Tensor) -> Tensor:
        """(B, T, h/2 * w/2) weights over pixels that sum to 1; 0 in slots beyond an image's targets (1 at least)."""
        most = max(1, *map(len, targets))
        maps = torch.zeros(len(targets), most, *features.shape[2:], device=features.device)
        for own, target in zip(maps, targets, strict=True):
            own[: len(target)] = noised(F.avg_pool2d(target.masks[:, None], 2)[:, 0])
        weights = maps.flatten(2)
        return (weights / weights.sum(2, keepdim=True).clamp(min=1e-6)).to(features.dtype)


def pair_loss(
    parts: MaskLosses, objectness: Tensor | None, *, pixels: int, weights: LossConfig, num_instances: Tensor
) -> Tensor:
    """Weighted sum of what matched slots get wrong besides their class: cross-entropy, dice and objectness.

    Args:
        parts: of K pairs of a slot and a target.
        objectness: (K,) logits of the slots, which learn the IoU of their masks; None without that head.
        pixels: of a mask.
        weights: of the terms.
        num_instances: what dice is divided by.
    """
    pairs = max(1, len(parts.iou))
    loss = weights.mask * parts.entropy.sum() / (pairs * pixels) + weights.dice * parts.dice.sum() / num_instances
    if objectness is None:
        return loss
    entropy = F.binary_cross_entropy_with_logits(objectness.float(), parts.iou, reduction="sum")
    return loss + weights.objectness * entropy / pairs


def class_maps(targets: Sequence[Targets], classes: int) -> Tensor:
    """(B, C, h/2, w/2) in 0..1: the union of the target masks (T, h, w) of each class, at half their resolution."""
    maps = []
    for target in targets:
        union = torch.zeros(classes, *target.masks.shape[1:], device=target.masks.device, dtype=target.masks.dtype)
        maps.append(union.scatter_reduce(0, target.labels[:, None, None].expand_as(target.masks), target.masks, "amax"))
    return F.avg_pool2d(torch.stack(maps), 2)


def _first(values: Tensor, targets: Sequence[Targets]) -> Tensor:
    """(K, ...): of (B, N, ...) those of as many slots of each image as it has targets."""
    return torch.cat([own[: len(target)] for own, target in zip(values, targets, strict=True)])


def _some(target: Targets, most: int) -> Targets:
    if len(target) <= most:
        return target
    return target[torch.randperm(len(target), device=target.labels.device)[:most]]
