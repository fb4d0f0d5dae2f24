"""A browser pastes masks as the exact two bilinear steps do, and encodes them as COCO does."""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from dense import dense_masks
from sparseinst.masks import rle
from sparseinst.masks.exact import paste_exact
from sparseinst.masks.grid import Frame
from sparseinst.masks.pieces import drop_small_pieces
from sparseinst.masks.runs import decode_runs


class Case(NamedTuple):
    mask: torch.Tensor
    """(h, w)"""
    frame: Frame
    threshold: float
    least_piece: float = 0.0


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Noise, smooth blobs with holes and crisp rectangles, in frames of every proportion; some are empty or full."""
    grid = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    stride = draw(st.sampled_from([1, 2, 3, 4, 4, 4, 8]))
    frame_hw = grid[0] * stride, grid[1] * stride
    resized_hw = draw(st.integers(1, frame_hw[0])), draw(st.integers(1, frame_hw[1]))
    original_hw = draw(st.integers(1, 150)), draw(st.integers(1, 150))
    mask = torch.rand(grid, generator=torch.Generator().manual_seed(draw(st.integers(0, 2**31))))
    for _ in range(draw(st.integers(0, 3))):
        mask = F.avg_pool2d(mask[None], 3, stride=1, padding=1)[0]
    threshold = draw(st.sampled_from([0.3, 0.45, 0.5, 0.62]))
    if draw(st.booleans()):
        mask = (mask > mask.mean()).float()
    if draw(st.booleans()):  # a part of the picture, up to a border or not
        outside = draw(st.sampled_from([0, threshold - 0.01]))
        mask[: draw(st.integers(0, grid[0]))].clamp_(max=outside)
        mask[:, draw(st.integers(0, grid[1])) :].clamp_(max=outside)
    return Case(mask, Frame(frame_hw, resized_hw, original_hw), threshold)


def encoded(node, case: Case) -> dict[str, Any] | None:
    grid = list(case.mask.shape)
    sizes = dict(zip(("frame", "resized", "original"), case.frame, strict=True))
    columns = node.call("browser_masks.js", "columnsOf", grid[1], sizes)
    thresholds = case.threshold, case.least_piece
    return node.call("browser_masks.js", "encodeMask", case.mask.numpy(), grid, columns, sizes, *thresholds)


def pasted(node, case: Case) -> np.ndarray:
    """The mask, once its code, area and box have been compared with those of COCO's own encoder."""
    found = encoded(node, case)
    if found is None:
        return np.zeros(case.frame.original_hw, bool)
    counts = found["counts"].encode()
    mask = rle.decode([counts], case.frame.original_hw)
    assert rle.encode(mask) == (counts,)
    x0, y0, x1, y1 = rle.boxes_xyxy([counts], case.frame.original_hw)[0]
    assert found["area"] == mask.sum() > 0
    assert found["bbox"] == [x0, y0, x1 - x0, y1 - y0]
    return mask[0]


def eye(side: int, frame: Frame, threshold: float = 0.45) -> Case:
    return Case(torch.eye(side), frame, threshold)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values)[:, None]


@given(cases())
@example(eye(8, Frame((32, 32), (32, 32), (16, 16)), 0.5))  # values equal to the threshold
@example(eye(9, Frame((36, 36), (20, 31), (1, 1))))
@example(eye(2, Frame((8, 8), (7, 8), (700, 3))))
@example(Case(column(0.4, 0.44, 1, 1, 1, 0.44, 0.4), Frame((28, 4), (28, 4), (90, 2)), 0.45))  # edges far out
@settings(max_examples=400)
def test_every_pixel_is_that_of_the_exact_reference(node, case: Case) -> None:
    values = paste_exact(case.mask[None].double(), case.frame)[0].numpy()
    differing = pasted(node, case) != (values > case.threshold)
    assert (np.abs(values - case.threshold)[differing] < 1e-5).all(), "differs where rounding cannot be why"


@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.25, 0.5, 0.75]))
def test_values_equal_to_the_threshold_are_outside(node, seed: int, h: int, w: int, threshold: float) -> None:
    mask = (torch.rand(h, w, generator=torch.Generator().manual_seed(seed)) > 0.5).float()
    frame = Frame((4 * h, 4 * w), (4 * h, 4 * w), (2 * h, 2 * w))  # all weights are dyadic: there is no rounding
    expected = paste_exact(mask[None], frame)[0] > threshold
    assert (pasted(node, Case(mask, frame, threshold)) == expected.numpy()).all()


@given(cases(), st.sampled_from([0.01, 0.05, 0.2, 0.5, 1.0]))
@example(eye(8, Frame((32, 32), (32, 32), (16, 16)), 0.5), 1.0)
@settings(max_examples=200)
def test_small_pieces_go_as_they_do_elsewhere(node, case: Case, least: float) -> None:
    whole = pasted(node, case)
    expected = drop_small_pieces(rle.encode(whole[None]), whole.shape, least=least)
    assert rle.encode(pasted(node, case._replace(least_piece=least))[None]) == expected


@given(dense_masks(most=1), st.sampled_from([0.01, 0.1, 0.3, 1.0]))
@settings(max_examples=200)
def test_small_pieces_of_any_mask(node, masks: np.ndarray, least: float) -> None:
    for counts in rle.encode(masks):
        height = masks.shape[1]
        starts, ends, _ = decode_runs([counts]).spans()
        edges = np.stack([starts, ends], axis=1).ravel().tolist()
        found = node.call("browser_pieces.js", "withoutSmallPieces", edges, height, least)
        starts, ends, _ = decode_runs(drop_small_pieces([counts], masks.shape[1:], least=least)).spans()
        assert found == np.stack([starts, ends], axis=1).ravel().tolist()


@pytest.mark.parametrize("value", [0.0, 0.45, 0.46, 1.0])
def test_a_constant_mask_is_all_or_nothing(node, value: float) -> None:
    case = Case(torch.full((6, 9), value), Frame((24, 36), (23, 33), (50, 41)), 0.45)
    assert (encoded(node, case) is None) == (value <= 0.45)
    assert (pasted(node, case) == (value > 0.45)).all()


def test_values_that_are_no_numbers_still_give_an_encoding(node) -> None:
    mask = torch.rand(6, 7, generator=torch.Generator().manual_seed(0))
    mask[mask < 0.1] = torch.nan
    found = pasted(node, Case(mask, Frame((24, 28), (24, 24), (48, 48)), 0.45))
    assert 0 < found.sum() < found.size
