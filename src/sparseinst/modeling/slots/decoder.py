"""The paper's IAM-based decoder (figure 3, right): a sparse set of activation maps speaks for the instances."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparseinst.modeling.layers import PRIOR_BIAS, Norm, branch, convolution
from sparseinst.predictions import Predictions


class InstanceActivation(nn.Module):
    """Highlights the pixels that speak for each slot and gathers their features.

    Args:
        channels: width D of the features.
        slots: number N of slots.
        groups: number G of maps each slot has; group g sees its own D/G channels.
        kernel: kernel size of the convolution that makes the maps.
        activation: "sigmoid" (divided by its sum over pixels) or "softmax" over pixels.
    """

    def __init__(
        self, channels: int, *, slots: int, groups: int, kernel: int, activation: Literal["sigmoid", "softmax"]
    ) -> None:
        super().__init__()
        self.slots, self.groups = slots, groups
        self.conv = nn.Conv2d(channels, slots * groups, kernel, padding=kernel // 2, groups=groups)
        nn.init.normal_(self.conv.weight, std=0.01)
        assert self.conv.bias is not None
        nn.init.constant_(self.conv.bias, PRIOR_BIAS)
        self.softmax_bias = nn.Parameter(torch.ones(1)) if activation == "softmax" else None

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D, h, w) to slot features (B, N, G*D) and activation logits (B, G*N, h, w)."""
        activation = self.conv(features)
        gathered = torch.bmm(self.weights(activation), features.flatten(2).transpose(1, 2))  # (B, G*N, D)
        by_group = gathered.unflatten(1, (self.groups, self.slots))  # (B, G, N, D)
        return by_group.transpose(1, 2).flatten(2), activation

    def weights(self, activation: Tensor) -> Tensor:
        """Activation logits (B, G*N, h, w) to weights over pixels (B, G*N, h*w) that sum to 1 (or nearly 0)."""
        if self.softmax_bias is not None:
            return (activation + self.softmax_bias).flatten(2).softmax(dim=2)
        probability = activation.flatten(2).sigmoid()
        total = probability.sum(dim=2, keepdim=True, dtype=torch.float32).clamp(min=1e-6)  # float16 ends at 65504
        return (probability / total).to(probability.dtype)


class Decoder(nn.Module):
    """Instance branch, mask branch, and the masks as kernel times features.

    Args:
        inputs: width of the encoder's features.
        classes: number C of classes.
        slots, groups, kernel, activation: of the instance activation maps.
        channels: width of both branches.
        convs: 3x3 convolutions in each branch.
        kernel_channels: width of the mask features and mask kernels.
        coordinates: give both branches the place of each pixel, as published.
        objectness: predict the IoU-aware objectness, as published.
        norm: batch norm after each convolution of the branches, or none as published.
    """

    def __init__(
        self,
        inputs: int,
        *,
        classes: int,
        slots: int,
        groups: int,
        kernel: int,
        activation: Literal["sigmoid", "softmax"],
        channels: int,
        convs: int,
        kernel_channels: int,
        coordinates: bool,
        objectness: bool,
        norm: Norm,
    ) -> None:
        super().__init__()
        self.locate = WithCoordinates() if coordinates else nn.Identity()
        inputs += 2 * coordinates
        self.instance_branch = branch(inputs, channels, convs=convs, norm=norm)
        self.mask_branch = branch(inputs, channels, convs=convs, norm=norm)
        width = channels if convs else inputs
        self.projection = convolution(width, kernel_channels, kernel=1, norm="none", init="msra")
        self.activation = InstanceActivation(width, slots=slots, groups=groups, kernel=kernel, activation=activation)
        wide = width * groups
        self.mix = _xavier(nn.Linear(wide, wide)) if groups > 1 else nn.Identity()
        self.classifier = _head(nn.Linear(wide, classes), bias=PRIOR_BIAS)
        self.kernel = _head(nn.Linear(wide, kernel_channels), bias=0.0)
        self.objectness = nn.Linear(wide, 1) if objectness else None

    def forward(self, features: Tensor) -> Predictions:
        """Encoder features (B, D, h/2, w/2) to predictions with masks (B, N, h, w)."""
        features = self.locate(features)
        slots, activation = self.activation(self.instance_branch(features))
        slots = F.relu(self.mix(slots)) if isinstance(self.mix, nn.Linear) else slots  # (B, N, G*D)
        mask_features = self.projection(self.mask_branch(features))  # (B, K, h/2, w/2)
        masks = torch.bmm(self.kernel(slots), mask_features.flatten(2)).unflatten(2, mask_features.shape[-2:])
        masks = F.interpolate(masks, scale_factor=2.0, mode="bilinear", align_corners=False)
        objectness = None if self.objectness is None else self.objectness(slots)
        return Predictions(self.classifier(slots), masks, objectness, activation)


class WithCoordinates(nn.Module):
    """Joins the coordinates of the pixels with their features."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, h, w) to (B, 2 + D, h, w)."""
        return torch.cat([coordinates(features), features], dim=1)


def coordinates(features: Tensor) -> Tensor:
    """(B, 2, h, w): x then y of every pixel, -1..1 from edge to edge of the padded frame."""
    batch, _, height, width = features.shape
    y, x = (_edge_to_edge(size, features) for size in (height, width))
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid_x, grid_y]).expand(batch, -1, -1, -1)


def _edge_to_edge(size: int, like: Tensor) -> Tensor:
    """(size,) from -1 to 1; torch.linspace cannot be exported for sizes that are known only at run time."""
    index = torch.arange(size, device=like.device).float()
    return (2 * index / index[-1:].clamp(min=1) - 1).to(like.dtype)


def _head(linear: nn.Linear, *, bias: float) -> nn.Linear:
    nn.init.normal_(linear.weight, std=0.01)
    nn.init.constant_(linear.bias, bias)
    return linear


def _xavier(linear: nn.Linear) -> nn.Linear:
    nn.init.kaiming_uniform_(linear.weight, a=1)
    nn.init.zeros_(linear.bias)
    return linear
