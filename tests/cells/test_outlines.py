"""Outlines enclose their mask to the pixel."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from sparseinst.cells.outlines import outlines, pieces_of, ring_area
from sparseinst.masks import rle
from sparseinst.structures import Instances

masks = arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def filled(rings: list[NDArray[np.int32]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centre lies within an odd number of rings, by counting the lines to their right."""
    inside = np.zeros(shape, bool)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring.tolist(), np.roll(ring, -1, 0).tolist(), strict=True):
            if x0 == x1:
                inside[min(y0, y1) : max(y0, y1), :x0] ^= True
    return inside


@given(masks)
def test_rings_enclose_the_mask(mask: NDArray[np.bool_]) -> None:
    pieces = pieces_of(mask)
    rings = [ring for piece in pieces for ring in piece]
    assert sum(ring_area(ring) for ring in rings) == mask.sum()
    np.testing.assert_array_equal(filled(rings, mask.shape), mask)
    for outer, *holes in pieces:
        assert ring_area(outer) > 0 and all(ring_area(hole) < 0 for hole in holes)
        around = filled([outer], mask.shape)
        assert all(not (filled([hole], mask.shape) & ~around).any() for hole in holes)
    sizes = [ring_area(outer) for outer, *_ in pieces]
    assert sizes == sorted(sizes, reverse=True)


@given(masks)
def test_no_ring_touches_itself(mask: NDArray[np.bool_]) -> None:
    """Readers of GeoJSON refuse polygons that do."""
    for piece in pieces_of(mask):
        for ring in piece:
            corners = [tuple(point) for point in ring.tolist()]
            assert len(set(corners)) == len(corners)


def test_in_pixels_of_the_image() -> None:
    mask = np.zeros((1, 20, 30), bool)
    mask[0, 5:9, 7:12] = True
    none = np.zeros(1, np.int64)
    instances = Instances(np.ones(1, np.float32), none, rle.encode(mask), none, (20, 30))
    ((ring,),) = outlines(instances, 0)
    assert sorted(map(tuple, ring.tolist())) == [(7, 5), (7, 9), (12, 5), (12, 9)]
    empty = Instances(np.ones(1, np.float32), none, rle.encode(mask & False), none, (20, 30))
    assert outlines(empty, 0) == []
