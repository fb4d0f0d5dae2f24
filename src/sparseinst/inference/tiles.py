"""Large and crowded images in tiles: cut, segmented like any image, and brought together again."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from sparseinst.activation import ActivationMaps
from sparseinst.config import NativeConfig, PreprocessConfig
from sparseinst.data.geometry import MULTIPLE_PX, Prepared, shrinks
from sparseinst.errors import InputError
from sparseinst.inference.batches import Explained
from sparseinst.inference.merging import merge
from sparseinst.masks.grid import Window
from sparseinst.modeling import without_small_pieces
from sparseinst.structures import Instances

Part = TypeVar("Part")

OVERLAP_SHARE = 4
"""Without an overlap given, neighbouring tiles share a quarter of a tile, and never more by themselves."""
SEEN_PX = 36
"""Network pixels around an object that a tile has to show for its score and mask to be those of one pass, up to a few
hundredths; what is further away matters less and less."""
ONE_MARGIN = 3
"""Of an overlap made for them, a third is the object and a third on either side what is seen around it."""
_LEAST_STEPS = 3
"""Tiles begin at multiples of the coarsest stride where their distance is at least so many of those."""


@dataclass(frozen=True)
class Tiling:
    """How images are cut.

    Args:
        tile: side of a tile in pixels of the original image.
        overlap: pixels that neighbouring tiles share at least. What is no larger is seen whole by some tile.
        align: tiles begin at multiples of so many pixels. Where these are whole cells of the network's coarsest grid, a
            tile is seen as the whole image is.

    Raises:
        InputError: a tile of fewer than 2 pixels, or an overlap outside 1 .. tile / 2.
    """

    tile: int
    overlap: int
    align: int = 1

    def __post_init__(self) -> None:
        if self.tile < 2:
            raise InputError(f"tile must be at least 2 pixels, got {self.tile}: take about the network's own frame")
        if not 1 <= self.overlap <= self.tile // 2:
            raise InputError(
                f"overlap must be in 1..{self.tile // 2} pixels (half of tile {self.tile}), got {self.overlap}: "
                "take the size of most objects"
            )

    @classmethod
    def of(cls, tile: int | None, overlap: int | None, preprocess: PreprocessConfig | None = None) -> Self | None:
        """The tiling of two options, aligned to the grids of a network at native scale; None without a tile.

        Raises:
            InputError: an overlap without a tile, or one of them out of range.
        """
        if tile is None:
            if overlap is not None:
                raise InputError(f"overlap {overlap}: expected a tile size with it, got none: give tile, too")
            return None
        overlap = max(1, tile // OVERLAP_SHARE) if overlap is None else overlap
        plain = cls(tile, overlap)
        align = _alignment(preprocess) if isinstance(preprocess, NativeConfig) else None
        return plain if align is None or _LEAST_STEPS * align > tile - overlap else cls(tile, overlap, align)

    @property
    def margin(self) -> int:
        """Pixels around an object that a tile shows, if it is to be believed more than one that shows less."""
        return max(1, self.overlap // ONE_MARGIN)

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
        furthest = (self.tile - self.overlap) // self.align * self.align
        steps = max(0, math.ceil((side - self.tile) / furthest))
        if not steps:
            return [0]
        # Rounded up: no two are further apart than `furthest`, and the last one is the shorter.
        return [-(-(step * (side - self.tile) // steps) // self.align) * self.align for step in range(steps + 1)]


def own_tiling(size_hw: tuple[int, int], preprocess: PreprocessConfig) -> Tiling | None:
    """The tiling of an image that is too large for one pass at native scale; None for all others.

    What is too large is stated by the model (`NativeConfig.one_pass_px`) or by its fixed frame, never by the machine:
    results do not depend on it.
    """
    if not isinstance(preprocess, NativeConfig):
        return None
    frame, scale = preprocess.frame_hw, preprocess.scale
    if frame is None:
        fits = size_hw[0] * size_hw[1] * scale**2 <= preprocess.one_pass_px**2
    else:
        fits = not shrinks(size_hw, preprocess)
    if fits:
        return None
    largest = largest_tiles(preprocess)
    return replace(largest, tile=_no_larger_than_needed(size_hw, largest.tile, largest.overlap, largest.align))


def largest_tiles(preprocess: NativeConfig) -> Tiling:
    """The tiling whose tiles fill one pass; `own_tiling` makes them as small as each image allows."""
    frame, scale = preprocess.frame_hw, preprocess.scale
    side = max(4, int((preprocess.one_pass_px if frame is None else min(frame)) / scale))
    overlap = math.ceil((preprocess.largest_px or 0) + 2 * SEEN_PX / scale)
    align = _alignment(preprocess)
    if align is not None:
        # Tile and overlap of whole network pixels, too: a tile is then resized by the scale itself.
        unit = Fraction(scale).limit_denominator(_FINEST).denominator
        overlap = -(-overlap // unit) * unit
    if align is None or (side - overlap) // align < _LEAST_STEPS or OVERLAP_SHARE * overlap > side:
        align, overlap = 1, max(1, min(overlap, side // OVERLAP_SHARE))
    return Tiling(side, overlap, align)


def _no_larger_than_needed(size_hw: tuple[int, int], tile: int, overlap: int, align: int) -> int:
    """The smallest tile that needs no more tiles than this one."""
    furthest = (tile - overlap) // align * align
    steps = [math.ceil((side - overlap) / math.ceil((side - overlap) / furthest)) for side in size_hw if side > tile]
    return -(-max(steps) // align) * align + overlap if steps else tile


_FINEST = 100
"""Scales are taken for fractions with denominators up to this."""


def _alignment(config: NativeConfig) -> int | None:
    """The fewest pixels of an image that are whole cells of the coarsest grid, if the scale is a simple fraction.

    >>> [_alignment(NativeConfig(scale=scale)) for scale in (1.0, 1.4, 0.5, 0.123456)]
    [32, 160, 64, None]
    """
    scale = Fraction(config.scale).limit_denominator(_FINEST)
    if abs(float(scale) - config.scale) > 1e-9:
        return None
    return MULTIPLE_PX * scale.denominator // math.gcd(MULTIPLE_PX * scale.denominator, scale.numerator)


class Cut(NamedTuple):
    """An image as the network takes it: whole, or in tiles.

    Tiles are prepared when their turn comes, so that no more of them are held than the network needs at once.
    """

    windows: tuple[Window, ...]
    parts: Iterable[Prepared]
    """The windows' images, in their order; to be gone through once."""
    size_hw: tuple[int, int]
    margin: int
    """Of the tiling."""


def cut(image: NDArray[np.uint8], tiling: Tiling | None, prepare: Callable[[NDArray[np.uint8]], Prepared]) -> Cut:
    """Cuts an (H, W, 3) uint8 RGB image; without a tiling, or where one tile holds it all, it is prepared now."""
    size_hw = (image.shape[0], image.shape[1])
    windows = ((slice(0, size_hw[0]), slice(0, size_hw[1])),) if tiling is None else tiling.windows(size_hw)
    parts = (prepare(image[window]) for window in windows)
    margin = 0 if tiling is None else tiling.margin
    return Cut(windows, parts if len(windows) > 1 else tuple(parts), size_hw, margin)


def join_cuts(
    cuts: Iterable[Cut],
    segment: Callable[[Iterable[Prepared]], Iterator[Part]],
    bring_together: Callable[[list[Part], Cut], Part],
) -> Iterator[Part]:
    """Finds what whole images show through their tiles, which are segmented in one stream.

    Args:
        cuts: the images; each is asked for when those before it have been given to `segment`.
        segment: gives what is found in each prepared image, in their order.
        bring_together: makes one of what the several tiles of an image showed (`one_of_tiles`, `one_of_explained`).

    Returns:
        For each image, in their order.
    """
    waiting: deque[Cut] = deque()

    def parts() -> Iterator[Prepared]:
        for item in cuts:
            waiting.append(item)
            yield from item.parts

    found = segment(parts())
    for first in found:
        done = waiting.popleft()
        own = [first, *islice(found, len(done.windows) - 1)]
        yield first if len(own) == 1 else bring_together(own, done)


def one_of_tiles(parts: list[Instances], cut: Cut, *, least_piece: float = 0.0) -> Instances:
    """The instances of an image from those of its tiles (see `merging.merge`).

    Args:
        parts: of each tile.
        cut: the image.
        least_piece: pieces below this share of a mask are dropped, for views of the same object may fail to meet.
    """
    merged, _ = merge(parts, cut.windows, cut.size_hw, margin=cut.margin)
    return without_small_pieces(merged, least=least_piece)


def one_of_explained(parts: list[Explained], cut: Cut, *, least_piece: float = 0.0) -> Explained:
    """The same with activation maps: those of the tile whose view of an object came first."""
    merged, leaders = merge([instances for instances, _ in parts], cut.windows, cut.size_hw, margin=cut.margin)
    origins = [(rows.start, columns.start) for rows, columns in cut.windows]
    maps = ActivationMaps.joined([maps for _, maps in parts], origins, cut.size_hw)[leaders]
    return without_small_pieces(merged, least=least_piece), maps
