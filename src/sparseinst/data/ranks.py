"""Exact percentiles of many numbers that are looked at in parts, several times, and never held or sorted.

Floating numbers, their bits read as integers, are in order (negative ones with all bits turned). Of these integers the
16 highest bits of the wanted one are found by counting, then the next 16 among those that begin with them, and so on.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIGIT = 16
"""Bits that are counted at once."""

Part = NDArray[np.floating[Any]]


class Ranks:
    """Ranks of the finite ones among numbers.

    Args:
        parts: gives all numbers, every time that it is called, in arrays of one type: float32 or float64.
    """

    def __init__(self, parts: Callable[[], Iterable[Part]]) -> None:
        self._parts = parts
        self._first: NDArray[np.int64] | None = None
        self._bits = 32
        for keys in self._keys():
            self._bits = 8 * keys.dtype.itemsize
            counts = np.bincount((keys >> (self._bits - _DIGIT)).astype(np.int64), minlength=2**_DIGIT)
            self._first = counts if self._first is None else self._first + counts
        self.count = 0 if self._first is None else int(self._first.sum())

    def percentiles(self, wanted: Sequence[float]) -> list[float]:
        """What `numpy.percentile` gives.

        Args:
            wanted: 0..100; there must be a finite number.
        """
        places = (self.count - 1) * (np.array(wanted, np.float64) / 100)
        below = np.floor(places).astype(np.int64)
        above = np.minimum(below + 1, self.count - 1)
        low, high = self._at(below), self._at(above)
        share, step = places - below, high - low
        return [float(value) for value in np.where(share < 0.5, low + step * share, high - step * (1 - share))]

    def _at(self, ranks: NDArray[np.int64]) -> Part:
        """Numbers by their places in the order of all."""
        assert self._first is not None
        left = ranks.copy()
        found = np.array([_digit(self._first, left, number) for number in range(len(ranks))], np.int64).astype(object)
        for shift in range(self._bits - 2 * _DIGIT, -1, -_DIGIT):
            counts = {key: np.zeros(2**_DIGIT, np.int64) for key in set(found)}
            for keys in self._keys():
                begins = keys >> (shift + _DIGIT)
                for key, count in counts.items():
                    chosen = (keys[begins == key] >> shift) & (2**_DIGIT - 1)
                    count += np.bincount(chosen.astype(np.int64), minlength=2**_DIGIT)
            for number, key in enumerate(found):
                found[number] = (key << _DIGIT) | _digit(counts[key], left, number)
        return _numbers(found.astype(f"u{self._bits // 8}"))

    def _keys(self) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
        """The integers of each part's finite numbers."""
        for part in self._parts():
            finite = np.isfinite(part)
            bits = (part.ravel() if finite.all() else part[finite]).view(f"u{part.itemsize}")
            sign = bits.dtype.type(2 ** (8 * part.itemsize - 1))
            yield np.where(bits & sign, ~bits, bits | sign)


def _digit(counts: NDArray[np.int64], left: NDArray[np.int64], number: int) -> int:
    """The digit of what has a rank among those counted, and in place its rank among those that have this digit."""
    before = np.cumsum(counts)
    digit = int(np.searchsorted(before, left[number], side="right"))
    left[number] -= int(before[digit] - counts[digit])
    return digit


def _numbers(keys: NDArray[np.unsignedinteger[Any]]) -> Part:
    sign = keys.dtype.type(2 ** (8 * keys.dtype.itemsize - 1))
    bits = np.where(keys & sign, keys ^ sign, ~keys)
    return bits.view(f"f{keys.dtype.itemsize}")
