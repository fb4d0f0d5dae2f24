"""Pixels that lie in blocks (tiles, strips or chunks of a file): windows of them, with the last blocks kept."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseinst.errors import InputError
from sparseinst.masks.grid import Window

Load = Callable[[Window], NDArray[Any]]
"""Gives the (h, w, channels) values of a block's window; raises whatever a decoder raises on damaged bytes."""

LARGEST_BLOCK = 2**26
"""Bytes of a decoded block that is held beside others: 64 MiB."""
BLOCK_PX = 512
"""Side of blocks where the file does not say, and least side of those that are put together of small chunks."""

_MOST_PIXELS = 2**35
"""Of an image, as encoded masks have it."""


class Layout(NamedTuple):
    """What the header of a file says of an image's pixels."""

    size_hw: tuple[int, int]
    block_hw: tuple[int, int]
    channels: int
    """1 grey, 3 RGB or 4 RGBA."""
    dtype: np.dtype[Any]


class Raster:
    """An image whose blocks are decoded when they are asked for; not for several threads at once.

    Args:
        name: of the file, for errors.
        layout: its size, and how it is cut.
        load: decodes a block.
        cache_bytes: most bytes of decoded blocks that are kept, but for the last one.

    Raises:
        InputError: the image has no pixel or too many.
    """

    def __init__(self, name: str, layout: Layout, load: Load, cache_bytes: int) -> None:
        height, width = layout.size_hw
        if not 0 < height * width < _MOST_PIXELS or min(*layout.size_hw, *layout.block_hw) < 1:
            raise InputError(
                f"{name}: expected an image of 1 to {_MOST_PIXELS:,} pixels, got {height} x {width}: "
                "replace it, or cut it into parts"
            )
        self.name, self.layout, self._load, self._cache_bytes = name, layout, load, cache_bytes
        self._kept: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()
        self._kept_bytes = 0

    def read(self, window: Window) -> NDArray[Any]:
        """(h, w, channels) values of a window within the image.

        Raises:
            ValueError: the window is empty or reaches beyond the image.
            InputError: the file is damaged.
        """
        for side, most in zip(window, self.layout.size_hw, strict=True):
            if not 0 <= side.start < side.stop <= most:
                raise ValueError(f"window must lie within {self.layout.size_hw} pixels, got {window}: clip it")
        rows, columns = window
        out = np.empty((rows.stop - rows.start, columns.stop - columns.start, self.layout.channels), self.layout.dtype)
        for block in self._blocks(window):
            to, part = zip(*(_shared(mine, of) for mine, of in zip(window, block, strict=True)), strict=True)
            out[to] = self._block(block)[part]
        return out

    def sample(self, most: int) -> NDArray[Any]:
        """(n, channels) pixels on a regular grid over the image, at most about `most`; all if there are no more."""
        (height, width), channels = self.layout.size_hw, self.layout.channels
        step = math.ceil(math.sqrt(height * width / most))
        parts = [  # flattened here, which copies: a view would keep its whole block
            self._decoded(block)[-block[0].start % step :: step, -block[1].start % step :: step].reshape(-1, channels)
            for block in self._blocks((slice(0, height), slice(0, width)))
            if all(-side.start % step < side.stop - side.start for side in block)
        ]
        return np.concatenate(parts)

    def _blocks(self, window: Window) -> Iterator[Window]:
        """The blocks that a window meets, row by row, clipped to the image."""
        rows, columns = (
            [
                slice(start, min(start + block, side))
                for start in range(mine.start // block * block, mine.stop, block)
            ]
            for mine, block, side in zip(window, self.layout.block_hw, self.layout.size_hw, strict=True)
        )  # fmt: skip
        return ((row, column) for row in rows for column in columns)

    def _block(self, block: Window) -> NDArray[Any]:
        place = (block[0].start, block[1].start)
        if place in self._kept:
            self._kept.move_to_end(place)
            return self._kept[place]
        values = self._kept[place] = self._decoded(block)
        self._kept_bytes += values.nbytes
        while self._kept_bytes > self._cache_bytes and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return values

    def _decoded(self, block: Window) -> NDArray[Any]:
        rows, columns = block
        shape = (rows.stop - rows.start, columns.stop - columns.start, self.layout.channels)
        try:
            values = self._load(block)
            if values.shape != shape:
                raise ValueError(f"its pixels are {values.shape} instead of {shape}")
        except Exception as error:  # decoders have no common class for what they find in damaged bytes
            raise InputError(
                f"{self.name}: expected a whole file, could not decode rows {rows.start} to {rows.stop}, columns "
                f"{columns.start} to {columns.stop} ({error or type(error).__name__}): replace it"
            ) from error
        return values


class Source(NamedTuple):
    """An open file."""

    base: Raster
    reduced: Callable[[], Sequence[Raster]]
    """The smaller versions of the image that the file holds, smaller and smaller."""
    close: Callable[[], None]
    orientation: int = 1
    """How the image is to be seen, by EXIF (1..8)."""


def _shared(window: slice, block: slice) -> tuple[slice, slice]:
    """What a window and a block share, in the pixels of each."""
    start, stop = max(window.start, block.start), min(window.stop, block.stop)
    return slice(start - window.start, stop - window.start), slice(start - block.start, stop - block.start)
