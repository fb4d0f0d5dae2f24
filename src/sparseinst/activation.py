"""The activation maps of the instances that were found: which pixels speak for each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparseinst.masks.grid import Frame

Box = tuple[int, int, int, int]
"""Part of an image: x0, y0, x1, y1 in its pixels, end exclusive."""

_NOTHING = 1e-6
"""Share of a map's peak below which a cell says nothing."""


@dataclass(frozen=True, eq=False)  # arrays have no truth value to compare by
class ActivationMaps:
    """The activation maps of the instances of one image, in the order of the instances.

    They stay on the network's grid, each where it is more than nothing, and one at a time is brought to the size of the
    image when it is asked for.

    Args:
        crops: of each instance (G, rows, columns) float32 in 0..1. Of a sigmoid network the probability of each cell;
            of a softmax network its share. Either way a map divided by its sum is the weights by which the network
            gathers the features of the slot.
        corners: (n, 2) float64 y, x of the top left corner of each crop in pixels of the image.
        cells_px: (n, 2) float64 height and width of a cell in them.
        size_hw: height and width of the image.
        groups: maps an instance, G.
    """

    crops: tuple[NDArray[np.float32], ...]
    corners: NDArray[np.float64]
    cells_px: NDArray[np.float64]
    size_hw: tuple[int, int]
    groups: int

    def __post_init__(self) -> None:
        shapes = {crop.shape for crop in self.crops if crop.ndim != 3 or crop.shape[0] != self.groups}
        if shapes or not self.corners.shape == self.cells_px.shape == (len(self.crops), 2):
            raise ValueError(
                f"expected n crops ({self.groups}, rows, columns), corners and cells_px (n, 2), got crops "
                f"{sorted(shapes) or len(self.crops)}, {self.corners.shape} and {self.cells_px.shape}: see "
                "activation_maps"
            )

    @classmethod
    def of(cls, values: NDArray[np.float32], frame: Frame) -> Self:
        """Whole maps (n, G, h/2, w/2) of an image over its padded frame; what is nothing is cut off."""
        cell_px = _cell_px((values.shape[2], values.shape[3]), frame)
        windows = [_extent(maps) for maps in values]
        crops = tuple(maps[:, rows, columns] for maps, (rows, columns) in zip(values, windows, strict=True))
        starts = np.array([[rows.start, columns.start] for rows, columns in windows], float).reshape(-1, 2)
        return cls(crops, starts * cell_px, np.tile(cell_px, (len(crops), 1)), frame.original_hw, values.shape[1])

    @classmethod
    def joined(cls, parts: Sequence[Self], origins: Sequence[tuple[int, int]], size_hw: tuple[int, int]) -> Self:
        """The maps of all instances of an image's tiles, tile after tile.

        Args:
            parts: of each tile.
            origins: first row and column of each in the image.
            size_hw: height and width of the image.
        """
        moved = [part.corners + np.array(origin, float) for part, origin in zip(parts, origins, strict=True)]
        crops = sum((part.crops for part in parts), ())
        cells_px = np.concatenate([part.cells_px for part in parts])
        return cls(crops, np.concatenate(moved), cells_px, size_hw, parts[0].groups)

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(
        self, index: int | np.integer[Any] | slice | NDArray[np.bool_] | NDArray[np.int64] | Sequence[int]
    ) -> Self:
        """Part of the maps: what takes a part of the instances takes theirs."""
        order = np.arange(len(self))[[int(index)] if isinstance(index, int | np.integer) else index]
        crops = tuple(self.crops[i] for i in order)
        return type(self)(crops, self.corners[order], self.cells_px[order], self.size_hw, self.groups)

    @property
    def peaks(self) -> NDArray[np.float32]:
        """(n, G) the largest value of each map within the image, in 0..1."""
        peaks = np.zeros((len(self), self.groups), np.float32)
        for i, crop in enumerate(self.crops):
            rows, columns = np.ceil((np.array(self.size_hw) - self.corners[i]) / self.cells_px[i]).astype(int)
            peaks[i] = crop[:, : max(rows, 0), : max(columns, 0)].max((1, 2), initial=0)
        return peaks

    def upsampled(
        self, index: int, *, box: Box | None = None, size_hw: tuple[int, int] | None = None
    ) -> NDArray[np.float32]:
        """The maps of one instance over the image or a part of it, bilinear, without the padding.

        Args:
            index: which instance.
            box: the part; None is the whole image.
            size_hw: height and width of the result; None takes those of the part.

        Returns:
            (G, height, width) float32 in 0..1; 0 where a map is nothing.
        """
        height, width = self.size_hw
        x0, y0, x1, y1 = (0, 0, width, height) if box is None else box
        out_h, out_w = (y1 - y0, x1 - x0) if size_hw is None else size_hw
        y, x = y0 + _centres(out_h) * (y1 - y0), x0 + _centres(out_w) * (x1 - x0)
        maps = self.crops[index]
        for axis, places in ((1, y), (2, x)):
            cell_px, side = self.cells_px[index, axis - 1], self.size_hw[axis - 1]
            cells = (places - self.corners[index, axis - 1]) / cell_px
            # Cells beyond the image are padding, which no place in it is to see.
            inside = math.ceil((side - self.corners[index, axis - 1]) / cell_px)
            maps = _interpolated(maps, axis, cells, min(maps.shape[axis], inside))
        return maps

    def share_within(self, index: int, box: Box) -> NDArray[np.float64]:
        """(G,) the part, in 0..1, of each map's weight on cells whose centre is in a box of the image."""
        maps = self.crops[index].astype(np.float64)
        y, x = (
            corner + (np.arange(count) + 0.5) * cell
            for count, corner, cell in zip(maps.shape[1:], self.corners[index], self.cells_px[index], strict=True)
        )
        x0, y0, x1, y1 = box
        inside = ((y >= y0) & (y < y1))[:, None] & ((x >= x0) & (x < x1))
        share: NDArray[np.float64] = (maps * inside).sum((1, 2)) / np.maximum(maps.sum((1, 2)), np.finfo(float).tiny)
        return share


def activation_maps(
    logits: Tensor, slots: NDArray[np.int64], frame: Frame, *, groups: int, activation: Literal["sigmoid", "softmax"]
) -> ActivationMaps:
    """The maps of the slots that became instances.

    Args:
        logits: (G*N, h/2, w/2) of one image, as in `Candidates.activation`: group g of slot n is at g*N + n.
        slots: (n,) the slots wanted: `Instances.slots`.
        frame: the sizes of the image.
        groups: G, `decoder.groups` of the network's settings.
        activation: how the network normalises its maps, `decoder.activation` of its settings.

    Example:
        >>> import numpy as np, torch
        >>> from sparseinst.masks.grid import Frame
        >>> logits = torch.zeros(2 * 5, 4, 4)  # 2 groups of 5 slots
        >>> logits[1 * 5 + 3, 2, 0] = 4.0  # group 1 of slot 3
        >>> frame = Frame((32, 32), (32, 32), (64, 64))
        >>> maps = activation_maps(logits, np.array([0, 3]), frame, groups=2, activation="sigmoid")
        >>> maps.peaks.astype(float).round(2).tolist()
        [[0.5, 0.5], [0.5, 0.98]]
        >>> maps.upsampled(1).shape
        (2, 64, 64)
    """
    by_group = logits.unflatten(0, (groups, -1))  # (G, N, h/2, w/2)
    chosen = by_group[:, torch.from_numpy(slots).to(logits.device)].transpose(0, 1).float()  # (n, G, h/2, w/2)
    # the bias that a softmax network adds to all logits cancels
    values = chosen.flatten(2).softmax(2).view_as(chosen) if activation == "softmax" else chosen.sigmoid()
    return ActivationMaps.of(values.cpu().numpy(), frame)


def _cell_px(grid_hw: tuple[int, int], frame: Frame) -> NDArray[np.float64]:
    """(2,) height and width of a cell in pixels of the original image."""
    sides = zip(grid_hw, *frame, strict=True)
    return np.array([framed / cells * original / resized for cells, framed, resized, original in sides])


def _extent(maps: NDArray[np.float32]) -> tuple[slice, slice]:
    """Rows and columns outside which all (G, rows, columns) maps of an instance are nothing beside their peaks, and one
    more on either side, so that a map fades away.
    """
    seen = (maps > _NOTHING * maps.max((1, 2), keepdims=True)).any(0)
    rows, columns = (np.flatnonzero(seen.any(axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0, 1), slice(0, 1)
    return slice(max(0, int(rows[0]) - 1), int(rows[-1]) + 2), slice(max(0, int(columns[0]) - 1), int(columns[-1]) + 2)


def _centres(count: int) -> NDArray[np.float64]:
    """(count,) centres of equal parts of 0..1."""
    centres: NDArray[np.float64] = (np.arange(count) + 0.5) / count
    return centres


def _interpolated(
    values: NDArray[np.float32], axis: int, cells: NDArray[np.float64], count: int
) -> NDArray[np.float32]:
    """Values at places, counted in cells from the first one's beginning, along an axis of which `count` cells matter:
    between centres linear, beyond the first and last centre theirs, and beyond those cells 0.
    """
    positions = (cells - 0.5).clip(0, max(count - 1, 0))
    low = positions.astype(np.int64)
    shape: list[Any] = [None] * values.ndim
    shape[axis] = slice(None)
    fraction = (positions - low).astype(np.float32)[tuple(shape)]
    below, above = values.take(low, axis), values.take(np.minimum(low + 1, max(count - 1, 0)), axis)
    outside = ((cells < 0) | (cells > count))[tuple(shape)]
    result: NDArray[np.float32] = np.where(outside, np.float32(0), below + (above - below) * fraction)
    return result
