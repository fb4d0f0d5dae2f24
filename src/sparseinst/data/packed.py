"""Many strings, outlines and masks in a few arrays, which loader processes share instead of copying."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.masks import rle

_RUNS = 16384
"""Runs that are copied at once."""


@dataclass(frozen=True)
class Blobs:
    """Many byte strings as one array: n strings, no n Python objects."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    @classmethod
    def pack(cls, items: Sequence[bytes]) -> "Blobs":
        """Packs byte strings in order."""
        return cls(np.frombuffer(b"".join(items), np.uint8), starts([len(item) for item in items]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> bytes:
        return self.data[self.offsets[index] : self.offsets[index + 1]].tobytes()

    def take(self, rows: NDArray[np.int64]) -> "Blobs":
        """Some of the strings, in this order."""
        return Blobs(*take(self.data, self.offsets, rows))


@dataclass(frozen=True)
class Masks:
    """The masks of a instances: encoded, or outlines that are drawn when a mask is asked for.

    Args:
        encoded: a compressed run-length encodings, empty where there are outlines.
        corners: x0, y0, x1, y1, ... of all outlines (see `shortened`).
        outlines: (p + 1,) where each outline begins in `corners`.
        first: (a + 1,) where the outlines of each instance begin.
    """

    encoded: Blobs
    corners: NDArray[Any]
    outlines: NDArray[np.int64]
    first: NDArray[np.int64]

    @classmethod
    def of(cls, encoded: Sequence[bytes]) -> "Masks":
        """Masks that are all encoded."""
        return cls(Blobs.pack(encoded), np.zeros(0), np.zeros(1, np.int64), np.zeros(len(encoded) + 1, np.int64))

    def __len__(self) -> int:
        return len(self.encoded)

    def counts(self, index: int, size_hw: tuple[int, int]) -> bytes:
        """The compressed run-length encoding of a mask over its image."""
        own = slice(int(self.first[index]), int(self.first[index + 1]))
        if own.start == own.stop:
            return self.encoded[index]
        bounds = self.outlines[own.start : own.stop + 1].tolist()
        parts = [in_pixels(self.corners[a:b]).tolist() for a, b in pairwise(bounds)]
        return rle.from_polygons(parts, size_hw)

    def take(self, rows: NDArray[np.int64]) -> "Masks":
        """Some of the masks, in this order."""
        parts, first = take(np.arange(len(self.outlines) - 1), self.first, rows)
        return Masks(self.encoded.take(rows), *take(self.corners, self.outlines, parts), first)


def shortened(corners: NDArray[np.float64]) -> NDArray[Any]:
    """Coordinates as int32 hundredths of pixels, where that loses nothing: most files have two decimals."""
    hundredths = np.rint(corners * 100)
    fits = (np.abs(hundredths) < 2**31).all() and np.array_equal(hundredths / 100, corners)
    return hundredths.astype(np.int32) if fits else corners


def in_pixels(corners: NDArray[Any]) -> NDArray[np.float64]:
    """What `shortened` was given."""
    return corners / 100 if corners.dtype == np.int32 else corners


def starts(sizes: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """(n + 1,) where runs of these sizes begin, one after the other, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.asarray(sizes, np.int64))])


def take(
    values: NDArray[Any], offsets: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Values and offsets of some of the runs that offsets cut values into, in this order."""
    sizes = np.diff(offsets)[rows]
    begins = starts(sizes)
    found = np.empty(begins[-1], values.dtype)
    for first in range(0, len(rows), _RUNS):  # the places of all of them would be as much again
        part = slice(first, first + _RUNS)
        start, stop = begins[part][0], begins[min(first + _RUNS, len(rows))]
        shifts = np.repeat(offsets[rows[part]] - begins[:-1][part], sizes[part])
        found[start:stop] = values[np.arange(start, stop) + shifts]
    return found, begins
