from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional

from maps import dense
from sparseinst.activation import ActivationMaps, activation_maps
from sparseinst.drawing.activation_sheet import draw_activation
from sparseinst.masks import rle
from sparseinst.masks.grid import Frame
from sparseinst.modeling.slots.decoder import InstanceActivation
from sparseinst.structures import Instances

HEADER_PX = 80
"""Rows of a sheet in which nothing of an image is, roughly."""

sides = st.integers(1, 70)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """An image of any size, resized and padded."""
    original, resized = draw(st.tuples(sides, sides)), draw(st.tuples(sides, sides))
    return Frame((32 * -(-resized[0] // 32), 32 * -(-resized[1] // 32)), resized, original)


def maps_of(values: NDArray[np.generic], frame: Frame) -> ActivationMaps:
    return ActivationMaps.of(np.asarray(values, np.float32), frame)


def noise(frame: Frame, *leading: int, stride: int = 8) -> NDArray[np.float64]:
    """A value for each cell of the grid."""
    return np.random.default_rng(0).random((*leading, frame.frame_hw[0] // stride, frame.frame_hw[1] // stride))


@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_map_divided_by_its_sum_is_what_the_network_gathers_with(kind: str, groups: int) -> None:
    torch.manual_seed(0)
    layer = InstanceActivation(8, slots=5, groups=groups, kernel=3, activation=kind)
    torch.nn.init.normal_(layer.conv.weight)
    _, logits = layer(torch.randn(2, 8, 4, 6))
    weights = layer.weights(logits).detach().numpy()  # (B, G*N, h*w)
    slots = np.array([1, 4, 3])
    frame = Frame((32, 48), (32, 48), (64, 96))
    maps = activation_maps(logits[1].detach(), slots, frame, groups=groups, activation=kind)
    assert len(maps) == 3 and maps.groups == groups
    values = dense(maps, (4, 6))
    for i, slot in enumerate(slots):
        for group in range(groups):
            own = values[i, group]
            np.testing.assert_allclose(own.ravel() / own.sum(), weights[1, group * 5 + slot], rtol=1e-4, atol=1e-6)
    assert values.min() >= 0 and values.max() <= 1
    if kind == "softmax":
        np.testing.assert_allclose(values.sum((2, 3)), 1, rtol=1e-5)


def test_no_slot_gives_no_map() -> None:
    frame = Frame((32, 32), (32, 32), (9, 9))
    maps = activation_maps(torch.zeros(6, 4, 4), np.zeros(0, np.int64), frame, groups=2, activation="sigmoid")
    assert (len(maps), maps.groups, maps.peaks.shape) == (0, 2, (0, 2))


@given(size=st.tuples(sides, sides))
def test_at_the_size_of_the_network_maps_lie_as_masks_do(size: tuple[int, int]) -> None:
    frame = Frame((96, 96), size, size)
    grid = torch.from_numpy(noise(frame, 1, 2)).float()
    maps = maps_of(grid.numpy(), frame)
    reference = functional.interpolate(grid, size=frame.frame_hw, mode="bilinear", align_corners=False)[0].numpy()
    inner = [max(1, side // 8 * 8 - 4) for side in size]  # beyond, masks mix with the padding
    np.testing.assert_allclose(
        maps.upsampled(0)[:, : inner[0], : inner[1]], reference[:, : inner[0], : inner[1]], atol=1e-5
    )


@given(frame=frames())
def test_a_slope_on_the_grid_is_a_slope_in_the_image(frame: Frame) -> None:
    rows, columns = frame.frame_hw[0] // 8, frame.frame_hw[1] // 8
    y, x = np.mgrid[:rows, :columns] + 0.5  # centres, in cells
    maps = maps_of(np.stack([y * 8, x * 8])[None], frame)  # each cell says where in the resized image it is
    down, across = maps.upsampled(0)
    for values, axis in ((down, 0), (across, 1)):
        original, resized = frame.original_hw[axis], frame.resized_hw[axis]
        place = (np.arange(original) + 0.5) * resized / original
        last = -(-resized // 8) * 8 - 4
        expected = place.clip(4, last)
        np.testing.assert_allclose(values.mean(1 - axis), expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(values.std(1 - axis), 0, atol=1e-3)


@given(frame=frames(), data=st.data())
def test_a_window_is_a_part_of_the_whole(frame: Frame, data: st.DataObject) -> None:
    height, width = frame.original_hw
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    maps = maps_of(noise(frame, 2, 3), frame)
    part = maps.upsampled(1, box=(x0, y0, x1, y1))
    np.testing.assert_allclose(part, maps.upsampled(1)[:, y0:y1, x0:x1], atol=1e-5)
    assert (part <= maps.peaks[1][:, None, None] + 1e-6).all() and part.dtype == np.float32
    assert maps.upsampled(1, box=(x0, y0, x1, y1), size_hw=(5, 7)).shape == (3, 5, 7)


def test_padding_is_left_out() -> None:
    frame = Frame((64, 96), (40, 56), (80, 112))
    values = np.full((1, 1, 8, 12), 0.9)
    values[:, :, :5, :7] = 0.1  # the cells of the image
    maps = maps_of(values, frame)
    np.testing.assert_allclose(maps.upsampled(0), 0.1, rtol=1e-5)
    np.testing.assert_allclose(maps.peaks, 0.1, rtol=1e-5)
    assert maps.share_within(0, (0, 0, 112, 80)) == pytest.approx(35 * 0.1 / (35 * 0.1 + 61 * 0.9))


def test_shares_of_windows_that_meet_add_up() -> None:
    frame = Frame((64, 64), (64, 64), (200, 300))
    maps = maps_of(noise(frame, 1, 2), frame)
    left, right = maps.share_within(0, (0, 0, 110, 200)), maps.share_within(0, (110, 0, 300, 200))
    np.testing.assert_allclose(left + right, 1)
    assert (left > 0.1).all() and (right > 0.1).all()
    assert (maps_of(np.zeros((1, 2, 8, 8)), frame).share_within(0, (0, 0, 9, 9)) == 0).all()


def test_a_part_is_taken_as_of_instances() -> None:
    frame = Frame((32, 32), (32, 32), (32, 32))
    maps = maps_of(noise(frame, 4, 2), frame)
    for index in (slice(1, 3), [3, 0], np.array([True, False, False, True]), np.array([], np.int64)):
        np.testing.assert_array_equal(dense(maps[index], (4, 4)), dense(maps, (4, 4))[index])
    assert len(maps[2]) == len(maps[np.int64(2)]) == 1
    with pytest.raises(ValueError, match=r"expected n crops \(3, rows, columns\)"):
        replace(maps, groups=3)
    with pytest.raises(ValueError, match=r"corners and cells_px \(n, 2\)"):
        replace(maps, corners=maps.corners[:2])


def test_only_what_is_something_is_kept() -> None:
    frame = Frame((64, 64), (64, 64), (128, 128))
    values = np.full((1, 2, 8, 8), 1e-9)
    values[0, 1, 2:5, 3:7] = np.linspace(0.1, 0.9, 12).reshape(3, 4)
    values[0, 0, 4, 6] = 0.5
    maps = maps_of(values, frame)
    assert maps.crops[0].shape == (2, 5, 6) and maps.corners.tolist() == [[16, 32]], "and a cell around"
    whole = ActivationMaps((values[0].astype(np.float32),), np.zeros((1, 2)), np.full((1, 2), 16.0), (128, 128), 2)
    np.testing.assert_allclose(maps.upsampled(0), whole.upsampled(0), atol=1e-6)
    part = (60, 40, 90, 128)
    np.testing.assert_allclose(maps.share_within(0, part), whole.share_within(0, part), atol=1e-6)
    assert not maps.upsampled(0)[:, :16].any() and not maps.upsampled(0)[:, :, :32].any()


def test_maps_of_tiles_lie_where_their_tiles_do() -> None:
    tile = Frame((32, 32), (32, 32), (64, 64))
    values = noise(tile, 3, 1)
    parts = [maps_of(values[:2], tile), maps_of(values[2:], tile)]
    joined = ActivationMaps.joined(parts, [(0, 0), (48, 100)], (112, 164))
    assert len(joined) == 3 and joined.size_hw == (112, 164)
    np.testing.assert_allclose(joined.upsampled(2)[:, 48:, 100:], parts[1].upsampled(0), atol=1e-6)
    assert not joined.upsampled(2)[:, :48].any() and not joined.upsampled(2)[:, :, :100].any()
    np.testing.assert_allclose(joined.upsampled(1)[:, :60, :60], parts[0].upsampled(1)[:, :60, :60], atol=1e-6)
    np.testing.assert_allclose(joined.share_within(2, (100, 48, 164, 112)), 1)


def scene(
    image_hw: tuple[int, int], *boxes: tuple[int, int, int, int], groups: int = 1, at: tuple[int, int] | None = None
) -> tuple[NDArray[np.uint8], Instances, ActivationMaps]:
    """A grey image, boxes (x0, y0, x1, y1) as instances, and maps that are bright at a place (x, y)."""
    masks = np.zeros((len(boxes), *image_hw), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    scores = np.linspace(0.9, 0.4, len(boxes)).astype(np.float32)
    instances = Instances(
        scores, np.zeros(len(boxes), np.int64), rle.encode(masks), np.arange(len(boxes)), image_hw
    )  # fmt: skip
    padded = (32 * -(-image_hw[0] // 32), 32 * -(-image_hw[1] // 32))
    values = np.zeros((len(boxes), groups, padded[0] // 8, padded[1] // 8))
    if at is not None:
        column, row = at[0] // 8, at[1] // 8
        values[:, :, row - 1 : row + 2, column - 1 : column + 2] = 0.8
    return np.full((*image_hw, 3), 40, np.uint8), instances, maps_of(values, Frame(padded, image_hw, image_hw))


def hot(sheet: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the colour of a map's maximum is, below the header."""
    red, green, blue = np.moveaxis(sheet.astype(int), 2, 0)
    yellow = (red > 220) & (green > 200) & (blue < 200)
    yellow[:HEADER_PX] = False
    return yellow


def test_the_maximum_is_drawn_where_it_is() -> None:
    places = []
    for at in ((20, 20), (300, 20), (300, 300)):
        image, instances, maps = scene((320, 320), (100, 100, 300, 300), at=at)
        ys, xs = hot(draw_activation(image, instances, maps, ["a"])).nonzero()
        places.append((np.median(xs), np.median(ys)))
    assert (image == 40).all()
    (left, top), (right, still_top), (still_right, bottom) = places
    assert right - left == pytest.approx(280, abs=3) and bottom - top == pytest.approx(280, abs=3)
    assert still_top == pytest.approx(top, abs=3) and still_right == pytest.approx(right, abs=3)


def test_each_map_is_scaled_to_its_own_maximum_which_is_named() -> None:
    image, instances, maps = scene((320, 320), (100, 100, 300, 300), at=(20, 20))
    faint = replace(maps, crops=tuple(crop / 100 for crop in maps.crops))
    one, other = (draw_activation(image, instances, m, ["a"]).astype(int) for m in (maps, faint))
    rows = (np.abs(one - other).max(2) > 2).any(1).nonzero()[0]
    assert len(rows) > 0 and rows.max() - rows.min() < 25, "only the number above the map differs"


def test_a_map_without_activation_is_dark() -> None:
    image, instances, maps = scene((100, 100), (10, 10, 90, 90))
    assert not hot(draw_activation(image, instances, maps, ["a"])).any()


def test_small_instances_are_shown_close_up() -> None:
    spread = {}
    for name, box in (("small", (300, 300, 316, 316)), ("large", (10, 10, 630, 630))):
        image, instances, maps = scene((640, 640), box, at=(304, 304))
        spread[name] = int(hot(draw_activation(image, instances, maps, ["a"])).sum())
    assert spread["small"] > 10 * spread["large"] > 0


def test_weight_on_the_padding_is_told() -> None:
    image, instances, maps = scene((40, 40), (5, 5, 35, 35), at=(20, 20))
    values = dense(maps, (8, 8))
    values[:, :, 7, 7] = 0.8  # beyond the image, which ends at cell 5
    padded = maps_of(values, Frame((64, 64), (40, 40), (40, 40)))
    one, other = (draw_activation(image, instances, m, ["a"]) for m in (maps, padded))
    rows = (one != other).any((1, 2)).nonzero()[0]
    assert len(rows) > 0 and rows.max() - rows.min() < 25, "only the remark above the map differs"


def test_each_group_has_a_picture() -> None:
    sizes = {}
    for groups in (1, 2, 4):
        image, instances, maps = scene((320, 320), (10, 10, 300, 300), groups=groups, at=(100, 100))
        sheet = draw_activation(image, instances, maps, ["a"])
        columns = hot(sheet).any(0).astype(int)
        assert (np.diff(columns) == 1).sum() == groups
        sizes[groups] = sheet.shape
    assert sizes[4][1] - sizes[2][1] == 2 * (sizes[2][1] - sizes[1][1]) and sizes[4][0] == sizes[1][0]


def test_the_best_are_drawn_up_to_the_limit() -> None:
    image, instances, maps = scene((64, 64), *[(i, i, i + 30, i + 30) for i in range(20)], groups=3, at=(20, 20))
    few = draw_activation(image, instances, maps, ["a"], limit=3)
    three = draw_activation(image, instances[:3], maps[:3], ["a"])
    assert few.shape == three.shape
    np.testing.assert_array_equal(few[HEADER_PX:], three[HEADER_PX:])
    assert (few[:HEADER_PX] != three[:HEADER_PX]).any(), "the headline says that there are more"
    reverse = draw_activation(image, instances[::-1], maps[::-1], ["a"], limit=20)
    whole = draw_activation(image, instances, maps, ["a"], limit=20)
    changed = (reverse != whole).any(2).mean()
    assert 0 < changed < 0.01, "best first in any order, numbered as given"
    rows = (draw_activation(image, instances, maps, ["a"]).shape[0] - HEADER_PX) / (few.shape[0] - HEADER_PX)
    assert rows == pytest.approx(12 / 3, rel=0.05)


def test_names_are_drawn_and_long_ones_cut() -> None:
    image, instances, maps = scene((64, 64), (10, 10, 40, 40))
    sheets = [draw_activation(image, instances, maps, [name]) for name in ("Zelle", "Zellé", "Zelle" * 100)]
    assert sheets[0].shape == sheets[1].shape == sheets[2].shape
    assert (sheets[0] != sheets[1]).any() and (sheets[0] != sheets[2]).any()


def test_without_instances_the_image_is_shown() -> None:
    image, instances, maps = scene((64, 64))
    sheet = draw_activation(image, instances, maps, ["a"])
    assert (sheet == 40).all(2).sum() >= 300 * 300


@given(
    image_hw=st.tuples(st.integers(1, 90), st.integers(1, 90)), count=st.integers(0, 3), groups=st.integers(1, 5),
    seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=25)
def test_anything_can_be_drawn(image_hw: tuple[int, int], count: int, groups: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.random((count, *image_hw)) > rng.random((count, 1, 1))
    instances = Instances(
        rng.random(count).astype(np.float32), np.zeros(count, np.int64), rle.encode(masks), np.arange(count), image_hw
    )
    padded = (32 * -(-image_hw[0] // 32), 32 * -(-image_hw[1] // 32))
    maps = maps_of(
        rng.random((count, groups, padded[0] // 8, padded[1] // 8)), Frame(padded, image_hw, image_hw)
    )  # fmt: skip
    sheet = draw_activation(rng.integers(0, 255, (*image_hw, 3), np.uint8), instances, maps, ["a"])
    assert sheet.dtype == np.uint8 and sheet.ndim == 3 and sheet.shape[2] == 3


def test_what_does_not_belong_together_is_refused() -> None:
    image, instances, maps = scene((64, 48), (1, 1, 9, 9), (5, 5, 20, 20))
    with pytest.raises(ValueError, match="image must be"):
        draw_activation(image[:50], instances, maps, ["a"])
    with pytest.raises(ValueError, match="image must be"):
        draw_activation(image.astype(np.float32), instances, maps, ["a"])
    with pytest.raises(ValueError, match=r"maps of \(63, 48\)"):
        draw_activation(image, instances, replace(maps, size_hw=(63, 48)), ["a"])
    with pytest.raises(ValueError, match="maps of 1 instances, got 2"):
        draw_activation(image, instances[:1], maps, ["a"])
