"""The activation maps of the instances that were found: which pixels speak for each (paper, section 3.2)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparseinst.structures import Frame

Window = tuple[int, int, int, int]
"""Part of an image: x0, y0, x1, y1 in its pixels, end exclusive."""


@dataclass(frozen=True, eq=False)  # arrays have no truth value to compare by
class ActivationMaps:
    """The activation maps of the instances of one image, in the order of the instances.

    They stay on the network's grid, and one at a time is brought to the size of the image when it is asked for.

    Args:
        values: (n, G, h/2, w/2) float32 in 0..1 over the padded frame. Of a sigmoid network the probability of each
            cell; of a softmax network its share, so that a map sums to 1. Either way a map divided by its sum is the
            weights by which the network gathers the features of the slot.
        frame: the sizes of the image.
    """

    values: NDArray[np.float32]
    frame: Frame

    def __post_init__(self) -> None:
        if self.values.ndim != 4:
            raise ValueError(f"values must be (n, G, h/2, w/2), got {self.values.shape}: see activation_maps")

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(
        self, index: int | np.integer[Any] | slice | NDArray[np.bool_] | NDArray[np.int64] | Sequence[int]
    ) -> Self:
        """Part of the maps: what takes a part of the instances takes theirs."""
        return type(self)(self.values[[int(index)] if isinstance(index, int | np.integer) else index], self.frame)

    @property
    def groups(self) -> int:
        """Maps an instance, G."""
        return int(self.values.shape[1])

    @property
    def peaks(self) -> NDArray[np.float32]:
        """(n, G) the largest value of each map within the image, in 0..1."""
        rows, columns = self.cells
        peaks: NDArray[np.float32] = self.values[:, :, :rows, :columns].max((2, 3))
        return peaks

    def upsampled(
        self, index: int, *, window: Window | None = None, size_hw: tuple[int, int] | None = None
    ) -> NDArray[np.float32]:
        """The maps of one instance over the image or a part of it, bilinear, without the padding.

        Args:
            index: which instance.
            window: the part; None is the whole image.
            size_hw: height and width of the result; None takes those of the part.

        Returns:
            (G, height, width) float32 in 0..1, as `values`.
        """
        height, width = self.frame.original_hw
        x0, y0, x1, y1 = (0, 0, width, height) if window is None else window
        out_h, out_w = (y1 - y0, x1 - x0) if size_hw is None else size_hw
        per_row, per_column = self._cells_per_px
        rows, columns = self.cells
        maps = self.values[index, :, :rows, :columns]
        maps = _interpolated(maps, 1, (y0 + _centres(out_h) * (y1 - y0)) * per_row - 0.5)
        return _interpolated(maps, 2, (x0 + _centres(out_w) * (x1 - x0)) * per_column - 0.5)

    def share_within(self, index: int, window: Window) -> NDArray[np.float64]:
        """(G,) the part, in 0..1, of each map's weight on cells whose centre is in a window of the image."""
        maps = self.values[index].astype(np.float64)
        y, x = (_centres(count) * count / per for count, per in zip(maps.shape[1:], self._cells_per_px, strict=True))
        x0, y0, x1, y1 = window
        inside = ((y >= y0) & (y < y1))[:, None] & ((x >= x0) & (x < x1))
        share: NDArray[np.float64] = (maps * inside).sum((1, 2)) / np.maximum(maps.sum((1, 2)), np.finfo(float).tiny)
        return share

    @property
    def _cells_per_px(self) -> tuple[float, float]:
        """Cells of the grid per pixel of the original image, down and across."""
        rows, columns = (
            grid / framed * resized / original
            for grid, framed, resized, original in zip(self.values.shape[2:], *self.frame, strict=True)
        )
        return rows, columns

    @property
    def extent(self) -> tuple[float, float]:
        """Rows and columns of the grid that the image takes, up to a part of a cell; the rest is padding."""
        rows, columns = (
            grid * resized / framed
            for grid, framed, resized in zip(self.values.shape[2:], *self.frame[:2], strict=True)
        )
        return rows, columns

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of the grid that reach into the image."""
        rows, columns = self.extent
        return math.ceil(rows), math.ceil(columns)


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
        >>> from sparseinst.structures import Frame
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
    return ActivationMaps(values.cpu().numpy(), frame)


def _centres(count: int) -> NDArray[np.float64]:
    """(count,) centres of equal parts of 0..1."""
    centres: NDArray[np.float64] = (np.arange(count) + 0.5) / count
    return centres


def _interpolated(values: NDArray[np.float32], axis: int, positions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Values at fractional places along one axis; beyond the ends, the values there."""
    last = values.shape[axis] - 1
    positions = positions.clip(0, last)
    low = positions.astype(np.int64)
    shape: list[Any] = [None] * values.ndim
    shape[axis] = slice(None)
    fraction = (positions - low).astype(np.float32)[tuple(shape)]
    below, above = values.take(low, axis), values.take(np.minimum(low + 1, last), axis)
    result: NDArray[np.float32] = below + (above - below) * fraction
    return result
