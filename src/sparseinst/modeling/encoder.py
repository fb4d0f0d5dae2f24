"""Instance context encoder (paper, figure 3, left of the decoder)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparseinst.modeling.layers import Norm, convolution
from sparseinst.ops.pooling import pyramid_average, pyramid_cells


class PyramidPooling(nn.Module):
    """Adds context of the whole image to the coarsest features (Zhao et al., 2017)."""

    cells: Tensor

    def __init__(self, channels: int, *, bins: Sequence[int], norm: Norm) -> None:
        super().__init__()
        self.bins = tuple(bins)
        self.register_buffer("cells", pyramid_cells(self.bins), persistent=False)
        narrow = channels // 4
        # Never a norm here: the statistics of one pooled pixel an image are those of a handful of numbers.
        self.stages = nn.ModuleList(
            convolution(channels, narrow, kernel=1, norm="none", init="xavier") for _ in self.bins
        )
        self.bottleneck = convolution(channels + narrow * len(self.bins), channels, kernel=1, norm=norm, init="xavier")

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, h, w) to the same shape."""
        means = pyramid_average(features, self.cells).split([bins**2 for bins in self.bins], dim=2)
        pooled = [
            _bilinear(F.relu(stage(mean.unflatten(2, (bins, bins)))), features.shape[-2:])
            for bins, stage, mean in zip(self.bins, self.stages, means, strict=True)
        ]
        return F.relu(self.bottleneck(torch.cat([*pooled, features], dim=1)))


class Encoder(nn.Module):
    """Fuses the backbone's features into one map at the finest of their strides.

    Args:
        inputs: widths of the backbone's features, fine to coarse.
        channels: width D of the fused features.
        pool_bins: bins of the pyramid pooling; none leaves it out.
        norm: batch norm after each convolution, or none as published.
    """

    def __init__(self, inputs: Sequence[int], *, channels: int, pool_bins: Sequence[int], norm: Norm) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(
            convolution(width, channels, kernel=1, norm=norm, init="xavier") for width in inputs
        )
        self.outputs = nn.ModuleList(
            convolution(channels, channels, kernel=3, norm=norm, init="xavier") for _ in inputs
        )
        self.pooling = PyramidPooling(channels, bins=pool_bins, norm=norm) if pool_bins else nn.Identity()
        self.fusion = convolution(channels * len(inputs), channels, kernel=1, norm=norm, init="msra")

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features (B, D_i, h_i, w_i), fine to coarse, to (B, D, h, w) at the size of the finest."""
        *finer, coarsest = [lateral(feature) for lateral, feature in zip(self.laterals, features, strict=True)]
        pyramid = [self.pooling(coarsest)]  # fine to coarse
        for lateral in reversed(finer):
            pyramid.insert(0, lateral + F.interpolate(pyramid[0], scale_factor=2.0, mode="nearest"))
        outputs = [output(level) for output, level in zip(self.outputs, pyramid, strict=True)]
        size = outputs[0].shape[-2:]
        fused: Tensor = self.fusion(torch.cat([outputs[0], *(_bilinear(level, size) for level in outputs[1:])], dim=1))
        return fused


def _bilinear(features: Tensor, size_hw: Sequence[int]) -> Tensor:
    return F.interpolate(features, size=tuple(size_hw), mode="bilinear", align_corners=False)
