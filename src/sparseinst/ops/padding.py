"""What lies in a frame beside its image."""

import torch
from torch import Tensor


def fill_padding(images: Tensor, resized_hw: Tensor, mean: Tensor) -> Tensor:
    """Sets what lies outside each image to the mean, so that it is 0 once normalised.

    Args:
        images: (B, channels, H, W) of any type, 0..255.
        resized_hw: (B, 2) int64 height and width of each image within the frame.
        mean: (3,) floating, 0..255.

    Returns:
        (B, channels, H, W) in the type of `mean`.
    """
    rows = torch.arange(images.shape[2], device=images.device)[None] < resized_hw[:, :1]  # (B, H)
    columns = torch.arange(images.shape[3], device=images.device)[None] < resized_hw[:, 1:]  # (B, W)
    valid = rows[:, None, :, None] & columns[:, None, None, :]
    return torch.where(valid, images.to(mean.dtype), mean[:, None, None])
