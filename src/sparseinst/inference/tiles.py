"""Large and crowded images in tiles: cut, segmented like any image, and brought together again."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sparseinst.config import NativeConfig, PreprocessConfig
from sparseinst.data.preprocess import Prepared
from sparseinst.errors import InputError
from sparseinst.inference.merging import merge
from sparseinst.inference.strips import Window
from sparseinst.modeling import without_small_pieces
from sparseinst.structures import Instances

OVERLAP_SHARE = 4
"""Without an overlap given, neighbouring tiles share a quarter of a tile."""


ONE_PASS_PX = 1024
"""Side of the largest square, in network pixels, that is seen in one pass at native scale."""


@dataclass(frozen=True)
class Tiling:
    """How images are cut.

    Args:
        tile: side of a tile in pixels of the original image.
        overlap: pixels that neighbouring tiles share at least. What is no larger is seen whole by some tile.

    Raises:
        InputError: a tile of fewer than 2 pixels, or an overlap outside 1 .. tile / 2.
    """

    tile: int
    overlap: int

    def __post_init__(self) -> None:
        if self.tile < 2:
            raise InputError(f"tile must be at least 2 pixels, got {self.tile}: take about the network's own frame")
        if not 1 <= self.overlap <= self.tile // 2:
            raise InputError(
                f"overlap must be in 1..{self.tile // 2} pixels (half of tile {self.tile}), got {self.overlap}: "
                "take the size of most objects"
            )

    @classmethod
    def of(cls, tile: int | None, overlap: int | None) -> Self | None:
        """The tiling of two options; None without a tile.

        Raises:
            InputError: an overlap without a tile, or one of them out of range.
        """
        if tile is None:
            if overlap is not None:
                raise InputError(f"overlap {overlap}: expected a tile size with it, got none: give tile, too")
            return None
        return cls(tile, max(1, tile // OVERLAP_SHARE) if overlap is None else overlap)

    def windows(self, size_hw: tuple[int, int]) -> tuple[Window, ...]:
        """The fewest tiles that cover an image of (height, width), row by row, spread so that overlaps are alike.

        An image is not cut along a side that is no longer than a tile.
        """
        rows, columns = (self._starts(side) for side in size_hw)
        return tuple(
            (slice(y, min(y + self.tile, size_hw[0])), slice(x, min(x + self.tile, size_hw[1])))
            for y in rows
            for x in columns
        )

    def _starts(self, side: int) -> list[int]:
        steps = max(0, math.ceil((side - self.tile) / (self.tile - self.overlap)))
        return [step * (side - self.tile) // steps for step in range(steps + 1)] if steps else [0]


def own_tiling(size_hw: tuple[int, int], preprocess: PreprocessConfig) -> Tiling | None:
    """The tiling of an image that is too large for one pass at native scale; None for all others.

    The masks of one pass take memory by the square of its area, so a pass sees at most `ONE_PASS_PX` squared.
    """
    if not isinstance(preprocess, NativeConfig) or preprocess.frame_hw is not None:
        return None
    if size_hw[0] * size_hw[1] * preprocess.scale**2 <= ONE_PASS_PX**2:
        return None
    return Tiling.of(max(2, int(ONE_PASS_PX / preprocess.scale)), None)


class Cut(NamedTuple):
    """An image as the network takes it: whole, or in tiles.

    Tiles are prepared when their turn comes, so that no more of them are held than the network needs at once.
    """

    windows: tuple[Window, ...]
    parts: Iterable[Prepared]
    """The windows' images, in their order; to be gone through once."""
    size_hw: tuple[int, int]


def cut(image: NDArray[np.uint8], tiling: Tiling | None, prepare: Callable[[NDArray[np.uint8]], Prepared]) -> Cut:
    """Cuts an (H, W, 3) uint8 RGB image; without a tiling, or where one tile holds it all, it is prepared now."""
    size_hw = (image.shape[0], image.shape[1])
    windows = ((slice(0, size_hw[0]), slice(0, size_hw[1])),) if tiling is None else tiling.windows(size_hw)
    parts = (prepare(image[window]) for window in windows)
    return Cut(windows, parts if len(windows) > 1 else tuple(parts), size_hw)


def segment_cuts(
    cuts: Iterable[Cut], segment: Callable[[Iterable[Prepared]], Iterator[Instances]], *, least_piece: float = 0.0
) -> Iterator[Instances]:
    """Finds the instances of whole images through their tiles, which are segmented in one stream.

    Args:
        cuts: the images; each is asked for when those before it have been given to `segment`.
        segment: gives the instances of each prepared image, in their order.
        least_piece: pieces below this share of a mask are dropped from what several tiles showed, too.

    Returns:
        The instances of each image, in their order (see `merging.merge`).
    """
    waiting: deque[Cut] = deque()

    def parts() -> Iterator[Prepared]:
        for item in cuts:
            waiting.append(item)
            yield from item.parts

    found = segment(parts())
    for first in found:
        done = waiting.popleft()
        merged = merge([first, *islice(found, len(done.windows) - 1)], done.windows, done.size_hw)
        # Views of the same object may fail to meet. The masks of a whole image are as `segment` gives them.
        yield merged if len(done.windows) == 1 else without_small_pieces(merged, least=least_piece)
