"""Convolution with optional batch norm, the one building block of encoder and decoders."""

import math
from collections import OrderedDict
from typing import Literal

from torch import nn

Norm = Literal["none", "batch", "sync"]
Init = Literal["msra", "xavier"]

PRIOR_BIAS = -math.log(99)
"""Logit of the probability 0.01 that every class and activation starts from (Lin et al., 2017)."""


def convolution(inputs: int, outputs: int, *, kernel: int, norm: Norm, init: Init) -> nn.Sequential:
    """A same-size convolution followed by batch norm when `norm` says so (it then has no bias).

    `init` is the published one: "msra" (normal, fan out) or "xavier" (uniform, fan in), biases 0.
    """
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=norm == "none")
    if init == "msra":
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    else:
        nn.init.kaiming_uniform_(conv.weight, a=1)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=conv)
    if norm != "none":
        layers["norm"] = nn.BatchNorm2d(outputs)
    return nn.Sequential(layers)


def branch(inputs: int, channels: int, *, convs: int, norm: Norm) -> nn.Sequential:
    """`convs` 3x3 convolutions, each followed by ReLU."""
    widths = [inputs] + [channels] * convs
    return nn.Sequential(
        *(
            nn.Sequential(convolution(width, channels, kernel=3, norm=norm, init="msra"), nn.ReLU(inplace=True))
            for width in widths[:-1]
        )
    )
