"""From mask probabilities at the mask stride to pixels of the original image."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sparseinst.structures import Frame

RESCORE_EPSILON = 1e-6


def mean_inside(masks: Tensor, *, threshold: float) -> Tensor:
    """Mean probability of a mask's pixels above the threshold, (B, N), for (B, N, h, w); 0 where there is none."""
    inside = (masks > threshold).to(masks.dtype)
    return (masks * inside).flatten(2).sum(2) / (inside.flatten(2).sum(2) + RESCORE_EPSILON)


def paste_exact(masks: Tensor, frame: Frame) -> Tensor:
    """Brings masks to the original image by the published two bilinear steps, densely: the reference of `ops.paste`.

    Args:
        masks: (n, h, w) probabilities over the padded frame.
        frame: sizes of the padded frame, of the image within it from its top left corner and of the original image.

    Returns:
        (n, H, W) probabilities at the original size.
    """
    in_frame = F.interpolate(masks[None], size=frame.frame_hw, mode="bilinear", align_corners=False)
    cropped = in_frame[:, :, : frame.resized_hw[0], : frame.resized_hw[1]]
    return F.interpolate(cropped, size=frame.original_hw, mode="bilinear", align_corners=False)[0]


def fill_padding(images: Tensor, resized_hw: Tensor, mean: Tensor) -> Tensor:
    """Sets what lies outside each image to the mean, so that it is 0 once normalised.

    Args:
        images: (B, 3, H, W) of any type, 0..255.
        resized_hw: (B, 2) int64 height and width of each image within the frame.
        mean: (3,) floating, 0..255.

    Returns:
        (B, 3, H, W) in the type of `mean`.
    """
    rows = torch.arange(images.shape[2], device=images.device)[None] < resized_hw[:, :1]  # (B, H)
    columns = torch.arange(images.shape[3], device=images.device)[None] < resized_hw[:, 1:]  # (B, W)
    valid = rows[:, None, :, None] & columns[:, None, None, :]
    return torch.where(valid, images.to(mean.dtype), mean[:, None, None])
