"""How large images are cut: where tiles begin, and which images are cut without being asked for."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Self

from sparseinst.config.preprocess import NativeConfig, PreprocessConfig
from sparseinst.data.geometry import MULTIPLE_PX, shrinks
from sparseinst.errors import InputError
from sparseinst.masks.grid import Window

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
    return replace(largest, tile=_no_larger_than_needed(size_hw, largest))


def largest_tiles(preprocess: NativeConfig) -> Tiling:
    """The tiling whose tiles fill one pass; `own_tiling` makes them as small as each image allows."""
    frame, scale = preprocess.frame_hw, preprocess.scale
    side = max(4, int((preprocess.one_pass_px if frame is None else min(frame)) / scale))
    overlap = math.ceil((preprocess.largest_px or 0) + 2 * SEEN_PX / scale)
    align = _alignment(preprocess)
    if align is not None:
        # Tile and overlap of whole network pixels, too: a tile is then resized by the scale itself.
        unit = Fraction(scale).limit_denominator(_FINEST).denominator
        overlap, side = -(-overlap // unit) * unit, side // unit * unit
    if align is None or (side - overlap) // align < _LEAST_STEPS or OVERLAP_SHARE * overlap > side:
        align, overlap = 1, max(1, min(overlap, side // OVERLAP_SHARE))
    return Tiling(side, overlap, align)


def _no_larger_than_needed(size_hw: tuple[int, int], largest: Tiling) -> int:
    """The smallest tile that needs no more tiles than the largest, of whole network pixels as that is."""
    unit = math.gcd(largest.overlap, largest.align)
    furthest = (largest.tile - largest.overlap) // largest.align * largest.align
    least = 0
    for side in size_hw:
        count = 1 + max(0, -(-(side - largest.tile) // furthest))
        # At their best distance tiles overlap just enough and reach just the end; it is a multiple of `align`, too.
        exact = (side - largest.overlap) // count
        below = exact // largest.align * largest.align
        distances = [step for step in (below, below + largest.align) if step <= furthest]
        least = max(least, min(max(step + largest.overlap, side - (count - 1) * step) for step in distances))
    return min(largest.tile, -(-least // unit) * unit)


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
