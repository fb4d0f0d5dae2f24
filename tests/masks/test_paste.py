"""Masks are pasted as the exact two bilinear steps do, whatever the sizes."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from torch.nn import functional as F

from sparseinst.masks import rle
from sparseinst.masks.exact import paste_exact
from sparseinst.masks.grid import Frame, Patches
from sparseinst.masks.paste import encode_pasted, encode_stretched
from sparseinst.masks.runs import decode_runs
from sparseinst.masks.stretch import stretch_whole, stretch_windows


def windows(masks: torch.Tensor, frame: Frame, *, threshold: float) -> tuple[bytes, ...]:
    parts = stretch_windows(Patches.of(masks), frame, threshold=threshold)
    return encode_stretched(parts, frame, grid=masks.shape[1], threshold=threshold)


def whole(masks: torch.Tensor, frame: Frame, *, threshold: float) -> tuple[bytes, ...]:
    parts = stretch_whole(masks, frame, threshold=threshold)
    return encode_stretched(parts, frame, grid=masks.shape[1], threshold=threshold)


WAYS = pytest.mark.parametrize("way", [windows, whole])


class Case(NamedTuple):
    masks: torch.Tensor
    frame: Frame
    threshold: float


def pasted(way: object, masks: torch.Tensor, frame: Frame, threshold: float) -> np.ndarray:
    counts = way(masks, frame, threshold=threshold)
    assert len(counts) == len(masks)
    found = rle.decode(counts, frame.original_hw)
    assert rle.encode(found) == counts, "the encoding is not the one of COCO's encoder"
    return found


def smooth(masks: torch.Tensor, passes: int) -> torch.Tensor:
    for _ in range(passes):
        masks = F.avg_pool2d(masks, 3, stride=1, padding=1)
    return masks


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Noise, smooth blobs with holes, crisp rectangles, in frames of every proportion; some masks empty or full."""
    grid_hw = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    stride = draw(st.sampled_from([0.4, 1, 2, 3, 4, 4, 4, 8]))
    frame_hw = math.ceil(grid_hw[0] * stride), math.ceil(grid_hw[1] * stride)
    resized_hw = draw(st.integers(1, frame_hw[0])), draw(st.integers(1, frame_hw[1]))
    original_hw = draw(st.integers(1, 150)), draw(st.integers(1, 150))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    masks = torch.rand(draw(st.integers(1, 3)), *grid_hw, generator=generator)
    masks = smooth(masks, draw(st.integers(0, 3)))
    threshold = draw(st.sampled_from([0.3, 0.45, 0.5, 0.62]))
    if draw(st.booleans()):
        masks = (masks > masks.mean()).float()
    if draw(st.booleans()):  # a part of the image, up to a border or not
        top, left = draw(st.integers(0, grid_hw[0])), draw(st.integers(0, grid_hw[1]))
        outside = draw(st.sampled_from([0, threshold - 0.01]))
        masks[:, :top, :] = masks[:, :top, :].clamp(max=outside)
        masks[:, :, left:] = masks[:, :, left:].clamp(max=outside)
    return Case(masks, Frame(frame_hw, resized_hw, original_hw), threshold)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values)[None, :, None]


@WAYS
@given(cases())
@example(Case(torch.eye(8)[None], Frame((32, 32), (32, 32), (16, 16)), 0.5))  # values equal to the threshold
@example(Case(torch.eye(9)[None], Frame((36, 36), (20, 31), (1, 1)), 0.45))
@example(Case(torch.eye(2)[None], Frame((8, 8), (7, 8), (700, 3)), 0.45))
@example(Case(column(0.4, 0.44, 1, 1, 1, 0.44, 0.4), Frame((28, 4), (28, 4), (90, 2)), 0.45))  # edges far out
@example(Case(column(*[0.4] * 5, *[0.44] * 5, 1, 1, 1, *[0.44] * 6, *[0.4] * 4), Frame((6, 1), (6, 1), (90, 2)), 0.45))
def test_every_pixel_is_that_of_the_exact_reference(way: object, case: Case) -> None:
    found = pasted(way, *case)
    values = paste_exact(case.masks.double(), case.frame).numpy()
    differing = found != (values > case.threshold)
    assert (np.abs(values - case.threshold)[differing] < 1e-5).all(), "differs where rounding cannot be why"


@WAYS
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.25, 0.5, 0.75]))
def test_values_equal_to_the_threshold_are_outside(way: object, seed: int, h: int, w: int, threshold: float) -> None:
    masks = (torch.rand(2, h, w, generator=torch.Generator().manual_seed(seed)) > 0.5).float()
    frame = Frame((4 * h, 4 * w), (4 * h, 4 * w), (2 * h, 2 * w))  # all weights are dyadic: there is no rounding
    assert (pasted(way, masks, frame, threshold) == (paste_exact(masks, frame) > threshold).numpy()).all()


@WAYS
@given(st.floats(0, 1, width=32), st.integers(1, 9), st.integers(1, 9), st.integers(1, 50), st.integers(1, 50))
def test_a_constant_mask_is_all_or_nothing(way: object, value: float, h: int, w: int, height: int, width: int) -> None:
    assume(abs(value - 0.45) > 1e-7)  # within the last bits rounding decides, in the published steps as well
    masks = torch.full((2, h, w), value)
    found = pasted(way, masks, Frame((4 * h, 4 * w), (4 * h - 1, 4 * w - 3), (height, width)), 0.45)
    assert (found == (value > 0.45)).all()


def blobs(count: int, *, seed: int) -> torch.Tensor:
    noise = torch.rand(count, 96, 160, generator=torch.Generator().manual_seed(seed))
    return (smooth(noise, 12) * 40 - 20).sigmoid()


@WAYS
@pytest.mark.parametrize("original_hw", [(1080, 1920), (360, 640), (211, 377), (37, 1999)])
def test_outlines_are_those_of_the_float32_reference(way: object, original_hw: tuple[int, int]) -> None:
    frame = Frame((384, 640), (360, 640), original_hw)
    masks = blobs(3, seed=sum(original_hw))
    found, expected = pasted(way, masks, frame, 0.45), (paste_exact(masks, frame) > 0.45).numpy()
    inner = expected.astype(np.uint8)
    padded = torch.from_numpy(np.pad(inner, ((0, 0), (1, 1), (1, 1)), mode="edge")).float()
    outline = (F.max_pool2d(padded, 3, 1) != -F.max_pool2d(-padded, 3, 1)).numpy()
    differing = found != expected
    assert outline.any(axis=(1, 2)).all() and not differing[~outline].any()
    assert differing.sum() <= 0.001 * outline.sum()


def test_many_masks_together_are_each_alone() -> None:
    masks = torch.cat([blobs(2, seed=1), torch.zeros(2, 96, 160), blobs(3, seed=2)])
    frame = Frame((384, 640), (384, 600), (600, 800))  # a processor stretches them in chunks
    together = encode_pasted(masks, frame, threshold=0.45)
    assert len(together) == 7 and rle.areas(together, frame.original_hw)[2:4].tolist() == [0, 0]
    for way in (windows, whole):
        assert way(masks, frame, threshold=0.45) == together
        assert [way(mask[None], frame, threshold=0.45)[0] for mask in masks] == list(together)


@WAYS
def test_no_masks(way: object) -> None:
    assert pasted(way, torch.zeros(0, 6, 9), Frame((24, 36), (24, 30), (48, 60)), 0.45).shape == (0, 48, 60)


def test_half_precision() -> None:
    frame = Frame((384, 640), (360, 640), (108, 192))
    masks = blobs(1, seed=3).half()
    assert encode_pasted(masks, frame, threshold=0.45) == encode_pasted(masks.float(), frame, threshold=0.45)


@WAYS
@given(st.integers(0, 2**31))
def test_values_that_are_no_numbers_still_give_an_encoding(way: object, seed: int) -> None:
    masks = torch.rand(2, 6, 7, generator=torch.Generator().manual_seed(seed))
    masks[masks < 0.1] = torch.nan
    frame = Frame((24, 28), (24, 24), (48, 48))
    counts = way(masks, frame, threshold=0.45)
    runs = decode_runs(counts)  # refuses negative runs
    assert runs.totals.tolist() == [48 * 48] * 2
