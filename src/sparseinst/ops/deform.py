"""Deformable convolution, version 1 (Dai et al., 2017): offsets, no modulation."""

from torch import Tensor, nn
from torchvision.ops import deform_conv2d


class DeformableConv(nn.Module):
    """A convolution whose taps move by offsets that a second convolution reads from the same features.

    The offsets start at 0, so that a fresh one equals the convolution it was made from.

    Args:
        conv: the convolution to take the place of; its weight and bias are taken over.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        height, width = conv.kernel_size
        self.stride, self.padding, self.dilation = map(_pair, (conv.stride, conv.padding, conv.dilation))
        self.weight, self.bias = conv.weight, conv.bias
        self.offset = nn.Conv2d(
            conv.in_channels, 2 * height * width, (height, width), self.stride, self.padding, self.dilation
        )
        for parameter in self.offset.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, h, w) to the shape that the plain convolution gives."""
        offset = self.offset(features)  # (B, 2*taps, h', w'): y then x of each tap
        bias = None if self.bias is None else self.bias.float()
        # torchvision has no kernel for 16 bits
        deformed: Tensor = deform_conv2d(
            features.float(), offset.float(), self.weight.float(), bias, self.stride, self.padding, self.dilation
        )
        return deformed.to(features.dtype)


def _pair(sizes: tuple[int, ...] | str) -> tuple[int, int]:
    if isinstance(sizes, str):
        raise ValueError(f"expected a padding in pixels, got {sizes!r}: such a convolution cannot become deformable")
    height, width = sizes
    return height, width
