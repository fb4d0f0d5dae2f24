"""TensorFlow's "same" padding of a stride-2 convolution, for sides that are even."""

from torch import Tensor, nn
from torch.nn import functional as F


class EvenSameConv(nn.Conv2d):
    """A convolution of stride 2 that takes over from timm's `Conv2dSame`: equal for sides that are even.

    "Same" pads by what the side leaves over, which for an even side is always kernel - 2, the smaller half in front.
    timm computes it anew from the side. Over many layers that makes of a side known only at run time a formula which
    takes minutes to export.

    Args:
        conv: gives its weights.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        height, width = conv.kernel_size
        super().__init__(
            conv.in_channels, conv.out_channels, (height, width), stride=2, groups=conv.groups,
            bias=conv.bias is not None, device="meta",
        )  # fmt: skip
        self.weight, self.bias = conv.weight, conv.bias
        rows, columns = height - 2, width - 2
        self.margins = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)

    @classmethod
    def fits(cls, conv: nn.Conv2d) -> bool:
        """Whether a convolution can be taken over."""
        return conv.stride == (2, 2) and conv.dilation == (1, 1) and min(conv.kernel_size) >= 2

    def forward(self, images: Tensor) -> Tensor:
        """(B, D, h, w) with even h and w to (B, D', h/2, w/2)."""
        return super().forward(F.pad(images, self.margins))
