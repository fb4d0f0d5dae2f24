"""Large and crowded images at a glance: many instances in a picture that is smaller than the image."""

import math

import numpy as np
from numpy.typing import NDArray

from sparseinst.drawing.palette import Image, bgr_table, contrasting, entry_of, fill
from sparseinst.masks.runs import Strips, decode_runs
from sparseinst.structures import Instances

OVERVIEW_PX = 4096
"""Longest side of an overview: what a screen shows when it is zoomed once, and every viewer opens."""

_DECODED_AT_ONCE = 4096
"""Masks: what decoding takes is bounded, however many there are."""


def overview_shrink(size_hw: tuple[int, int]) -> int:
    """The least whole factor that brings the longest side of an image to `OVERVIEW_PX` or less.

    Example:
        >>> overview_shrink((2048, 4096)), overview_shrink((20_000, 20_000)), overview_shrink((1, 1))
        (1, 5, 1)
    """
    return max(1, math.ceil(max(size_hw) / OVERVIEW_PX))


def draw_overview(picture: Image, instances: Instances, *, shrink: int = 1) -> Image:
    """Draws instances over a scaled-down picture of their image: translucent fills, and outlines of one pixel.

    There are no labels, and what is smaller than a pixel of the picture is one pixel. Time and memory grow with the
    picture and with the strips of the masks, never with their number times the image.

    Args:
        picture: (ceil(height / shrink), ceil(width / shrink), 3) uint8 RGB, left as it is.
        instances: instances of the image.
        shrink: whole factor by which the picture is smaller than the image (see `overview_shrink`).

    Returns:
        The picture with the instances.

    Raises:
        ValueError: the picture has another size or type.
    """
    shape = (*(math.ceil(side / shrink) for side in instances.size_hw), 3)
    if picture.dtype != np.uint8 or picture.shape != shape:
        raise ValueError(
            f"picture must be {shape} uint8, which is the instances' image {instances.size_hw} shrunk by {shrink}, got "
            f"{picture.shape} {picture.dtype}: shrink the image by the same factor"
        )
    instances = instances[instances.areas > 0]
    instances = instances[np.argsort(-instances.areas, kind="stable")]  # small ones lie on top of large ones
    entries = np.array([*map(entry_of, contrasting(instances.boxes).tolist()), 0], np.uint8)
    numbers = _numbers(instances, (shape[0], shape[1]), shrink)
    owners = np.ascontiguousarray(entries[numbers].T)
    table = np.ascontiguousarray(bgr_table()[..., ::-1])
    drawn = fill(picture, owners, table)
    edges = _edges(numbers).T
    drawn[edges] = table[owners[edges], 0]
    return drawn


def _numbers(instances: Instances, picture_hw: tuple[int, int], shrink: int) -> NDArray[np.int32]:
    """(width, height) number of the last instance at the centre of each pixel; their count where there is none."""
    numbers = np.full(picture_hw[::-1], len(instances), np.int32)
    for begin in range(0, len(instances), _DECODED_AT_ONCE):
        counts = instances.rles[begin : begin + _DECODED_AT_ONCE]
        strips = _shrunk(decode_runs(counts).strips(instances.size_hw[0]), shrink)
        strips.paint(numbers, np.arange(begin, begin + len(counts), dtype=np.int32))
        unseen = begin + np.flatnonzero(np.bincount(strips.owners, minlength=len(counts)) == 0)
        x0, y0, x1, y1 = instances.boxes[unseen].astype(np.int64).T
        numbers[(x0 + x1) // 2 // shrink, (y0 + y1) // 2 // shrink] = unseen
    return numbers


def _shrunk(strips: Strips, shrink: int) -> Strips:
    """What of some strips lies at the centres of the pixels of a picture that is smaller by a whole factor."""
    centre = (shrink - 1) // 2
    tops, bottoms = (-((centre - rows) // shrink) for rows in (strips.tops, strips.bottoms))
    columns = strips.columns - centre
    shrunk = Strips(columns // shrink, tops, bottoms, strips.owners)
    return shrunk.chosen((columns % shrink == 0) & (tops < bottoms))


def _edges(numbers: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Where a neighbour has a higher number: one line around each instance, and one between two that touch."""
    edges = np.zeros(numbers.shape, bool)
    for one, other, at_one, at_other in (
        (numbers[1:], numbers[:-1], edges[1:], edges[:-1]),
        (numbers[:, 1:], numbers[:, :-1], edges[:, 1:], edges[:, :-1]),
    ):
        at_one |= one < other
        at_other |= other < one
    return edges
