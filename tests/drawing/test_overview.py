"""Pictures of large images, against dense masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dense import dense_masks
from sparseinst.drawing.overview import OVERVIEW_PX, draw_overview, overview_shrink
from sparseinst.masks import rle
from sparseinst.structures import Instances

GREY = 90


def instances_of(masks: NDArray[np.bool_]) -> Instances:
    count = len(masks)
    none = np.zeros(count, np.int64)
    return Instances(np.ones(count, np.float32), none, rle.encode(masks), none, masks.shape[1:])


def drawn(masks: NDArray[np.bool_], shrink: int = 1, grey: int = GREY) -> NDArray[np.uint8]:
    height, width = (-(-side // shrink) for side in masks.shape[1:])
    return draw_overview(np.full((height, width, 3), grey, np.uint8), instances_of(masks), shrink=shrink)


def disks(size: int, step: int, radius: float) -> NDArray[np.bool_]:
    y, x = np.mgrid[:size, :size]
    centres = range(step // 2, size, step)
    return np.stack([(y - cy) ** 2 + (x - cx) ** 2 <= radius**2 for cy in centres for cx in centres])


@given(dense_masks(6, 40), st.integers(1, 9))
@settings(max_examples=80)
def test_what_is_coloured_is_what_the_masks_cover_at_the_centres_of_pixels(masks: np.ndarray, shrink: int) -> None:
    changed = (drawn(masks, shrink) != GREY).any(2)
    centre = (shrink - 1) // 2
    sampled = masks[:, centre::shrink, centre::shrink]
    expected = np.zeros((len(masks), *changed.shape), bool)
    expected[:, : sampled.shape[1], : sampled.shape[2]] = sampled
    for mask, small in zip(masks, expected, strict=True):
        if mask.any() and not small.any():  # it is one pixel in the middle of its box
            (top, bottom), (left, right) = ((axis.min(), axis.max() + 1) for axis in mask.nonzero())
            small[(top + bottom) // 2 // shrink, (left + right) // 2 // shrink] = True
    np.testing.assert_array_equal(changed, expected.any(0))


def test_an_outline_is_one_pixel_and_what_lies_within_shows_through() -> None:
    masks = disks(200, 50, 18)
    dark, bright = drawn(masks, 2, 20).astype(int), drawn(masks, 2, 220).astype(int)
    solid, covered = (dark == bright).all(2), (dark != 20).any(2)
    inner = covered[1:-1, 1:-1] & covered[:-2, 1:-1] & covered[2:, 1:-1] & covered[1:-1, :-2] & covered[1:-1, 2:]
    expected = covered.copy()
    expected[1:-1, 1:-1] &= ~inner
    np.testing.assert_array_equal(solid, expected)
    assert solid.sum() < 0.3 * covered.sum()
    assert ((bright - dark)[covered & ~solid] > 110).all(), "more than half of the image is seen through a fill"


def test_one_line_parts_two_that_touch() -> None:
    masks = np.zeros((2, 30, 40), bool)
    masks[0, :, :20], masks[1, :, 20:] = True, True
    lines = drawn(masks, grey=20) == drawn(masks, grey=220)
    np.testing.assert_array_equal(lines.all(2).sum(1), np.ones(30))


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_small_instances_lie_on_top(order: list[int]) -> None:
    masks = np.zeros((2, 60, 60), bool)
    masks[0, 5:55, 5:55], masks[1, 25:40, 25:40] = True, True
    picture = drawn(masks[order], 3)
    assert (picture[10, 10] != picture[15, 15]).any()


def test_neighbours_differ_in_colour() -> None:
    picture = drawn(disks(240, 20, 9))
    centres = picture[10::20, 10::20]
    assert (centres[1:] != centres[:-1]).any(2).all() and (centres[:, 1:] != centres[:, :-1]).any(2).all()


def test_colours_are_rgb() -> None:
    red, _, blue = drawn(disks(40, 40, 15))[20, 20].astype(int)
    assert red > blue + 30  # the first colour is a red


@pytest.mark.parametrize("size_hw", [(1, 1), (4096, 17), (17, 4097), (20_000, 20_000), (123_457, 65_536)])
def test_an_overview_fits_and_is_no_smaller_than_it_must_be(size_hw: tuple[int, int]) -> None:
    shrink = overview_shrink(size_hw)
    assert -(-max(size_hw) // shrink) <= OVERVIEW_PX
    assert shrink == 1 or -(-max(size_hw) // (shrink - 1)) > OVERVIEW_PX


@pytest.mark.parametrize(
    "picture", [np.zeros((10, 20, 3), np.float32), np.zeros((10, 20), np.uint8), np.zeros((20, 40, 3), np.uint8)]
)
def test_another_picture_is_refused(picture: NDArray[np.generic]) -> None:
    with pytest.raises(ValueError, match=r"picture must be \(10, 20, 3\).*shrunk by 2"):
        draw_overview(picture, Instances.empty((19, 40)), shrink=2)


def test_the_picture_given_is_left_alone() -> None:
    picture = np.full((30, 30, 3), GREY, np.uint8)
    draw_overview(picture, instances_of(disks(60, 20, 8)), shrink=2)
    assert (picture == GREY).all()
    assert (draw_overview(picture, Instances.empty((60, 60)), shrink=2) == GREY).all()


def test_many_instances_of_a_large_image() -> None:
    side, step = 10_000, 100
    corners = [(x, y) for x in range(0, side, step) for y in range(0, side, step)]
    counts = tuple(
        rle.from_runs([side * x + y, *[50, side - 50] * 29, 50, side * (side - x - 29) - y - 50], (side, side))
        for x, y in corners
    )
    none = np.zeros(len(counts), np.int64)
    instances = Instances(np.ones(len(counts), np.float32), none, counts, none, (side, side))
    picture = draw_overview(np.zeros((side // 20, side // 20, 3), np.uint8), instances, shrink=20)
    assert picture.any(2).mean() == 2 * 3 / 5**2  # of 5 x 5 centres of pixels around each
