"""Masks of adjacent planes as objects of a stack."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseinst.cells.stitching import stitch
from sparseinst.errors import InputError
from sparseinst.masks import rle
from sparseinst.structures import Instances

SIDE = 40


def plane(*boxes: tuple[int, int, int, int], labels: list[int] | None = None) -> Instances:
    masks = np.zeros((len(boxes), SIDE, SIDE), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    kinds = np.array(labels or [0] * len(boxes), np.int64)
    return Instances(np.ones(len(boxes), np.float32), kinds, rle.encode(masks), kinds, (SIDE, SIDE))


def test_what_overlaps_is_one_object_and_a_gap_ends_it() -> None:
    a, b = (0, 0, 10, 10), (20, 20, 30, 30)
    planes = [plane(a, b), plane((21, 21, 31, 31), a), plane(b), plane(a, b)]
    assert [own.tolist() for own in stitch(planes)] == [[1, 2], [2, 1], [2], [3, 2]]


def test_a_mask_goes_on_in_the_one_that_overlaps_more() -> None:
    planes = [plane((0, 0, 20, 10)), plane((0, 0, 8, 10), (8, 0, 20, 10))]
    assert [own.tolist() for own in stitch(planes)] == [[1], [2, 1]]
    assert [own.tolist() for own in stitch(planes, least_iou=0.7)] == [[1], [2, 3]]


def test_classes_are_kept_apart() -> None:
    box = (0, 0, 10, 10)
    assert [own.tolist() for own in stitch([plane(box, labels=[0]), plane(box, labels=[1])])] == [[1], [2]]


def test_an_iou_is_in_its_range() -> None:
    with pytest.raises(InputError, match=r"0\.\.1"):
        stitch([], least_iou=1.5)


@given(st.lists(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=4), max_size=5))
def test_numbers_are_whole_and_unique_in_a_plane(corners: list[list[tuple[int, int]]]) -> None:
    numbers = stitch([plane(*((x, y, x + 8, y + 8) for x, y in part)) for part in corners])
    for own in numbers:
        assert len(set(own.tolist())) == len(own)
    every = {number for own in numbers for number in own.tolist()}
    assert every == set(range(1, len(every) + 1))
