"""Polygons of many instances as arrays: checked, measured and thinned out together."""

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.packed import in_pixels, shortened, starts, take
from sparseinst.data.segmentation import FAR, LONGEST_OUTLINE_PX

_LEAST = 6
"""Numbers of an outline of three points; fewer outline nothing."""
_INRADIUS_PX = 1.0
"""An outline around a disc of this radius covers a pixel's centre, however COCO's drawing rounds its corners."""


class Outlines(NamedTuple):
    """Outlines of n instances; fields as those of `Masks`."""

    corners: NDArray[Any]
    outlines: NDArray[np.int64]
    first: NDArray[np.int64]

    @classmethod
    def of(cls, polygons: Sequence[Sequence[Sequence[float]]], sizes_hw: NDArray[np.int64]) -> "Outlines | None":
        """Polygons of n instances, those of three points or more; None if one of them is not as COCO has them.

        Args:
            polygons: for each instance [x0, y0, x1, y1, ...] of each part.
            sizes_hw: (n, 2) of their images.
        """
        parts = list(chain.from_iterable(polygons))
        sizes = np.fromiter(map(len, parts), np.int64, len(parts))
        farthest = FAR * sizes_hw.max(axis=1, initial=0)
        owners = np.repeat(np.arange(len(polygons)), np.fromiter(map(len, polygons), np.int64, len(polygons)))
        small = np.flatnonzero(sizes < _LEAST)
        lines = [(parts[place], farthest[owners[place]]) for place in small.tolist()]
        if (sizes % 2).any() or not all(abs(value) <= most for line, most in lines for value in line):
            return None
        if lines:
            parts, keep = [part for part in parts if len(part) >= _LEAST], sizes >= _LEAST
            sizes, owners = sizes[keep], owners[keep]
        corners = np.fromiter(chain.from_iterable(parts), np.float64, int(sizes.sum()))
        found = cls(corners, starts(sizes), starts(np.bincount(owners, minlength=len(polygons))))
        low, high = found.boxes()
        if not (np.maximum(-low, high).max(axis=1, initial=0) <= farthest[owners]).all():  # false for nan, too
            return None
        at_most = (high - low).sum(axis=1) * sizes  # nearly always short enough not to be measured
        if (at_most > LONGEST_OUTLINE_PX).any() and (found.lengths() > LONGEST_OUTLINE_PX).any():
            return None
        return found

    @classmethod
    def joined(cls, several: list["Outlines"], rows: NDArray[np.int64]) -> "Outlines":
        """Those of some of the instances of all, in this order; the list is used up, for two copies of all are much."""
        sizes, counts = (
            np.concatenate([np.zeros(0, np.int64), *map(np.diff, parts)])
            for parts in ([one.outlines for one in several], [one.first for one in several])
        )
        order, first = take(np.arange(len(sizes)), starts(counts), rows)
        outlines = starts(sizes[order])
        goal = np.full(len(sizes), -1)
        goal[order] = outlines[:-1]
        kind = np.int32 if all(one.corners.dtype == np.int32 for one in several) else np.float64
        corners, seen = np.empty(outlines[-1], kind), 0
        for one in reversed(several):  # the last first, which can be taken off
            seen += len(one.outlines) - 1
            own = goal[len(goal) - seen :][: len(one.outlines) - 1]
            wanted = np.flatnonzero(own >= 0)
            values, begins = take(one.corners, one.outlines, wanted)
            values = values if kind == np.int32 else in_pixels(values)
            corners[np.arange(len(values)) + np.repeat(own[wanted] - begins[:-1], np.diff(begins))] = values
            several.pop()
        return cls(corners, outlines, first)

    def shortened(self) -> "Outlines":
        """The same in less memory, where that loses nothing; to be joined, no longer to be measured."""
        return self._replace(corners=shortened(self.corners))

    def parts(self, row: int) -> list[list[float]]:
        """The polygons of an instance."""
        bounds = self.outlines[self.first[row] : self.first[row + 1] + 1].tolist()
        return [self.corners[a:b].tolist() for a, b in pairwise(bounds)]

    def only(self, keep: NDArray[np.bool_]) -> "Outlines":
        """The same instances, outlines only for some of them."""
        counts = np.diff(self.first)
        stay = np.flatnonzero(np.repeat(keep, counts))
        return Outlines(*take(self.corners, self.outlines, stay), starts(np.where(keep, counts, 0)))

    def areas(self) -> NDArray[np.float64]:
        """(p,) area within each outline."""
        here, there = self._edges()
        return np.abs(self._sums(here[:, 0] * there[:, 1] - here[:, 1] * there[:, 0])) / 2

    def lengths(self) -> NDArray[np.float64]:
        """(p,) length of each outline."""
        here, there = self._edges()
        return self._sums(np.hypot(*(there - here).T))

    def boxes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(p, 2) lowest and highest x, y of each outline."""
        points = self.corners.reshape(-1, 2)
        if not len(points):
            return points, points
        begins = self.outlines[:-1] // 2
        return np.minimum.reduceat(points, begins), np.maximum.reduceat(points, begins)

    def _edges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(k, 2) corners and the corner that follows each on its outline; every outline has some."""
        here = self.corners.reshape(-1, 2)
        there = np.roll(here, -1, axis=0)
        there[self.outlines[1:] // 2 - 1] = here[self.outlines[:-1] // 2]
        return here, there

    def _sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(p,) sums over the corners of each outline."""
        return np.add.reduceat(values, self.outlines[:-1] // 2) if len(values) else values


def is_surely_seen(outlines: Outlines, sizes_hw: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) which instances cover a pixel of their image for certain; of the others only drawing them tells.

    An outline inside the image holds a disc of radius area / length or more (Bonnesen). (One that goes round the same
    line twice has area here and, drawn, none.)
    """
    counts = np.diff(outlines.first)
    owners = np.repeat(np.arange(len(counts)), counts)
    low, high = outlines.boxes()
    inside = (low >= 0).all(axis=1) & (high <= sizes_hw[owners][:, ::-1]).all(axis=1)
    areas = outlines.areas()
    thick = (areas >= _INRADIUS_PX * outlines.lengths()) & (areas > 0)  # all corners at one place have neither
    seen = np.zeros(len(counts), np.bool_)
    seen[owners[inside & thick]] = True
    return seen
