"""Outlines of masks along the edges of their pixels: what they enclose is the mask, to the pixel."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sparseinst.masks import rle
from sparseinst.structures import Instances

Ring = NDArray[np.int32]
"""(points, 2) corners x, y of a closed line, the first not repeated."""


def outlines(instances: Instances, index: int) -> list[list[Ring]]:
    """The pieces (4-connected) of a mask in pixels of the image, each its outer ring, then those of its holes.

    A pixel x, y covers x .. x + 1 and y .. y + 1, as in Fiji and QuPath.
    """
    mask, corner = rle.cutout(instances.rles[index], instances.size_hw)
    if not mask.any():
        return []
    return [[ring + np.array(corner, np.int32) for ring in piece] for piece in pieces_of(mask)]


def pieces_of(mask: NDArray[np.bool_]) -> list[list[Ring]]:
    """The same of an (h, w) mask, the largest piece first."""
    rings = _rings(mask)
    areas = [ring_area(ring) for ring in rings]
    outer = [ring for ring, area in zip(rings, areas, strict=True) if area > 0]
    outer.sort(key=ring_area, reverse=True)
    pieces = [[ring] for ring in outer]
    for ring, area in zip(rings, areas, strict=True):
        if area < 0:
            # the smallest piece around a pixel of the hole; a hole may hold a piece that holds a hole
            around = [piece for piece in pieces if _holds(piece[0], _inner(ring))]
            around[-1].append(ring)
    return pieces


def ring_area(ring: Ring | NDArray[np.float64]) -> float:
    """Area in pixels; below 0 for a ring that runs the other way round, as those of holes do."""
    x, y = ring[:, 0].astype(float), ring[:, 1].astype(float)
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _rings(mask: NDArray[np.bool_]) -> list[Ring]:
    """Closed lines with the mask at their right hand, as seen in an image whose y goes down."""
    padded = np.pad(mask, 1)
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (dy, dx), (start, end) in _SIDES.items():
        beyond = np.roll(padded, (-dy, -dx), (0, 1))
        for y, x in (np.argwhere(padded & ~beyond) - 1).tolist():
            following.setdefault((x + start[0], y + start[1]), []).append((x + end[0], y + end[1]))
    rings = []
    while following:
        first = next(iter(following))
        line, at = [first], _next(following, first, None)
        while at != first:
            line.append(at)
            at = _next(following, at, line[-2])
        rings += [_corners(np.array(loop, np.int32)) for loop in _loops(line)]
    return rings


def _loops(line: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """A closed line cut where it meets itself, for readers refuse a ring that does: each loop goes by itself."""
    kept: list[tuple[int, int]] = []
    place: dict[tuple[int, int], int] = {}
    for point in line:
        if point in place:
            loop = kept[place[point] :]
            del kept[place[point] :]
            for left in loop:
                del place[left]
            yield loop
        place[point] = len(kept)
        kept.append(point)
    yield kept


_SIDES = {
    (-1, 0): ((0, 0), (1, 0)),
    (0, 1): ((1, 0), (1, 1)),
    (1, 0): ((1, 1), (0, 1)),
    (0, -1): ((0, 1), (0, 0)),
}
"""Where a pixel's neighbour lies (dy, dx), and the side between them, from corner to corner (x, y)."""


def _next(
    following: dict[tuple[int, int], list[tuple[int, int]]], at: tuple[int, int], before: tuple[int, int] | None
) -> tuple[int, int]:
    """The next corner; where two pixels meet at a corner, the one that turns right, which stays with the pixel."""
    choices = following[at]
    chosen = 0
    if len(choices) > 1 and before is not None:
        step = (at[0] - before[0], at[1] - before[1])
        turns = [step[0] * (y - at[1]) - step[1] * (x - at[0]) for x, y in choices]
        chosen = int(np.argmax(turns))
    end = choices.pop(chosen)
    if not choices:
        del following[at]
    return end


def _corners(line: Ring) -> Ring:
    """Without the points on straight stretches."""
    turned = (np.roll(line, -1, 0) - line != line - np.roll(line, 1, 0)).any(1)
    return np.asarray(line[turned], np.int32)


def _inner(ring: Ring) -> tuple[float, float]:
    """A point just beside the first side of a hole's ring, in the mask around it."""
    (x0, y0), (x1, y1) = ring[0].tolist(), ring[1].tolist()
    length = abs(x1 - x0) + abs(y1 - y0)
    right = (-(y1 - y0) / length, (x1 - x0) / length)
    return (x0 + x1) / 2 + right[0] / 2, (y0 + y1) / 2 + right[1] / 2


def _holds(ring: Ring, point: tuple[float, float]) -> bool:
    """Whether a point that is on no line lies within a ring."""
    x, y = ring[:, 0].astype(float), ring[:, 1].astype(float)
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    across = (y > point[1]) != (next_y > point[1])
    at = x + (point[1] - y) * (next_x - x) / np.where(across, next_y - y, 1)
    return bool((across & (point[0] < at)).sum() % 2)
