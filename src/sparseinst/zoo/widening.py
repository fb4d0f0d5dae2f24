"""Weights that were trained on RGB images, for images of another number of channels."""

from collections.abc import Mapping

import torch
from timm.models import adapt_input_conv
from torch import Tensor

from sparseinst.config.preprocess import RGB


def widened(tensors: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> tuple[dict[str, Tensor], list[str]]:
    """First convolutions of RGB brought to as many channels as a network's own has.

    Channels get the weights of red, green, blue, red, ... in turn, times 3 / channels, as timm does it: a sum over
    channels is about as large as before.

    Args:
        tensors: weights by name.
        shapes: what the network has under these names.

    Returns:
        The weights, and the names of those that were changed.
    """
    found = [name for name, tensor in tensors.items() if name in shapes and _is_of_rgb(tensor.shape, shapes[name])]
    return {**tensors, **{name: adapt_input_conv(shapes[name][1], tensors[name]) for name in found}}, found


def _is_of_rgb(shape: torch.Size, wanted: torch.Size) -> bool:
    """Whether nothing but the number of channels, which are three here, keeps these weights from fitting."""
    if not len(shape) == len(wanted) == 4 or shape[1] != RGB or wanted[1] == RGB:
        return False
    return (shape[0], *shape[2:]) == (wanted[0], *wanted[2:])
