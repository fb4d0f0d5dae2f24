"""Noised versions of target masks: moved, scaled, grown and shrunk."""

import torch
from torch import Tensor
from torch.nn import functional as F

SHIFT, STRETCH = 0.2, 0.3
"""Largest shift, in extents of the mask, and largest change of its extent, as a factor of it."""


def noised(masks: Tensor) -> Tensor:
    """A randomly noised version of each mask, by torch's global generator of the masks' device.

    Each is shifted and stretched along both axes (by at most `SHIFT` and `STRETCH`), then grown or shrunk by a cell or
    neither. A mask of which nothing would be left stays as it is.

    Args:
        masks: (T, h, w) floating, 0..1.

    Returns:
        (T, h, w) in 0..1.
    """
    random = 2 * torch.rand(len(masks), 4, device=masks.device, dtype=masks.dtype) - 1
    changed = moved(masks, shift=SHIFT * random[:, :2], stretch=1 + STRETCH * random[:, 2:])
    grown, shrunk = _highest(changed), -_highest(-changed)
    choice = torch.randint(3, (len(masks), 1, 1), device=masks.device)
    changed = torch.where(choice == 0, grown, torch.where(choice == 1, shrunk, changed))
    left = changed.flatten(1).sum(1) > 0.5  # half a cell
    return torch.where(left[:, None, None], changed, masks)


def moved(masks: Tensor, *, shift: Tensor, stretch: Tensor) -> Tensor:
    """Shifts each mask by multiples of its extent and stretches it about its centre; what leaves the grid is lost.

    The extent along an axis is that of a box with the same spread of mass.

    Args:
        masks: (T, h, w) floating, 0..1.
        shift: (T, 2) along x and y, in extents of the mask.
        stretch: (T, 2) along x and y, above 0; 1 for none.

    Returns:
        (T, h, w) in 0..1, sampled bilinearly.
    """
    _, height, width = masks.shape
    x, y = (torch.arange(size, device=masks.device, dtype=masks.dtype) for size in (width, height))
    sampled = []
    for axis, (places, mass) in enumerate(((x, masks.sum(1)), (y, masks.sum(2)))):
        share = mass / mass.sum(1, keepdim=True).clamp(min=1e-6)  # (T, size)
        centre = (share * places).sum(1)
        extent = (12 * (share * (places - centre[:, None]).square()).sum(1) + 1).sqrt()  # of one cell: 1
        source = (places - (centre + shift[:, axis] * extent)[:, None]) / stretch[:, axis, None] + centre[:, None]
        sampled.append((2 * source + 1) / len(places) - 1)  # (T, size) in grid_sample's -1..1
    across, down = sampled
    grid = torch.stack(torch.broadcast_tensors(across[:, None, :], down[:, :, None]), dim=3)  # (T, h, w, 2)
    return F.grid_sample(masks[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[:, 0]


def _highest(masks: Tensor) -> Tensor:
    """Of the 3x3 cells around each."""
    return F.max_pool2d(masks[:, None], 3, stride=1, padding=1)[:, 0]
