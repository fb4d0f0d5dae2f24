import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparseinst.ops.noise import moved, noised
from tiny import discs

NO_SHIFT, NO_STRETCH = torch.zeros(1, 2), torch.ones(1, 2)


def box(x: int, y: int, width: int, height: int, *, size_hw: tuple[int, int] = (32, 48)) -> Tensor:
    mask = torch.zeros(1, *size_hw)
    mask[:, y : y + height, x : x + width] = 1
    return mask


boxes = st.tuples(st.integers(0, 20), st.integers(0, 12), st.integers(1, 12), st.integers(1, 12))


@given(boxes)
@settings(max_examples=30, deadline=None)
def test_no_move_changes_nothing(place: tuple[int, int, int, int]) -> None:
    torch.testing.assert_close(moved(box(*place), shift=NO_SHIFT, stretch=NO_STRETCH), box(*place), atol=1e-4, rtol=0)


@given(boxes, st.integers(-3, 3), st.integers(-3, 3))
@settings(max_examples=50, deadline=None)
def test_a_shift_is_counted_in_extents_of_the_mask(place: tuple[int, int, int, int], dx: int, dy: int) -> None:
    x, y, width, height = place[0] + 3, place[1] + 3, *place[2:]
    shift = torch.tensor([[dx / width, dy / height]])
    got = moved(box(x, y, width, height), shift=shift, stretch=NO_STRETCH)
    torch.testing.assert_close(got, box(x + dx, y + dy, width, height), atol=1e-4, rtol=0)


@given(st.integers(2, 6), st.integers(2, 6), st.sampled_from([0.5, 1.5, 2.0]), st.sampled_from([0.5, 2.0]))
@settings(max_examples=30, deadline=None)
def test_a_stretch_keeps_the_centre_and_multiplies_the_area(
    half_width: int, half_height: int, across: float, down: float
) -> None:
    mask = box(24 - half_width, 16 - half_height, 2 * half_width, 2 * half_height)
    got = moved(mask, shift=NO_SHIFT, stretch=torch.tensor([[across, down]]))
    assert got.sum().item() == pytest.approx(mask.sum().item() * across * down, rel=0.05)
    torch.testing.assert_close(got, got.flip(1, 2), atol=1e-4, rtol=0)  # the centre is that of the grid


@given(st.integers(0, 8), st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_noise_leaves_something_of_every_mask_in_range(count: int, seed: int) -> None:
    torch.manual_seed(seed)
    masks = discs(count, seed=seed).masks
    got = noised(masks)
    assert got.shape == masks.shape
    assert ((got >= 0) & (got <= 1 + 1e-5)).all()
    assert (got.flatten(1).sum(1) >= torch.minimum(masks.flatten(1).sum(1), torch.tensor(0.5))).all()


def test_the_smallest_and_thinnest_masks_survive() -> None:
    masks = torch.cat([box(0, 0, 1, 1), box(47, 31, 1, 1), box(0, 16, 48, 1)]).repeat(100, 1, 1)
    torch.manual_seed(0)
    assert (noised(masks).flatten(1).sum(1) > 0.5).all()


def test_noise_differs_by_the_global_generator_and_still_covers_the_mask() -> None:
    mask = box(14, 8, 20, 16)
    versions = []
    for seed in (0, 0, *range(1, 21)):
        torch.manual_seed(seed)
        versions.append(noised(mask)[0])
    assert torch.equal(versions[0], versions[1])
    overlaps = [((v > 0.5) & (mask[0] > 0)).sum().item() / ((v > 0.5) | (mask[0] > 0)).sum().item() for v in versions]
    assert min(overlaps) > 0.25
    assert len({v.sum().item() for v in versions[1:]}) > 15
    assert sum(overlaps) / len(overlaps) < 0.9
