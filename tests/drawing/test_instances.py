import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from real import NUCLEI
from sparseinst.drawing.instances import draw, legible_scale
from sparseinst.masks import rle
from sparseinst.structures import Instances


def instances_of(masks: NDArray[np.bool_], labels: list[int] | None = None) -> Instances:
    count = len(masks)
    scores = np.linspace(0.9, 0.4, count).astype(np.float32)
    return Instances(scores, np.array(labels or [0] * count), rle.encode(masks), np.arange(count), masks.shape[1:])


def boxes(size_hw: tuple[int, int], *corners: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    masks = np.zeros((len(corners), *size_hw), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, corners, strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


def grid(count: int, cell: int = 12) -> NDArray[np.bool_]:
    side = int(np.ceil(np.sqrt(count)))
    corners = [(cell * (i % side) + 2, cell * (i // side) + 2) for i in range(count)]
    return boxes((side * cell, side * cell), *[(x, y, x + cell - 4, y + cell - 4) for x, y in corners])


def test_without_instances_the_picture_is_the_image() -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    np.testing.assert_array_equal(draw(image, Instances.empty((20, 30)), ["cell"]), image)


def test_the_image_given_is_left_alone_and_masks_without_pixels_are_allowed() -> None:
    image = np.full((40, 40, 3), 100, np.uint8)
    masks = boxes((40, 40), (0, 0, 0, 0), (5, 5, 30, 30))
    picture = draw(image, instances_of(masks), ["cell"])
    assert (image == 100).all()
    assert (picture != image).any()


def test_many_of_one_class_change_only_what_they_cover() -> None:
    masks = grid(100)
    image = np.full((*masks.shape[1:], 3), 60, np.uint8)
    picture = draw(image, instances_of(masks), ["nucleus"])
    changed = (picture != image).any(2)
    np.testing.assert_array_equal(changed, masks.any(0))


def test_fill_is_translucent_and_outline_is_not() -> None:
    masks = grid(25, cell=20)
    dark, bright = (draw(np.full((100, 100, 3), v, np.uint8), instances_of(masks), ["x"]) for v in (20, 220))
    inner, edge = (10, 10), (2, 10)
    assert masks[0][inner] and masks[0][edge]
    assert np.abs(dark[inner].astype(int) - bright[inner]).min() > 100
    np.testing.assert_array_equal(dark[edge], bright[edge])


def test_overlaps_are_filled_no_more_strongly() -> None:
    one = boxes((60, 60), *[(5, 5, 55, 55)])
    twice = np.concatenate([one] * 20)
    image = np.zeros((60, 60, 3), np.uint8)
    assert draw(image, instances_of(twice), ["x"])[30, 30].max() <= 0.36 * 255


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_small_instances_lie_on_top(order: list[int]) -> None:
    masks = boxes((60, 60), (25, 25, 35, 35), (5, 5, 55, 55))[order]
    picture = draw(np.zeros((60, 60, 3), np.uint8), instances_of(masks), ["a"])
    assert (picture[30, 30] != picture[45, 45]).any()


def test_neighbours_differ_in_colour() -> None:
    masks = grid(144)
    picture = draw(np.zeros((*masks.shape[1:], 3), np.uint8), instances_of(masks), ["nucleus"]).astype(int)
    centres = picture[6::12, 6::12]
    assert (centres[1:] != centres[:-1]).any(2).all()
    assert (centres[:, 1:] != centres[:, :-1]).any(2).all()


def test_colours_are_rgb() -> None:
    picture = draw(np.zeros((80, 80, 3), np.uint8), instances_of(grid(4, cell=40)), ["x"])
    red, _, blue = picture[25, 12].astype(int)
    assert red > 2 * blue  # the first colour is a red


def test_few_are_labelled() -> None:
    masks = boxes((200, 200), (60, 80, 150, 180))
    image = np.zeros((200, 200, 3), np.uint8)
    picture = draw(image, instances_of(masks), ["Zellkörper"])
    outside = picture.any(2) & ~masks[0]
    rows, columns = outside.nonzero()
    assert rows.min() >= 60 and rows.max() < 80, "the label stands right above its box"
    assert columns.min() == 60
    assert (draw(image, instances_of(masks), ["Zellkorper"]) != picture).any(), "accents are drawn"


def test_labels_stay_in_the_picture_and_apart() -> None:
    masks = boxes((120, 200), *[(190, 20, 200, 30)] * 3)
    picture = draw(np.zeros((120, 200, 3), np.uint8), instances_of(masks, [0, 1, 2]), ["first", "second", "third"])
    colors, counts = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
    backgrounds = (counts > 400) & colors.any(1)
    assert backgrounds.sum() == 3, "each label keeps its background, so none covers another or is cut off"


def test_among_many_classes_only_the_large_are_labelled() -> None:
    small = grid(16, cell=12)
    masks = np.zeros((17, 300, 300), bool)
    masks[:16, :48, :48] = small
    masks[16, 100:, 100:] = True
    picture = draw(np.zeros((300, 300, 3), np.uint8), instances_of(masks, [0] * 16 + [1]), ["nut", "table"])
    outside = picture.any(2) & ~masks.any(0)
    rows, columns = outside.nonzero()
    assert rows.min() > 60 and rows.max() < 100 and columns.min() >= 100


@given(
    size_hw=st.tuples(st.integers(1, 40), st.integers(1, 40)), count=st.integers(0, 15), scale=st.integers(1, 4),
    seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=60)
def test_any_masks_can_be_drawn(size_hw: tuple[int, int], count: int, scale: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.random((count, *size_hw)) > rng.random((count, 1, 1))
    image = rng.integers(0, 255, (*size_hw, 3), np.uint8)
    labels = rng.integers(0, 2, count).tolist()
    picture = draw(image, instances_of(masks, labels), ["a", "b"], scale=scale)
    assert picture.shape == (size_hw[0] * scale, size_hw[1] * scale, 3) and picture.dtype == np.uint8


def test_enlarged_masks_stay_in_place() -> None:
    masks = grid(49)
    image = np.zeros((*masks.shape[1:], 3), np.uint8)
    changed = draw(image, instances_of(masks), ["x"], scale=3).any(2)
    expected = masks.any(0).repeat(3, 0).repeat(3, 1)
    assert (changed & expected).sum() / (changed | expected).sum() > 0.9


@pytest.mark.parametrize(("size_hw", "scale"), [((256, 256), 3), ((360, 360), 2), ((520, 696), 1), ((10, 10), 4)])
def test_legible_scale(size_hw: tuple[int, int], scale: int) -> None:
    assert legible_scale(size_hw) == scale


@pytest.mark.parametrize(
    "image", [np.zeros((5, 6, 3), np.float32), np.zeros((5, 6), np.uint8), np.zeros((6, 5, 3), np.uint8)]
)
def test_another_image_is_refused(image: NDArray[np.generic]) -> None:
    with pytest.raises(ValueError, match="image must be"):
        draw(image, Instances.empty((5, 6)), ["x"])


def test_real_nuclei_leave_the_background_untouched() -> None:
    dataset = json.loads((NUCLEI / "val.json").read_text())
    annotations: dict[int, list[bytes]] = {}
    for annotation in dataset["annotations"]:
        annotations.setdefault(annotation["image_id"], []).append(annotation["segmentation"]["counts"].encode())
    record = max(dataset["images"], key=lambda image: len(annotations.get(image["id"], [])))
    counts, size_hw = tuple(annotations[record["id"]]), (record["height"], record["width"])
    count = len(counts)
    assert count > 100
    instances = Instances(np.ones(count, np.float32), np.zeros(count, np.int64), counts, np.arange(count), size_hw)
    image = cv2.imread(str(NUCLEI / "val" / record["file_name"]))
    changed = (draw(image, instances, ["nucleus"]) != image).any(2)
    covered = instances.masks.any(0)
    assert not (changed & ~covered).any()
    assert changed[covered].mean() > 0.95
