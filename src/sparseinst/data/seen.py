"""Which of an image's pixels a changed one shows, so that its masks are drawn where it looks and nowhere else."""

from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sparseinst.masks.runs import Strips, numbered

_Places = NDArray[np.int64]


class Seen(NamedTuple):
    """A view of an image after crops, resizes, flips and quarter turns, each pixel being the nearest one of the image.

    Args:
        down: (h,) rows of the image that the view's rows show (columns, where it is turned), ascending or descending.
        across: (w,) the same of the view's columns.
        turned: whether the view's rows are columns of the image.
    """

    down: _Places
    across: _Places
    turned: bool = False

    @classmethod
    def whole(cls, hw: tuple[int, int]) -> Self:
        """The image as it is."""
        return cls(np.arange(hw[0]), np.arange(hw[1]))

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width of the view."""
        return len(self.down), len(self.across)

    def crop(self, window: tuple[slice, slice]) -> Self:
        """A window of the view."""
        return self._replace(down=self.down[window[0]], across=self.across[window[1]])

    def resize(self, hw: tuple[int, int]) -> Self:
        """The view at another size, pixel centres on pixel centres as in the image's resize.

        (torchvision resizes masks by the nearest pixel of the corners, half a pixel beside the image.)
        """
        return self._replace(down=_resized(self.down, hw[0]), across=_resized(self.across, hw[1]))

    def flip(self, *, vertical: bool) -> Self:
        """Upside down, or left and right changed."""
        return self._replace(down=self.down[::-1]) if vertical else self._replace(across=self.across[::-1])

    def turn(self, quarters: int) -> Self:
        """Counterclockwise by a number of quarter turns, as `torch.rot90` does."""
        down, across, turned = self
        for _ in range(quarters % 4):
            down, across, turned = across[::-1], down, not turned
        return self._replace(down=down, across=across, turned=turned)

    def sampled(self, stride: int, offsets: tuple[int, ...]) -> Self:
        """Some pixels of each cell of a grid: those at the offsets from its start, along both axes."""
        down, across = (
            places[np.isin(np.arange(len(places)) % stride, offsets)] for places in (self.down, self.across)
        )
        return self._replace(down=down, across=across)

    def place(self, strips: Strips, image_hw: tuple[int, int]) -> Strips:
        """Masks of the image as the view shows them, on a canvas of its own.

        Args:
            strips: of the masks over the image.
            image_hw: height and width of the image.

        Returns:
            Strips on a canvas whose rows are the image's rows in the view, and whose columns are its columns: the view
            itself, or, where that is turned, the view with its axes exchanged.
        """
        rows, columns = (self.across, self.down) if self.turned else (self.down, self.across)
        row_ends, column_ends = _ends(rows, image_hw[0]), _ends(columns, image_hw[1])
        tops, bottoms = _between(row_ends[strips.tops], row_ends[strips.bottoms])
        firsts, stops = _between(column_ends[strips.columns], column_ends[strips.columns + 1])
        counts = np.where(tops < bottoms, stops - firsts, 0)  # a column may be shown several times, or not at all
        where = np.repeat(np.arange(len(counts)), counts)
        return Strips(firsts[where] + numbered(counts), tops[where], bottoms[where], strips.owners[where])


def draw_layers(strips: Strips, seen: Seen, image_hw: tuple[int, int]) -> NDArray[np.int32]:
    """Label layers (see `sparseinst.data.targets`) of masks as a view shows them.

    Args:
        strips: of the masks over the image, mask after mask.
        seen: the view.
        image_hw: height and width of the image.

    Returns:
        (L, h, w) int32, L >= 1.
    """
    placed = seen.place(strips, image_hw)
    width, height = seen.hw if seen.turned else seen.hw[::-1]
    lengths = placed.bottoms - placed.tops
    pixels = np.repeat(placed.columns * height + placed.tops, lengths) + numbered(lengths)
    labels = np.repeat(placed.owners, lengths).astype(np.int32) + 1
    layer = np.zeros(height * width, np.int32)
    layer[pixels] = labels
    layers = [layer] if np.array_equal(layer[pixels], labels) else _colored(pixels, labels, height * width)
    canvases = [layer.reshape(width, height) for layer in layers]  # columns first
    return np.stack([canvas if seen.turned else np.ascontiguousarray(canvas.T) for canvas in canvases])


def _resized(places: _Places, side: int) -> _Places:
    if len(places) == side:
        return places
    return places[(2 * np.arange(side) + 1) * len(places) // (2 * side)]


def _ends(places: _Places, side: int) -> _Places:
    """(side + 1,) such that those of the places that lie in [a, b) are numbered from the a-th to the b-th entry."""
    edges = np.arange(side + 1)
    if len(places) and places[0] > places[-1]:
        return np.asarray(len(places) - np.searchsorted(places[::-1], edges), np.int64)
    return np.searchsorted(places, edges).astype(np.int64, copy=False)


def _between(one: _Places, other: _Places) -> tuple[_Places, _Places]:
    return np.minimum(one, other), np.maximum(one, other)


def _colored(pixels: _Places, labels: NDArray[np.int32], size: int) -> list[NDArray[np.int32]]:
    """Gives each instance the first layer in which its pixels are free (greedy colouring)."""
    layers: list[NDArray[np.int32]] = []
    bounds = np.flatnonzero(np.diff(labels, prepend=0, append=0))
    for start, stop in pairwise(bounds):
        mine = pixels[start:stop]
        layer = next((layer for layer in layers if not layer[mine].any()), None)
        if layer is None:
            layer = np.zeros(size, np.int32)
            layers.append(layer)
        layer[mine] = labels[start]
    return layers
