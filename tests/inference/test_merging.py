import numpy as np
import pytest

from sparseinst.inference.merging import TILE_SLOTS, merge
from sparseinst.masks import rle
from sparseinst.masks.grid import Window
from sparseinst.structures import Instances

SIZE = (40, 100)
LEFT, RIGHT = (slice(0, 40), slice(0, 60)), (slice(0, 40), slice(40, 100))

Box = tuple[int, int, int, int]
"""Of the whole image: x0, y0, x1, y1."""


def views(window: Window, *boxes: Box, scores: tuple[float, ...], label: int = 0, slot: int = 0) -> Instances:
    """Boxes as a tile sees them."""
    masks = np.stack([drawn(box) for box in boxes])[:, window[0], window[1]]
    return Instances(
        np.array(scores, np.float32),
        np.full(len(boxes), label),
        rle.encode(masks),
        np.arange(slot, slot + len(boxes)),
        masks.shape[1:],
    )


def drawn(box: Box) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def merged(left: Instances, right: Instances) -> Instances:
    return merge([left, right], [LEFT, RIGHT], SIZE)[0]


def boxes(found: Instances) -> list[Box]:
    assert found.areas.tolist() == [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in found.boxes]
    return [tuple(map(int, box)) for box in found.boxes]


def test_a_whole_view_is_the_object_and_its_doubles_add_nothing() -> None:
    found = merged(
        views(LEFT, (45, 10, 60, 20), scores=(0.9,), slot=3),  # cut, and drawn a little too high
        views(RIGHT, (45, 11, 70, 20), scores=(0.6,), slot=7),
    )
    assert boxes(found) == [(45, 11, 70, 20)]
    assert found.scores.tolist() == [pytest.approx(0.6)] and found.slots.tolist() == [TILE_SLOTS + 7]


def test_of_two_whole_views_the_better_is_taken() -> None:
    found = merged(
        views(LEFT, (44, 10, 56, 20), scores=(0.6,), slot=3), views(RIGHT, (45, 11, 57, 20), scores=(0.8,), slot=7)
    )
    assert boxes(found) == [(45, 11, 57, 20)] and found.slots.tolist() == [TILE_SLOTS + 7]


def test_cut_views_that_agree_are_joined() -> None:
    found = merged(
        views(LEFT, (20, 10, 60, 20), scores=(0.6,), slot=3), views(RIGHT, (40, 10, 90, 20), scores=(0.8,), slot=7)
    )
    assert boxes(found) == [(20, 10, 90, 20)]
    assert found.scores.tolist() == [pytest.approx(0.8)] and found.slots.tolist() == [TILE_SLOTS + 7]


def test_a_cut_view_far_better_than_a_whole_one_is_joined_with_it() -> None:
    found = merged(views(LEFT, (45, 10, 60, 20), scores=(0.9,)), views(RIGHT, (45, 10, 70, 20), scores=(0.2,)))
    assert boxes(found) == [(45, 10, 70, 20)]


def test_objects_that_touch_stay_apart() -> None:
    found = merged(
        views(LEFT, (20, 10, 60, 20), (20, 20, 60, 30), scores=(0.6, 0.7)),
        views(RIGHT, (40, 10, 90, 20), (40, 20, 90, 30), scores=(0.8, 0.5)),
    )
    assert sorted(boxes(found)) == [(20, 10, 90, 20), (20, 20, 90, 30)]


def test_classes_are_not_joined() -> None:
    found = merged(views(LEFT, (20, 10, 60, 20), scores=(0.6,)), views(RIGHT, (40, 10, 90, 20), scores=(0.8,), label=1))
    assert boxes(found) == [(20, 10, 60, 20), (40, 10, 90, 20)] and found.labels.tolist() == [0, 1]


def test_a_poor_view_within_a_better_one_goes() -> None:
    found = merged(
        views(LEFT, (50, 10, 60, 14), scores=(0.7,)),  # a third of what lies in both tiles
        views(RIGHT, (48, 10, 70, 24), scores=(0.8,)),
    )
    assert boxes(found) == [(48, 10, 70, 24)]


def test_views_of_one_tile_are_not_compared() -> None:
    left = views(LEFT, (5, 10, 20, 20), (6, 10, 20, 20), scores=(0.7, 0.6))
    found = merged(left, views(RIGHT, (70, 10, 80, 20), scores=(0.8,)))
    assert boxes(found) == [(5, 10, 20, 20), (6, 10, 20, 20), (70, 10, 80, 20)]


def test_tiles_without_instances() -> None:
    empty = Instances.empty((40, 60))
    assert len(merged(empty, empty)) == 0 and merged(empty, empty).size_hw == SIZE
    assert boxes(merged(empty, views(RIGHT, (70, 10, 80, 20), scores=(0.8,)))) == [(70, 10, 80, 20)]


def test_one_tile_is_left_as_it_is() -> None:
    found = views((slice(0, 40), slice(0, 100)), (45, 10, 60, 20), scores=(0.9,))
    assert merge([found], [(slice(0, 40), slice(0, 100))], SIZE)[0] is found
