"""From mask probabilities to encoded masks of the original image, with no dense mask of that size in between.

Gives the pixels of `masks.paste_exact` above the threshold. Its two bilinear steps work on each axis alone, and what
they make lies between its neighbours on the grid. So down a column of the image a mask begins or ends only between two
grid rows of which one is above the threshold and the other is not. Masks are therefore stretched to the image's width
only, in the window where they are above the threshold at all; where neighbours differ in that, two straight lines give
the row of the image. The cost is that of the windows at grid height, and of the outlines.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from sparseinst.masks.compress import compress
from sparseinst.masks.grid import Frame, Patches
from sparseinst.masks.stretch import Stretched, rows_used, stretch_whole, stretch_windows


def encode_pasted(masks: Tensor | Patches, frame: Frame, *, threshold: float) -> tuple[bytes, ...]:
    """Brings masks to the original image as `masks.paste_exact` does, and encodes what is above the threshold.

    Args:
        masks: (n, h, w) probabilities over the padded frame, or the parts of them that matter.
        frame: sizes of the padded frame, of the image within it and of the original image.
        threshold: 0..1.

    Returns:
        n compressed COCO run-length encodings over the original image.
    """
    if isinstance(masks, Tensor):
        if masks.device.type != "cpu":
            parts = stretch_whole(masks.detach().float(), frame, threshold=threshold)
            return encode_stretched(parts, frame, grid=masks.shape[1], threshold=threshold)
        masks = Patches.of(masks)
    parts = stretch_windows(masks, frame, threshold=threshold)
    return encode_stretched(parts, frame, grid=masks.grid_hw[0], threshold=threshold)


def encode_stretched(parts: Iterable[Stretched], frame: Frame, *, grid: int, threshold: float) -> tuple[bytes, ...]:
    """Encodes stretched masks whose grid has so many rows in all; otherwise as `encode_pasted`."""
    height, width = frame.original_hw
    codes: list[bytes] = []
    for part in parts:
        edges, owners = edges_in_image(part, frame, grid=grid, threshold=threshold)
        codes += compress(edges, owners, masks=len(part.starts), pixels=height * width)
    return tuple(codes)


def edges_in_image(part: Stretched, frame: Frame, *, grid: int, threshold: float) -> tuple[Tensor, Tensor]:
    """Edges and owners of stretched masks, as `compress` takes them."""
    owners = _owners(part)
    starts, strides, tops, lefts = (
        of.index_select(0, owners) for of in (part.starts, part.strides, part.tops, part.lefts)
    )
    columns = (part.edges - starts) // strides
    rows = part.edges - starts - columns * strides - 1 + tops
    y = _image_rows(part, rows, frame, grid, threshold)
    return (columns + lefts) * frame.original_hw[0] + y, owners


def _owners(part: Stretched) -> Tensor:
    """(edges,) int64 window that each edge lies in; the same as a search for each, at a fraction of the time."""
    first = torch.searchsorted(part.edges, part.starts[1:])
    steps = torch.zeros(len(part.edges) + 1, dtype=torch.int64, device=first.device)
    return steps.scatter_add_(0, first, torch.ones_like(first)).cumsum(0)[:-1]


def _image_rows(part: Stretched, rows: Tensor, frame: Frame, grid: int, threshold: float) -> Tensor:
    """(edges,) int64 first row of the image beyond each edge, which lies between the grid's `rows` and the next."""
    resized, original = frame.resized_hw[0], frame.original_hw[0]
    # First step: the first row of the frame beyond the edge. What is beyond the grid's ends is beyond the frame's.
    upper, lower = part.values.index_select(0, part.edges), part.values.index_select(0, part.edges + 1)
    below = _first_beyond(upper, lower, rows, frame.frame_hw[0] / grid, threshold)
    below = torch.where(rows < 0, 0, torch.where(rows == rows_used(grid, frame) - 1, resized, below))
    # Second step: the same between that row of the frame and the one above it.
    inside = below.clamp(1, max(1, resized - 1))
    upper, lower = (_frame_values(part, part.edges - rows, row, frame, grid) for row in (inside - 1, inside))
    y = _first_beyond(upper, lower, inside - 1, original / resized, threshold).clamp(0, original)
    return torch.where(below < 1, 0, torch.where(below >= resized, original, y))


def _first_beyond(upper: Tensor, lower: Tensor, rows: Tensor, scale: float, threshold: float) -> Tensor:
    """First row, of those `scale` times as dense, where the line from `upper` at `rows` to `lower` below is across."""
    share = ((threshold - upper) / (lower - upper)).nan_to_num(0.5).clamp(0, 1)
    position = (rows + share.double() + 0.5) * scale - 0.5
    after = (position + 1).to(torch.int64)
    # A value equal to the threshold is not above it: a mask begins after that place, and ends at it.
    return after - ((lower <= threshold) & (after == position + 1)).to(torch.int64)


def _frame_values(part: Stretched, origins: Tensor, rows: Tensor, frame: Frame, grid: int) -> Tensor:
    """(edges,) values at rows of the frame, of columns whose grid row 0 would be at `origins` in the values."""
    position = ((rows + 0.5) * (grid / frame.frame_hw[0]) - 0.5).clamp(0, grid - 1)
    above = position.to(torch.int64)
    places = (origins + above).clamp(0, len(part.values) - 2)
    upper, lower = part.values.index_select(0, places), part.values.index_select(0, places + 1)
    return torch.lerp(upper, lower, (position - above).to(upper.dtype))
