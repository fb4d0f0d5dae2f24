"""What of a mask hangs together, diagonals included, from its runs: many masks at once, none of them drawn.

Runs are cut at the ends of columns. Two strips of neighbouring columns touch where their rows, one more at either end,
overlap; a piece is what strips that touch lead to.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from sparseinst.masks.runs import Strips, decode_runs

_Longs = NDArray[np.int64]


def drop_small_pieces(counts: Sequence[bytes], size_hw: tuple[int, int], *, least: float) -> tuple[bytes, ...]:
    """Encoded masks without their small pieces; masks without such come back as they are.

    Args:
        counts: n compressed COCO run-length encodings.
        size_hw: height and width of the image.
        least: pieces below this share (0..1) of their mask's area go. The largest always stays, and equals of it.
    """
    import torch  # slow to load, and whoever only counts pieces needs none of it

    from sparseinst.masks.compress import compress

    codes = list(counts)
    if least <= 0 or not codes:
        return tuple(codes)
    found = _pieces(codes, size_hw)
    areas, owners = found.areas, found.owners
    whole, largest = np.zeros(len(codes), np.int64), np.zeros(len(codes), np.int64)
    np.add.at(whole, owners, areas)
    np.maximum.at(largest, owners, areas)
    small = areas < np.minimum(least * whole, largest)[owners]
    changed = np.unique(owners[small])
    kept = found.strips.chosen(np.isin(found.strips.owners, changed) & ~small[found.numbers])
    edges = np.stack([kept.tops, kept.bottoms], axis=1) + kept.columns[:, None] * size_hw[0]
    of_changed = np.repeat(np.searchsorted(changed, kept.owners), 2)
    arguments = torch.from_numpy(edges.ravel()), torch.from_numpy(of_changed)
    again = compress(*arguments, masks=len(changed), pixels=size_hw[0] * size_hw[1])
    for mask, code in zip(changed.tolist(), again, strict=True):
        codes[mask] = code
    return tuple(codes)


def in_pieces(counts: Sequence[bytes], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """(n,) whether encoded masks over an image of (height, width) consist of several 8-connected pieces."""
    return np.asarray(np.bincount(_pieces(counts, size_hw).owners, minlength=len(counts)) > 1, np.bool_)


class _Pieces(NamedTuple):
    """The pieces of those masks that are not plainly whole."""

    strips: Strips
    numbers: _Longs
    """(strips,) piece that each is part of."""
    areas: _Longs
    """(pieces,) in pixels."""
    owners: _Longs
    """(pieces,) mask of each."""


def _pieces(counts: Sequence[bytes], size_hw: tuple[int, int]) -> _Pieces:
    strips = decode_runs(counts).strips(size_hw[0])
    broken = np.zeros(len(counts), bool)
    broken[strips.owners[1:][(strips.owners[1:] == strips.owners[:-1]) & ~_in_a_row(strips)]] = True
    strips = strips.chosen(broken[strips.owners])
    ones, others = _touching(strips, size_hw)
    graph = sparse.coo_array((np.ones(len(ones), np.int8), (ones, others)), shape=(len(strips.tops),) * 2)
    total, numbers = connected_components(graph, directed=False)
    areas, owners = np.zeros(total, np.int64), np.zeros(total, np.int64)
    np.add.at(areas, numbers, strips.bottoms - strips.tops)
    owners[numbers] = strips.owners
    return _Pieces(strips, numbers, areas, owners)


def _in_a_row(strips: Strips) -> NDArray[np.bool_]:
    """(strips - 1,) whether each touches the next, if of one mask: where all do, as in most masks, it is whole."""
    steps = np.diff(strips.columns)
    near = (strips.tops[1:] <= strips.bottoms[:-1]) & (strips.tops[:-1] <= strips.bottoms[1:])
    # Encodings of others may have a run of no background in a column.
    return np.asarray((steps == 1) & near | (steps == 0) & (strips.tops[1:] == strips.bottoms[:-1]), np.bool_)


def _touching(strips: Strips, size_hw: tuple[int, int]) -> tuple[_Longs, _Longs]:
    """Pairs of strips that touch."""
    height, width = size_hw
    column = (strips.owners * (width + 1) + strips.columns) * (height + 1)  # all in one order
    following = column + height + 1
    first = np.searchsorted(column + strips.bottoms, following + strips.tops, side="left")
    counts = np.searchsorted(column + strips.tops, following + strips.bottoms, side="right") - first
    ones = np.repeat(np.arange(len(first)), counts)
    others = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(len(ones))
    same = np.flatnonzero((np.diff(column) == 0) & _in_a_row(strips))
    return np.concatenate([ones, same]), np.concatenate([others, same + 1])
