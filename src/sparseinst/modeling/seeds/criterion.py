"""The losses of a decoder of seeds, all in float32."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sparseinst.batch import Targets
from sparseinst.modeling.seeds.assignment import answering, assign, geometry, levels_of
from sparseinst.modeling.seeds.decoder import Fields, SeedsDecoder
from sparseinst.ops.losses import Focus, centre_focal_loss, mask_losses
from sparseinst.ops.processes import share
from sparseinst.recipe import LossConfig

AROUND = 0.2
"""Weight of the cross-entropy around an object; `LossConfig.mask` (5) brings it to 1."""


class Chosen(NamedTuple):
    """n cells of one image that answer for the masks of objects."""

    head: Tensor
    """(n, P) what they say."""
    y: Tensor
    """(n,) row on the finest grid."""
    x: Tensor
    """(n,) column on the finest grid."""
    cells: Tensor
    """(n,) cells of the finest grid along one cell of their level."""
    objects: Tensor
    """(n,) int64 object that each answers for."""


class SeedsCriterion:
    """Assigns cells to targets by place and size, and weighs the losses.

    Args:
        config: weights, and how many cells of an object learn its mask.
        decoder: what grows masks from cells.

    Attributes:
        names: of the losses, in the order of the log.
    """

    names: tuple[str, ...] = ("loss_ce", "loss_mask", "loss_dice", "loss_objectness")

    def __init__(self, config: LossConfig, decoder: SeedsDecoder) -> None:
        self.config, self.decoder = config, decoder

    def __call__(self, fields: Fields, targets: Sequence[Targets], num_instances: Tensor) -> dict[str, Tensor]:
        """The weighted losses, by `names`; a batch without any target gives a class loss and zeros with a gradient.

        Args:
            fields: of B images, of any floating type.
            targets: B targets on the device of the fields, masks at the mask stride (half a cell of the finest level).
            num_instances: what the class loss is divided by (see `count_instances`).
        """
        with torch.autocast(num_instances.device.type, enabled=False):
            fields = _float(fields)
            ce = fields.features.new_zeros(())
            parts: list[tuple[Tensor, Tensor, Tensor]] = []
            for image, target in enumerate(targets):
                own = fields.of(image)
                chosen, loss = self._choose(own, target)
                ce = ce + loss
                if chosen is not None:
                    parts.append(self._mask_losses(own, chosen, target.masks))
            entropy, dice, quality = map(torch.cat, zip(*parts, strict=True)) if parts else self._nothing(fields)
        # Means over the cells of all processes.
        cells = share(sum(len(part[0]) for part in parts), num_instances.device)
        return {
            "loss_ce": self.config.classification * ce / num_instances,
            "loss_mask": self.config.mask * entropy.sum() / cells,
            "loss_dice": self.config.dice * dice.sum() / cells,
            "loss_objectness": self.config.objectness * quality.sum() / cells,
        }

    def _choose(self, fields: Fields, target: Targets) -> tuple[Chosen | None, Tensor]:
        """The cells of an image that answer for masks, and its class loss."""
        cells = F.avg_pool2d(target.masks[:, None].float(), 2)[:, 0] if len(target) else target.masks
        places = geometry(cells) if len(target) else None
        level_of = None if places is None else levels_of(places.diameter, len(fields.logits))
        loss, found = fields.features.new_zeros(()), []
        for depth, (logits, head) in enumerate(zip(fields.logits, fields.heads, strict=True)):
            near = torch.zeros_like(logits[0])  # (C, h, w)
            centres = torch.zeros_like(near)
            objects = None if level_of is None else (level_of == depth).nonzero()[:, 0]
            if places is not None and objects is not None and len(objects):
                step, width = 2**depth, logits.shape[-1]
                own = assign(cells, places, objects, step=step)
                labels = target.labels[objects]
                near = _by_class(own.closeness, labels, near)
                centres[labels, own.centre // width, own.centre % width] = 1
                at = answering(own, self.config.cells).flatten()
                y, x = ((place * step + (step - 1) / 2).float() for place in (at // width, at % width))
                said = head[0].flatten(1)[:, at].T  # (n, P)
                found.append(Chosen(said, y, x, torch.full_like(y, step), objects.repeat_interleave(self.config.cells)))
            loss = loss + centre_focal_loss(logits[0], centres, near)
        return (Chosen(*map(torch.cat, zip(*found, strict=True))) if found else None), loss

    def _mask_losses(self, fields: Fields, chosen: Chosen, masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n,) cross-entropy (see `surroundings`), dice loss, and cross-entropy of the expected IoU, of each cell."""
        head, y, x, cells = (part[None] for part in chosen[:4])
        grown = self.decoder.grow(head, y, x, cells, fields)
        enlarged = self.decoder.enlarged(grown.masks)
        numbers = torch.arange(len(chosen.objects), device=masks.device)
        parts = mask_losses(enlarged, [masks], [numbers], [chosen.objects], focus=surroundings(masks, chosen.objects))
        quality = F.binary_cross_entropy_with_logits(grown.iou[0], parts.iou, reduction="none")
        return parts.entropy, parts.dice, quality

    def _nothing(self, fields: Fields) -> tuple[Tensor, Tensor, Tensor]:
        """Zeros in which every parameter has its gradient, as several processes need it: from the first cell's mask."""
        own = fields.of(0)
        place = fields.features.new_zeros(1, 1)
        grown = self.decoder.grow(own.heads[0][:, :, 0, :1].transpose(1, 2), place, place, place + 1, own)
        zero = 0.0 * (grown.masks.mean() + grown.iou.mean())
        return zero, zero, zero


def surroundings(masks: Tensor, objects: Tensor) -> Focus:
    """Half of a mask's cross-entropy is its mean over the frame, and there is a fifth of its mean around the object.

    Over the frame alone it is a tenth of dice where objects are small, so that outlines get almost no gradient.

    Args:
        masks: (T, h, w) targets, none of them empty.
        objects: (n,) int64 target of each pair.
    """
    rows, columns = (_around(masks.amax(axis) > 0)[objects] for axis in (2, 1))
    return Focus(0.5 / masks.shape[1:].numel(), rows * AROUND, columns)


def _around(seen: Tensor) -> Tensor:
    """(T, n) which rows (or columns) hold some of an object to weights that add up to 1, of twice its extent."""
    places = torch.arange(seen.shape[1], device=seen.device)
    first = torch.where(seen, places, seen.shape[1]).amin(1, keepdim=True)
    last = torch.where(seen, places, -1).amax(1, keepdim=True)
    margin = (last - first + 1) / 2 + 1
    inside = ((places >= first - margin) & (places <= last + margin)).float()
    return inside / inside.sum(1, keepdim=True)


def _by_class(closeness: Tensor, labels: Tensor, near: Tensor) -> Tensor:
    """(C, h, w) for each class the largest of its objects' closeness (t, h, w)."""
    index = labels[:, None].expand(-1, near[0].numel())
    return near.flatten(1).scatter_reduce(0, index, closeness.flatten(1), "amax").view_as(near)


def _float(fields: Fields) -> Fields:
    logits, heads = (tuple(level.float() for level in levels) for levels in (fields.logits, fields.heads))
    return Fields(logits, heads, fields.features.float(), fields.context.float())
