"""The first half of pasting: masks brought to the width of the image, while they keep the height of the grid."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sparseinst.masks.grid import Frame, Patch, Patches

OUTSIDE = -1.0
"""Stands above and below every column of a window: less than any threshold."""
_CHUNK_CPU, _CHUNK_GPU = 2**18, 2**26
"""Stretched values held at once, of 4 bytes: what stays in a processor's cache, and what fills a GPU."""
_STRIP = 128
"""Columns of the image stretched at once: they touch few columns of the grid, and no product is worth two threads."""


Extent = tuple[int, int, int, int]
"""First and past-the-last row, first and past-the-last column."""


class Stretched(NamedTuple):
    """Masks at the width of the image and the height of the grid, each within its window.

    A window is its columns from left to right, and a column one value outside the mask, then its rows downwards.
    """

    values: Tensor
    """(values + 1,) all windows one after the other, and one value outside the mask."""
    edges: Tensor
    """(edges,) int64 places in the values where only one of this value and the next is above the threshold."""
    starts: Tensor
    """(n,) int64 where each window begins in the values."""
    strides: Tensor
    """(n,) int64 values of a column of each."""
    tops: Tensor
    """(n,) int64 first grid row of each."""
    lefts: Tensor
    """(n,) int64 first image column of each."""


def rows_used(grid: int, frame: Frame) -> int:
    """Rows of a grid of so many that matter to the image, the others being padding."""
    last = (frame.resized_hw[0] - 0.5) * grid / frame.frame_hw[0] - 0.5
    return min(grid, int(max(last, 0)) + 2)


def stretch_whole(masks: Tensor, frame: Frame, *, threshold: float) -> Iterator[Stretched]:
    """Stretches masks over the whole image in chunks: few large steps, as a GPU likes it.

    Args:
        masks: (n, h, w) probabilities over the padded frame.
        frame: sizes of the padded frame, of the image within it and of the original image.
        threshold: 0..1; a pixel belongs to a mask above it.
    """
    height, width = rows_used(masks.shape[1], frame), frame.original_hw[1]
    stride = (height + 1) * width
    chunks = masks[:, :height].split(max(1, _CHUNK_GPU // stride)) if len(masks) else ()
    for chunk in chunks:
        in_frame = F.interpolate(chunk, size=frame.frame_hw[1], mode="linear")[..., : frame.resized_hw[1]]
        in_image = F.interpolate(in_frame, size=width, mode="linear")
        values = masks.new_full((len(chunk) * stride + 1,), OUTSIDE)
        values[:-1].view(len(chunk), width, height + 1)[..., 1:] = in_image.transpose(1, 2)
        above = values > threshold
        changes = above[1:] != above[:-1]
        edges = changes.nonzero()[:, 0]
        starts = torch.arange(len(chunk), device=masks.device) * stride
        zeros = torch.zeros_like(starts)
        yield Stretched(values, edges, starts, zeros + height + 1, zeros, zeros)


def stretch_windows(masks: Patches, frame: Frame, *, threshold: float) -> Iterator[Stretched]:
    """Stretches masks in host memory, each in a window around what is above the threshold."""
    columns = _columns(masks.grid_hw[1], frame)
    windows = _windows(masks, frame, columns, threshold)
    sizes = (windows.rights - windows.lefts) * (windows.bottoms - windows.tops + 1)
    for chunk in _chunks(sizes):
        starts = np.cumsum(sizes[chunk]) - sizes[chunk]
        values = np.empty(sizes[chunk].sum() + 1, np.float32)
        values[-1] = OUTSIDE
        part = _Windows(*(side[chunk] for side in windows))
        patches = masks.items[chunk]
        for patch, start, size, top, bottom, left, right in zip(patches, starts, sizes[chunk], *part, strict=True):
            if size:
                window = values[start : start + size].reshape(right - left, -1)
                window[:, 0] = OUTSIDE
                rows = patch.values[top - patch.top : bottom - patch.top]
                _fill(window[:, 1:], rows.T, columns, left, patch.left)
        above = values > threshold
        edges = np.flatnonzero(above[1:] != above[:-1])  # NumPy: much faster than torch here
        strides = part.bottoms - part.tops + 1
        yield Stretched(*map(torch.from_numpy, (values, edges, starts, strides, part.tops, part.lefts)))


def _fill(window: NDArray[np.float32], mask: NDArray[np.float32], columns: "_Columns", left: int, first: int) -> None:
    """Stretches the rows of a mask (w, rows), whose columns begin at `first` of the grid, into a window (columns, rows)
    from an image column on.
    """
    for start in range(0, len(window), _STRIP):
        strip = window[start : start + _STRIP]
        begin, end = left + start, left + start + len(strip)
        touched = slice(columns.first[begin], columns.last[end - 1] + 1)
        own = mask[touched.start - first : touched.stop - first]
        np.matmul(columns.weights[begin:end, touched], own, out=strip)


class _Columns(NamedTuple):
    """How the columns of the image come from those of the grid."""

    weights: NDArray[np.float32]
    """(W, w), by both bilinear steps."""
    first: NDArray[np.int64]
    """(W,) first grid column of each; ascending."""
    last: NDArray[np.int64]
    """(W,) last grid column of each; ascending."""


class _Windows(NamedTuple):
    """(n,) each: rows of the grid, columns of the image; ends exclusive."""

    tops: NDArray[np.int64]
    bottoms: NDArray[np.int64]
    lefts: NDArray[np.int64]
    rights: NDArray[np.int64]


@lru_cache(maxsize=16)  # 1 to 3 MB each; the images of a film or a folder share a few frames
def _columns(grid: int, frame: Frame) -> _Columns:
    in_frame = F.interpolate(torch.eye(grid)[None], size=frame.frame_hw[1], mode="linear")[..., : frame.resized_hw[1]]
    weights = F.interpolate(in_frame, size=frame.original_hw[1], mode="linear")[0].T.contiguous().numpy()
    touched = weights > 0
    return _Columns(weights, touched.argmax(1), grid - 1 - touched[:, ::-1].argmax(1))


def _windows(masks: Patches, frame: Frame, columns: _Columns, threshold: float) -> _Windows:
    """Where masks can be above the threshold, and the rows that decide where exactly."""
    rows = masks.grid_hw[0]
    height = rows_used(rows, frame)
    extents = [_extent(patch, height, threshold) for patch in masks.items]
    tops, bottoms, lefts, rights = np.array(extents, np.int64).reshape(-1, 4).T
    # A row of the frame next to the outline may lie one row of the frame, and so this many of the grid, further out.
    margin = 1 + -(-rows // frame.frame_hw[0])
    empty = bottoms == 0
    tops, bottoms = np.maximum(tops - margin, 0), np.minimum(bottoms + margin, height)
    lefts = np.searchsorted(columns.last, lefts, side="left")
    rights = np.searchsorted(columns.first, rights - 1, side="right")
    return _Windows(*(np.where(empty, 0, side) for side in (tops, bottoms, lefts, rights)))


def _extent(patch: Patch, height: int, threshold: float) -> Extent:
    """Of the grid above the threshold, in its first `height` rows."""
    top, bottom, left, right = extent_of(patch.values[: max(0, height - patch.top)] > threshold)
    if not bottom:
        return 0, 0, 0, 0
    return patch.top + top, patch.top + bottom, patch.left + left, patch.left + right


def extent_of(seen: NDArray[np.bool_]) -> Extent:
    """First and past-the-last row and column of an (h, w) mask; zeros where there is nothing in it."""
    rows, columns = (np.flatnonzero(np.logical_or.reduce(seen, axis=axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _chunks(sizes: NDArray[np.int64]) -> Iterator[slice]:
    """Consecutive masks whose windows hold at most `_CHUNK_CPU` values together, or one mask that alone holds more."""
    start = total = 0
    for i, size in enumerate(sizes.tolist()):
        if i > start and total + size > _CHUNK_CPU:
            yield slice(start, i)
            start, total = i, 0
        total += size
    if start < len(sizes):
        yield slice(start, len(sizes))
