"""From the encoder's features to instances that begin at seeds.

A seed draws a draft of its mask, which is its activation map: the pixels that speak for it. Features gathered under the
map refine mask kernel and quality. These are the paper's steps (highlight, gather, recognise), but a map
belongs to a place in this image instead of to a slot.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparseinst.modeling.layers import PRIOR_BIAS, Norm, branch, convolution
from sparseinst.modeling.seeds.prior import FRESH_CURVATURE, PRIOR_CHANNELS, UNIT_CELLS, shape_prior
from sparseinst.modeling.seeds.selection import Budget, select_seeds
from sparseinst.predictions import Predictions


class Fields(NamedTuple):
    """What the decoder says at every cell, before anything is chosen; the levels go from fine to coarse."""

    logits: tuple[Tensor, ...]
    """Of each level (B, C, h, w) class logits."""
    heads: tuple[Tensor, ...]
    """Of each level (B, P, h, w): mask kernel (D), its bias, IoU logit, shape prior (5)."""
    features: Tensor
    """(B, D, h, w) mask features on the finest grid."""
    context: Tensor
    """(B, E, h, w) features that are gathered under the activation maps."""

    def of(self, image: int) -> "Fields":
        """Those of one image, as a batch of one."""
        own = slice(image, image + 1)
        logits, heads = (tuple(level[own] for level in levels) for levels in (self.logits, self.heads))
        return Fields(logits, heads, self.features[own], self.context[own])


class Grown(NamedTuple):
    """What K seeds become."""

    masks: Tensor
    """(B, K, h, w) mask logits on the finest grid of seeds."""
    iou: Tensor
    """(B, K) logits of the IoU that the mask is expected to have."""
    activation: Tensor
    """(B, K, h, w) logits of the draft masks, under which features were gathered."""


class SeedsDecoder(nn.Module):
    """Two branches, a score and a head for every cell, and what grows from a chosen cell.

    Args:
        inputs: width of the encoder's features.
        classes: number C of classes.
        budget: how many seeds prediction takes.
        levels: grids of seeds, each the mean of 2x2 cells of the one before; branch and heads are shared.
        channels: width E of both branches.
        convs: 3x3 convolutions in each branch.
        kernel_channels: width D of the mask features and mask kernels.
        norm: batch norm after each convolution of the branches, or none.
    """

    def __init__(
        self, inputs: int, *, classes: int, budget: Budget, levels: int, channels: int, convs: int,
        kernel_channels: int, norm: Norm,
    ) -> None:  # fmt: skip
        super().__init__()
        self.budget, self.levels, self.kernel_channels = budget, levels, kernel_channels
        self.seed_branch = branch(inputs, channels, convs=convs, norm=norm)
        self.mask_branch = branch(inputs, channels, convs=convs, norm=norm)
        self.projection = convolution(channels, kernel_channels, kernel=1, norm="none", init="msra")
        self.classifier = nn.Conv2d(channels, classes, 3, padding=1)
        self.head = nn.Conv2d(channels, kernel_channels + 2 + PRIOR_CHANNELS, 1)
        self.mix = nn.Linear(channels, channels)
        self.refine = nn.Linear(channels, kernel_channels + 2)
        self._reset()

    @torch.no_grad()
    def _reset(self) -> None:
        for layer in (self.classifier, self.head):
            nn.init.normal_(layer.weight, std=0.01)
        for bias, value in ((self.classifier.bias, PRIOR_BIAS), (self.head.bias, 0.0)):
            assert bias is not None
            nn.init.constant_(bias, value)
        assert self.head.bias is not None
        self.head.bias[self.kernel_channels + 2 :][:2] = math.log(math.expm1(FRESH_CURVATURE))
        for parameter in self.refine.parameters():  # so that the draft is the mask until something is learnt
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> Predictions:
        """Encoder features (B, D', h, w) to predictions with masks (B, K, 2h, 2w)."""
        fields = self.fields(features)
        seeds = select_seeds(fields.logits, fields.heads, self.budget)
        grown = self.grow(seeds.head, seeds.y, seeds.x, seeds.cells, fields)
        return Predictions(seeds.logits, self.enlarged(grown.masks), grown.iou[..., None], grown.activation)

    def enlarged(self, masks: Tensor) -> Tensor:
        """Mask logits of `grow` at the stride of masks, (B, K, 2h, 2w)."""
        return F.interpolate(masks, scale_factor=2.0, mode="bilinear", align_corners=False)

    def fields(self, features: Tensor) -> Fields:
        """Encoder features (B, D', h, w) to what every cell says."""
        pyramid = [features]
        for _ in range(self.levels - 1):
            pyramid.append(F.avg_pool2d(pyramid[-1], 2))
        seeds = [self.seed_branch(level) for level in pyramid]
        masks = self.projection(self.mask_branch(features))
        return Fields(tuple(map(self.classifier, seeds)), tuple(map(self.head, seeds)), masks, seeds[0])

    def grow(self, head: Tensor, y: Tensor, x: Tensor, cells: Tensor, fields: Fields) -> Grown:
        """Masks of any number K of seeds.

        Args:
            head: (B, K, P) what the seeds' cells say.
            y: (B, K) their rows on the finest grid, in cells.
            x: (B, K) their columns.
            cells: (B, K) size of a cell of their level, in cells of the finest grid.
            fields: of the same B images.
        """
        size_hw = (fields.features.shape[-2], fields.features.shape[-1])
        flat = fields.features.flatten(2)  # (B, D, h*w)
        kernel, bias, iou, shape = head.split([self.kernel_channels, 1, 1, PRIOR_CHANNELS], dim=2)
        prior = shape_prior(shape, y, x, UNIT_CELLS * cells, size_hw).flatten(2)
        draft = torch.bmm(kernel, flat).float() + bias.float() + prior  # (B, K, h*w)
        weights = draft.sigmoid()
        weights = (weights / weights.sum(2, keepdim=True).clamp(min=1e-6)).to(flat.dtype)
        gathered = torch.bmm(weights, fields.context.flatten(2).transpose(1, 2))  # (B, K, E)
        change = self.refine(F.relu(self.mix(gathered)))
        kernel, bias, better = change.split([self.kernel_channels, 1, 1], dim=2)
        masks = draft + torch.bmm(kernel, flat).float() + bias.float()
        return Grown(masks.unflatten(2, size_hw), (iou + better)[..., 0], draft.unflatten(2, size_hw))
