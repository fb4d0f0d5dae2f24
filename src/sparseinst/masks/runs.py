"""Runs of compressed COCO masks, for many masks at once: what drawing hundreds of instances in one array needs.

A mask is a sequence of runs, background first, in column order; the compressed form writes each run in groups of five
bits, from the fourth on as the difference to the run two before. (The libraries decode to one dense mask each.)
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_Longs = NDArray[np.int64]

_PAINTED_AT_ONCE = 2**22
"""Pixels: what painting takes beside the canvas is bounded."""


class Strips(NamedTuple):
    """Foreground of several masks, cut at the ends of columns: each (strips,), in pixels."""

    columns: _Longs
    tops: _Longs
    bottoms: _Longs
    """Row after the last."""
    owners: _Longs
    """Mask of each."""

    def chosen(self, keep: NDArray[np.bool_]) -> "Strips":
        """Some of them, (strips,)."""
        return Strips(*(values[keep] for values in self))

    def paint(self, canvas: NDArray[Any], colors: NDArray[Any]) -> None:
        """Sets the pixels of each strip to the colour of its mask; of strips that overlap, the last one stays.

        Args:
            canvas: (width, height), columns first and contiguous, which all strips lie within.
            colors: (masks,) values of each mask's pixels.
        """
        flat, starts, lengths = canvas.reshape(-1), self.columns * canvas.shape[1] + self.tops, self.bottoms - self.tops
        reach = np.cumsum(lengths)
        cuts = np.searchsorted(reach, np.arange(0, reach[-1] if len(reach) else 0, _PAINTED_AT_ONCE))
        for first, stop in pairwise([*cuts.tolist(), len(reach)]):
            part = slice(first, stop)
            pixels = np.repeat(starts[part], lengths[part]) + numbered(lengths[part])
            flat[pixels] = np.repeat(colors[self.owners[part]], lengths[part])


class Runs(NamedTuple):
    """The runs of several masks, one mask after the other."""

    lengths: _Longs
    """(runs,) pixels of each run, background and foreground in turn, each mask beginning with background."""
    offsets: _Longs
    """(masks + 1,) where each mask's runs begin."""

    @property
    def totals(self) -> _Longs:
        """(masks,) pixels of the whole image, as the runs add up to."""
        return self._sums(self.lengths)

    @property
    def areas(self) -> _Longs:
        """(masks,) foreground pixels."""
        return self._sums(np.where(self._foreground, self.lengths, 0))

    def spans(self) -> tuple[_Longs, _Longs, _Longs]:
        """Foreground runs: where each begins and ends as column-order indices (spans,), and its mask (spans,)."""
        ends = np.cumsum(self.lengths)
        before = np.concatenate([[0], ends])[self.offsets[:-1]]
        owner = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))
        ends -= before[owner]
        chosen = self._foreground & (self.lengths > 0)
        return (ends - self.lengths)[chosen], ends[chosen], owner[chosen]

    def pixels(self) -> tuple[_Longs, _Longs]:
        """Foreground pixels as column-order indices into the image (pixels,), and the mask of each (pixels,)."""
        starts, ends, owner = self.spans()
        lengths = ends - starts
        return np.repeat(starts, lengths) + numbered(lengths), np.repeat(owner, lengths)

    def strips(self, height: int) -> Strips:
        """Foreground runs cut at the ends of columns, mask after mask, in column order; `height` is the image's."""
        starts, ends, owners = self.spans()
        first = starts // height
        counts = (ends - 1) // height - first + 1
        columns = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        tops = np.maximum(np.repeat(starts, counts) - columns * height, 0)
        bottoms = np.minimum(np.repeat(ends, counts) - columns * height, height)
        return Strips(columns, tops, bottoms, np.repeat(owners, counts))

    def dense(self, mask: int, height: int, window: tuple[slice, slice]) -> NDArray[np.bool_]:
        """Part of one mask, as drawn: what lies in the window's columns is made, not the whole image.

        Args:
            mask: number of the mask.
            height: of the image.
            window: rows and columns, with start and stop.
        """
        rows, columns = window
        lengths = self.lengths[self.offsets[mask] : self.offsets[mask + 1]]
        ends = np.clip(np.cumsum(lengths), columns.start * height, columns.stop * height)
        within = np.diff(ends, prepend=columns.start * height)
        pixels = np.repeat(np.arange(len(within)) % 2 == 1, within)
        return np.ascontiguousarray(pixels.reshape(-1, height).T[rows])

    @property
    def _foreground(self) -> NDArray[np.bool_]:
        return np.asarray(_position(self.offsets) % 2 == 1, np.bool_)

    def _sums(self, values: _Longs) -> _Longs:
        cumulated = np.concatenate([[0], np.cumsum(values)])
        return np.asarray(cumulated[self.offsets[1:]] - cumulated[self.offsets[:-1]], np.int64)


def decode_runs(counts: Sequence[bytes]) -> Runs:
    """Decodes compressed masks, each at least one byte long.

    Raises:
        ValueError: bytes that no encoder writes.
    """
    sizes = np.array([len(item) for item in counts], np.int64)
    if not sizes.all():
        raise ValueError("expected at least one byte a mask, got an empty run-length encoding")
    codes = np.frombuffer(b"".join(counts), np.uint8).astype(np.int64) - 48
    if not codes.size:
        return Runs(np.zeros(0, np.int64), np.zeros(1, np.int64))
    last = (codes & 32) == 0
    mask_ends = np.cumsum(sizes)
    if codes.min() < 0 or codes.max() > 63 or not last[mask_ends - 1].all():
        raise ValueError("expected a compressed COCO run-length encoding, got other bytes")
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    groups = ends - starts + 1
    if groups.max() > 7:  # 35 bits: more pixels than any image has
        raise ValueError("expected runs of fewer than 2**35 pixels, got a longer one")
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, groups))
    values = np.add.reduceat((codes & 31) << shifts, starts)
    values -= np.where(codes[ends] & 16, np.int64(1) << (5 * groups), 0)  # sign
    offsets = np.concatenate([[0], np.searchsorted(ends, mask_ends)])
    _undo_differences(values, _position(offsets))
    if values.min() < 0:
        raise ValueError("expected runs of 0 pixels or more, got a negative one")
    return Runs(values, offsets)


def numbered(lengths: _Longs) -> _Longs:
    """0, 1, ... up to each length, one after the other.

    >>> numbered(np.array([3, 0, 2])).tolist()
    [0, 1, 2, 0, 1]
    """
    return np.asarray(np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths), np.int64)


def _position(offsets: _Longs) -> _Longs:
    """(runs,) number of each run within its mask."""
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))


def _undo_differences(values: _Longs, position: _Longs) -> None:
    """Adds to every run from the fourth on the run two before it, in place; odd and even runs are separate chains."""
    for first in (1, 2):
        chain = np.flatnonzero((position >= first) & (position % 2 == first % 2))
        if not len(chain):
            continue
        steps = values[chain]
        begins = position[chain] == first
        cumulated = np.cumsum(steps)
        before = (cumulated - steps)[begins]
        values[chain] = cumulated - before[np.cumsum(begins) - 1]
