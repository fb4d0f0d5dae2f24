import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from dense import dense_masks
from sparseinst.data.seen import Seen, draw_layers
from sparseinst.data.targets import draw_targets, reduce_masks
from sparseinst.masks import rle
from sparseinst.masks.runs import decode_runs


def layered(masks: np.ndarray) -> torch.Tensor:
    """Label layers, each instance in its own."""
    numbers = np.arange(1, len(masks) + 1, dtype=np.int32)[:, None, None]
    return torch.from_numpy(np.where(masks, numbers, 0).astype(np.int32))


@given(dense_masks(side=70), st.sampled_from([1, 2, 4, 8]))
def test_targets_are_the_interpolated_padded_masks(masks: np.ndarray, stride: int) -> None:
    labels = np.arange(len(masks), dtype=np.int64) * 3
    height, width = masks.shape[1:]
    padded = torch.zeros(len(masks), 1, -(-height // 32) * 32, -(-width // 32) * 32)
    padded[:, 0, :height, :width] = torch.from_numpy(masks).float()
    grid = (padded.shape[2] // stride, padded.shape[3] // stride)
    expected = padded
    if len(masks):
        expected = functional.interpolate(padded, size=grid, mode="bilinear", align_corners=False)
    seen = expected.flatten(1).any(1)
    targets = reduce_masks(layered(masks), labels, stride)
    assert targets.masks.dtype == torch.float16 and targets.masks.shape[1:] == grid
    assert torch.equal(targets.masks.float(), expected[seen, 0].reshape(-1, *grid))
    assert targets.labels.tolist() == labels[seen.numpy()].tolist()


def test_neighbours_in_one_layer_stay_apart() -> None:
    layer = torch.zeros(1, 32, 32, dtype=torch.int32)
    layer[0, :, :18], layer[0, :, 18:] = 2, 1
    targets = reduce_masks(layer, np.array([5, 6]), 4)
    assert targets.labels.tolist() == [5, 6]
    assert targets.masks[0, 0].tolist() == [0, 0, 0, 0, 0.5, 1, 1, 1]
    assert targets.masks[1, 0].tolist() == [1, 1, 1, 1, 0.5, 0, 0, 0]


def test_an_instance_between_the_cells_is_dropped() -> None:
    layer = torch.zeros(1, 32, 32, dtype=torch.int32)
    layer[0, 0, 0], layer[0, 1, 1] = 1, 2  # at stride 4 the cell's centre is between pixels 1 and 2
    targets = reduce_masks(layer, np.array([7, 8]), 4)
    assert targets.labels.tolist() == [8] and targets.masks.sum() == 0.25


def test_a_stride_that_does_not_divide_the_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="mask_stride"):
        reduce_masks(torch.zeros(1, 32, 32, dtype=torch.int32), np.zeros(0, np.int64), 3)
    with pytest.raises(ValueError, match="mask_stride"):
        draw_targets(decode_runs([]).strips(32), Seen.whole((32, 32)), (32, 32), np.zeros(0, np.int64), 3)


@st.composite
def views(draw: st.DrawFn, hw: tuple[int, int]) -> Seen:
    """Views after a few changes, as training makes them."""
    seen = Seen.whole(hw)
    for change in draw(st.lists(st.sampled_from(["turn", "flip", "resize", "crop"]), max_size=5)):
        height, width = seen.hw
        if change == "turn":
            seen = seen.turn(draw(st.integers(0, 3)))
        elif change == "flip":
            seen = seen.flip(vertical=draw(st.booleans()))
        elif change == "resize":
            seen = seen.resize((draw(st.integers(1, 90)), draw(st.integers(1, 90))))
        else:
            top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
            window = slice(top, draw(st.integers(top + 1, height))), slice(left, draw(st.integers(left + 1, width)))
            seen = seen.crop(window)
    return seen


@given(dense_masks(side=40), st.sampled_from([1, 2, 4, 8]), st.data())
def test_what_is_drawn_of_a_view_is_what_it_shows(masks: np.ndarray, stride: int, data: st.DataObject) -> None:
    size_hw = masks.shape[1:]
    seen = data.draw(views(size_hw))
    strips = decode_runs(rle.encode(masks)).strips(size_hw[0])
    turned = masks.transpose(0, 2, 1) if seen.turned else masks
    expected = turned[:, seen.down][:, :, seen.across]  # (T, h, w)
    layers = draw_layers(strips, seen, size_hw)
    numbers = np.arange(1, len(masks) + 1)[:, None, None]
    assert layers.shape[1:] == seen.hw == expected.shape[1:]
    assert np.array_equal((layers[None] == numbers[:, None]).any(1), expected)
    labels = np.arange(len(masks), dtype=np.int64) * 3
    drawn, reduced = (
        draw_targets(strips, seen, size_hw, labels, stride),
        reduce_masks(layered(expected), labels, stride),
    )
    assert torch.equal(drawn.masks, reduced.masks) and torch.equal(drawn.labels, reduced.labels)
