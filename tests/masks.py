"""Hypothesis strategies of masks, for the tests of everything that handles them."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays


def dense_masks(most: int = 5, side: int = 24) -> st.SearchStrategy[np.ndarray]:
    """(n, height, width) boolean masks, from noise and rectangles, empty and full ones included."""
    shapes = st.tuples(st.integers(0, most), st.integers(1, side), st.integers(1, side))
    return shapes.flatmap(lambda shape: st.one_of(arrays.arrays(bool, shape), _rectangles(shape)))


def _rectangles(shape: tuple[int, int, int]) -> st.SearchStrategy[np.ndarray]:
    count, height, width = shape
    corner = st.tuples(st.integers(0, height), st.integers(0, height), st.integers(0, width), st.integers(0, width))

    def paint(corners: list[tuple[int, int, int, int]]) -> np.ndarray:
        masks = np.zeros(shape, bool)
        for mask, (top, bottom, left, right) in zip(masks, corners, strict=True):
            mask[min(top, bottom) : max(top, bottom), min(left, right) : max(left, right)] = True
        return masks

    return st.lists(corner, min_size=count, max_size=count).map(paint)
