"""An image as the network takes it: resized, padded, in batches."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as transforms

from sparseinst.config.preprocess import PreprocessConfig
from sparseinst.data.geometry import frame_of
from sparseinst.masks.grid import Frame


class Prepared(NamedTuple):
    """One image at the network's scale, not yet padded."""

    image: Tensor
    """(channels, h, w) uint8."""
    frame: Frame
    """Padded, resized and original size."""


def resize(image: Tensor, hw: tuple[int, int]) -> Tensor:
    """Antialiased bilinear resize, like Pillow's, of a (channels, H, W) uint8 image to (channels, *hw)."""
    if tuple(image.shape[-2:]) == tuple(hw):
        return image
    if tuple(hw) == (1, 1) and image.shape[-2] > 1:  # torch's kernel refuses it (INTERNAL ASSERT FAILED)
        column = resize(image, (image.shape[-2], 1))
        return resize(column.transpose(-1, -2).contiguous(), (1, 1))
    resized: Tensor = transforms.resize_image(image, list(hw), antialias=True)
    return resized


def prepare(image: NDArray[np.uint8], config: PreprocessConfig) -> Prepared:
    """Resizes an (H, W, channels) uint8 image for the network; see `Prepared`."""
    frame = frame_of((image.shape[0], image.shape[1]), config)
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    return Prepared(resize(pixels, frame.resized_hw).contiguous(), frame)


def pad(values: Tensor, hw: tuple[int, int]) -> Tensor:
    """Zero-pads the last two axes at the bottom and right to `hw`."""
    height, width = values.shape[-2:]
    if (height, width) == tuple(hw):
        return values
    return functional.pad(values, (0, hw[1] - width, 0, hw[0] - height))


def stack(prepared: Sequence[Prepared]) -> tuple[Tensor, Tensor]:
    """Pads images of one frame to it.

    Returns:
        images (B, channels, H, W) uint8, zero-padded at the bottom and right, and resized_hw (B, 2) int64.

    Raises:
        ValueError: there is no image, or the frames differ.
    """
    frames = {item.frame.frame_hw for item in prepared}
    if len(frames) != 1:
        raise ValueError(f"expected images of one padded frame, got {sorted(frames)}: group them by frame_hw first")
    images = torch.stack([pad(item.image, item.frame.frame_hw) for item in prepared])
    return images, torch.tensor([item.frame.resized_hw for item in prepared], dtype=torch.int64)
