"""Masks of tiles as vertical strips in the whole image: pixels they share, and their unions, with no mask drawn."""

import numpy as np
import torch
from scipy import sparse

from sparseinst.masks.compress import compress
from sparseinst.masks.grid import Window
from sparseinst.masks.runs import Runs, Strips, numbered

_AT_ONCE = 4096
"""Masks encoded at once: what that takes is bounded, however many there are."""


def strips_of(runs: Runs, window: Window) -> Strips:
    """The strips of masks that cover a window of the image, in the whole image's pixels."""
    rows, columns = window
    x, tops, bottoms, owners = runs.strips(rows.stop - rows.start)
    return Strips(x + columns.start, tops + rows.start, bottoms + rows.start, owners)


def coverage(strips: Strips, window: Window, *, masks: int) -> sparse.csr_array:
    """(masks, pixels of the window) 1 where a mask is: `a @ b.T` of two of them counts the pixels that masks share."""
    rows, columns = window
    tops, bottoms = np.maximum(strips.tops, rows.start), np.minimum(strips.bottoms, rows.stop)
    inside = (tops < bottoms) & (strips.columns >= columns.start) & (strips.columns < columns.stop)
    tops, counts = tops[inside], (bottoms - tops)[inside]
    height = rows.stop - rows.start
    places = (strips.columns[inside] - columns.start) * height + tops - rows.start
    pixels = np.repeat(places, counts) + numbered(counts)
    ones = np.ones(len(pixels), np.float32)  # counts stay exact: a window has far fewer than 2**24 pixels
    owners = np.repeat(strips.owners[inside], counts)
    return sparse.csr_array((ones, (owners, pixels)), shape=(masks, height * (columns.stop - columns.start)))


def encode_unions(strips: Strips, size_hw: tuple[int, int], *, masks: int) -> tuple[bytes, ...]:
    """Encodes masks over the whole image; strips of one owner may overlap, in any order."""
    pixels = size_hw[0] * size_hw[1]
    origins = strips.owners * (pixels + 1) + strips.columns * size_hw[0]
    starts, ends = origins + strips.tops, origins + strips.bottoms
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(ends[order])
    first = np.flatnonzero(np.concatenate([[True], starts[1:] > reach[:-1]])[: len(starts)])
    last = np.concatenate([first[1:], [len(starts)]])[: len(first)] - 1
    edges = np.stack([starts[first], reach[last]], axis=1).ravel()
    owners = np.repeat(strips.owners[order][first], 2)
    edges -= owners * (pixels + 1)
    codes: list[bytes] = []
    for begin in range(0, masks, _AT_ONCE):
        count = min(_AT_ONCE, masks - begin)
        part = slice(*np.searchsorted(owners, [begin, begin + count]))
        some = torch.from_numpy(edges[part]), torch.from_numpy(owners[part] - begin)
        codes += compress(*some, masks=count, pixels=pixels)
    return tuple(codes)


def join(parts: list[Strips]) -> Strips:
    """The strips of several lists, one after the other."""
    return Strips(*(np.concatenate(values) for values in zip(*parts, strict=True)))
