import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor
from torch.nn import functional as F

from masks import dense_masks
from sparseinst.ops.outlines import outline_losses, outlines


def naive_band(mask: np.ndarray) -> np.ndarray:
    """Pixels with an unlike one among the eight around them."""
    height, width = mask.shape
    band = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            around = mask[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            band[y, x] = around.any() != around.all()
    return band


@given(dense_masks(most=2, side=8))
@settings(max_examples=30, deadline=None)
def test_the_band_is_where_neighbours_differ(masks: np.ndarray) -> None:
    found = outlines(torch.from_numpy(masks).float()).numpy()
    assert found.shape == masks.shape
    for band, mask in zip(found, masks, strict=True):
        np.testing.assert_array_equal(band, naive_band(mask))


def test_a_soft_step_makes_a_band_of_its_height() -> None:
    mask = torch.full((1, 3, 6), 0.25)
    mask[:, :, 3:] = 0.75
    assert outlines(mask)[0, 0].tolist() == [0, 0, 0.5, 0.5, 0, 0]


def case(kind: torch.dtype = torch.float64) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
    """Images with two pairs of three targets, none, and one pair."""
    random = torch.Generator().manual_seed(0)
    masks = (3 * torch.randn(3, 4, 5, 6, generator=random, dtype=torch.float64)).to(kind).requires_grad_()
    targets = [torch.rand(count, 5, 6, generator=random, dtype=torch.float64) for count in (3, 0, 1)]
    slots = [torch.tensor(image, dtype=torch.int64) for image in ([3, 0], [], [2])]
    matched = [torch.tensor(image, dtype=torch.int64) for image in ([0, 2], [], [0])]
    return masks, targets, slots, matched


def naive_losses(masks: Tensor, targets: list[Tensor], slots: list[Tensor], matched: list[Tensor]) -> Tensor:
    losses = []
    for own, wanted, chosen, theirs in zip(masks, targets, slots, matched, strict=True):
        for slot, target in zip(chosen, theirs, strict=True):
            band = outlines(wanted[target][None])[0]
            entropy = F.binary_cross_entropy_with_logits(own[slot], wanted[target], reduction="none")
            losses.append((band * entropy).sum() / band.sum())
    return torch.stack(losses)


def test_losses_and_gradient_are_those_of_each_pair_alone() -> None:
    masks, *rest = case()
    found, expected = outline_losses(masks, *rest), naive_losses(masks, *rest)
    torch.testing.assert_close(found, expected)
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    ours, theirs = (torch.autograd.grad((losses * weights).sum(), masks)[0] for losses in (found, expected))
    torch.testing.assert_close(ours, theirs)


def test_gradient_is_that_of_the_losses() -> None:
    masks, *rest = case()
    torch.autograd.gradcheck(lambda x: outline_losses(x, *rest), (masks,))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_target_without_an_outline_costs_nothing(value: float) -> None:
    masks = torch.randn(1, 1, 4, 4).requires_grad_()
    only = [torch.tensor([0])]
    loss = outline_losses(masks, [torch.full((1, 4, 4), value)], only, only)
    loss.sum().backward()
    assert loss.tolist() == [0]
    assert not masks.grad.any()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(kind: torch.dtype) -> None:
    half, *rest = case(kind)
    full = half.detach().float().requires_grad_()
    results = [outline_losses(masks, *rest) for masks in (half, full)]
    for losses in results:
        losses.sum().backward()
    torch.testing.assert_close(*results, rtol=0, atol=0)
    torch.testing.assert_close(half.grad, full.grad.to(kind), rtol=0, atol=0)


def test_second_derivatives_are_refused() -> None:
    masks, *rest = case()
    with pytest.raises(RuntimeError, match="expected one derivative, got create_graph=True"):
        torch.autograd.grad(outline_losses(masks, *rest).sum(), masks, create_graph=True)
