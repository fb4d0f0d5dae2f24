"""Hypothesis strategies of masks, for the tests of everything that handles them."""

import cv2
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


def label_images(short: int, long: int) -> st.SearchStrategy[np.ndarray]:
    """(height, width) int32, sides from `short` to `long`: 0 background, i where object i is, at most 255.

    Objects are rectangles and thick lines, some hidden in part by others; each is in one piece, and many touch.
    """
    side, place = st.integers(short, long), st.integers(-5, long)
    shape = st.tuples(place, place, place, place, st.integers(-1, 9))
    return st.tuples(side, side, st.lists(shape, max_size=25)).map(lambda drawn: _objects(drawn[:2], drawn[2]))


def _objects(size_hw: tuple[int, int], shapes: list[tuple[int, ...]]) -> np.ndarray:
    drawn, labels = np.zeros(size_hw, np.int32), np.zeros(size_hw, np.int32)
    for number, (x0, y0, x1, y1, thickness) in enumerate(shapes, start=1):
        if thickness > 0:
            cv2.polylines(drawn, [np.array([(x0, y0), (x1, y0), (x1, y1)], np.int32)], False, number, thickness)
        else:  # filled, or the outline alone
            cv2.rectangle(drawn, (x0, y0), (x1, y1), number, -1 if thickness < 0 else 1)
    for number in np.unique(drawn)[1:]:
        count, parts = cv2.connectedComponents((drawn == number).astype(np.uint8), connectivity=4)
        for part in range(1, count):
            labels[parts == part] = labels.max() + 1
    labels[labels > 255] = 0
    return labels
