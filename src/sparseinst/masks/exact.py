"""Masks in the pixels of the original image as published: what `masks.paste` is measured against."""

from torch import Tensor
from torch.nn import functional as F

from sparseinst.masks.grid import Frame


def paste_exact(masks: Tensor, frame: Frame) -> Tensor:
    """Brings masks to the original image by the published two bilinear steps, densely: the reference of `masks.paste`.

    Args:
        masks: (n, h, w) probabilities over the padded frame.
        frame: sizes of the padded frame, of the image within it from its top left corner and of the original image.

    Returns:
        (n, H, W) probabilities at the original size.
    """
    in_frame = F.interpolate(masks[None], size=frame.frame_hw, mode="bilinear", align_corners=False)
    cropped = in_frame[:, :, : frame.resized_hw[0], : frame.resized_hw[1]]
    return F.interpolate(cropped, size=frame.original_hw, mode="bilinear", align_corners=False)[0]
