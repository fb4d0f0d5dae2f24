import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from sparseinst.ops.losses import Focus, MaskLosses, centre_focal_loss, focal_loss, mask_losses, pairwise_dice

Case = tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]


def case(counts: list[int], *, slots: int = 4, hw: tuple[int, int] = (3, 5), seed: int = 0) -> Case:
    """Random float64 logits, soft targets, and for each image a random matching with some targets left over."""
    random = torch.Generator().manual_seed(seed)
    masks = (3 * torch.randn(len(counts), slots, *hw, generator=random, dtype=torch.float64)).requires_grad_()
    targets = [torch.rand(count, *hw, generator=random, dtype=torch.float64) for count in counts]
    pairs = [min(slots, count) for count in counts]
    own = [torch.randperm(slots, generator=random)[:pair] for pair in pairs]
    matched = [torch.randperm(count, generator=random)[:pair] for count, pair in zip(counts, pairs, strict=True)]
    return masks, targets, own, matched


def one(logits: Tensor, target: Tensor) -> MaskLosses:
    """Losses of one slot and one target."""
    return mask_losses(logits[None, None], [target[None]], [torch.tensor([0])], [torch.tensor([0])])


@given(st.lists(st.integers(0, 6), min_size=1, max_size=3), st.integers(0, 1000))
@settings(max_examples=15)
def test_gradient_is_that_of_the_losses(counts: list[int], seed: int) -> None:
    masks, *rest = case(counts, seed=seed)
    torch.autograd.gradcheck(lambda m: mask_losses(m, *rest)[:2], (masks,))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=3), st.integers(0, 1000))
@settings(max_examples=15)
def test_each_pair_is_worth_what_it_is_alone(counts: list[int], seed: int) -> None:
    masks, targets, slots, matched = case(counts, seed=seed)
    together = mask_losses(masks, targets, slots, matched)
    alone = [
        one(masks[i, slot], targets[i][target])
        for i in range(len(counts))
        for slot, target in zip(slots[i], matched[i], strict=True)
    ]
    assert len(together.dice) == len(alone)
    for name in MaskLosses._fields:
        expected = [getattr(losses, name)[0].item() for losses in alone]
        torch.testing.assert_close(getattr(together, name), torch.tensor(expected, dtype=torch.float64))


def test_many_masks_are_worth_what_they_are_a_few_at_a_time() -> None:
    """More pixels than are worked on at a time."""
    masks, targets, slots, matched = case([5], slots=5, hw=(600, 500))
    together = mask_losses(masks, targets, slots, matched)
    (together.entropy.sum() + together.dice.sum()).backward()
    for i, (slot, target) in enumerate(zip(slots[0], matched[0], strict=True)):
        logits = masks.detach()[0, slot].requires_grad_()
        alone = one(logits, targets[0][target])
        (alone.entropy.sum() + alone.dice.sum()).backward()
        for name in MaskLosses._fields:
            torch.testing.assert_close(getattr(together, name)[i], getattr(alone, name)[0])
        torch.testing.assert_close(masks.grad[0, slot], logits.grad)


def test_values_of_a_known_pair() -> None:
    target = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    probability = torch.tensor([[0.8, 0.39], [0.41, 0.1]])
    losses = one(probability.logit(), target)
    entropy = -(math.log(0.8) + math.log(0.39) + math.log(1 - 0.41) + math.log(0.9))
    dice = 2 * (0.8 + 0.39) / (0.8**2 + 0.39**2 + 0.41**2 + 0.1**2 + 2 + 1e-4)
    assert losses.entropy.item() == pytest.approx(entropy, rel=1e-6)
    assert losses.dice.item() == pytest.approx(1 - dice, rel=1e-6)
    assert losses.iou.item() == pytest.approx(1 / 3, rel=1e-5)  # 0.8 and 0.41 are found, the upper two are wanted


def test_small_entropy_of_sure_masks_is_exact() -> None:
    """In float32, where it is seven digits below the logits."""
    target = torch.zeros(8, 8)
    target[2:5, 2:5] = 1
    losses = one(40 * target - 20, target)
    assert losses.entropy.item() == pytest.approx(64 * math.log1p(math.exp(-20)), rel=1e-5)
    assert losses.iou.item() == pytest.approx(1)


@pytest.mark.parametrize("counts", [[2, 0, 3], [0, 0]])
def test_unmatched_slots_have_a_gradient_of_zero(counts: list[int]) -> None:
    masks, targets, slots, matched = case(counts)
    losses = mask_losses(masks, targets, slots, matched)
    (losses.entropy.sum() + losses.dice.sum()).backward()
    for gradient, used in zip(masks.grad, slots, strict=True):
        assert gradient.flatten(1).any(1).nonzero()[:, 0].tolist() == sorted(used.tolist())


def test_memory_layout_does_not_matter() -> None:
    masks, *rest = case([3, 4])
    other = masks.detach().to(memory_format=torch.channels_last).requires_grad_()
    for logits in (masks, other):
        losses = mask_losses(logits, *rest)
        (losses.entropy.sum() + losses.dice.sum()).backward()
    assert other.stride() != masks.stride()
    torch.testing.assert_close(other.grad, masks.grad, check_stride=False)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(kind: torch.dtype) -> None:
    masks, targets, *pairs = case([3, 4])
    half = masks.detach().to(kind).requires_grad_()
    full = half.detach().float().requires_grad_()
    wanted = [target.half() for target in targets]
    results = [mask_losses(half, wanted, *pairs), mask_losses(full, [w.float() for w in wanted], *pairs)]
    for losses in results:
        assert losses.dice.dtype == torch.float32
        (losses.entropy.sum() + losses.dice.sum()).backward()
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    torch.testing.assert_close(half.grad, full.grad.to(kind), rtol=0, atol=0)


def test_second_derivatives_are_refused() -> None:
    masks, *rest = case([3])
    with pytest.raises(RuntimeError, match="expected one derivative, got create_graph=True"):
        torch.autograd.grad(mask_losses(masks, *rest).dice.sum(), masks, create_graph=True)


def test_only_the_logits_are_kept_for_the_gradient() -> None:
    masks, targets, slots, matched = case([4, 4], hw=(40, 50))
    inputs = {tensor.untyped_storage().data_ptr() for tensor in (masks, *targets, *slots, *matched)}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in inputs:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = mask_losses(masks, targets, slots, matched)
    assert 0 < sum(kept.values()) <= 3 * losses.dice.nbytes


def test_pairwise_dice_is_that_of_pairs() -> None:
    masks, targets, *_ = case([3], slots=4)
    scores = pairwise_dice(masks.detach()[0].flatten(1).sigmoid(), targets[0].flatten(1))
    for slot in range(4):
        for target in range(3):
            assert scores[slot, target].item() == pytest.approx(1 - one(masks[0, slot], targets[0][target]).dice.item())


@given(st.lists(st.tuples(st.floats(-4, 4), st.sampled_from([0.0, 1.0])), min_size=1, max_size=5))
@settings(max_examples=25)
def test_focal_loss_is_that_of_its_paper(elements: list[tuple[float, float]]) -> None:
    logits, targets = torch.tensor(elements, dtype=torch.float64).T
    expected = 0.0
    for x, y in elements:
        p = 1 / (1 + math.exp(-x))
        expected -= 0.25 * (1 - p) ** 2 * math.log(p) if y else 0.75 * p**2 * math.log(1 - p)
    assert focal_loss(logits, targets).item() == pytest.approx(expected)


def test_gradient_of_the_focal_loss() -> None:
    logits = torch.linspace(-3, 3, 6, dtype=torch.float64).requires_grad_()
    targets = torch.tensor([0.0, 1.0], dtype=torch.float64).repeat(3)
    torch.autograd.gradcheck(lambda x: focal_loss(x, targets), (logits,))


def test_a_focus_weighs_the_cross_entropy_of_each_pixel_and_its_gradient() -> None:
    random = torch.Generator().manual_seed(3)
    masks = torch.randn(2, 4, 6, 5, generator=random, dtype=torch.float64, requires_grad=True)
    targets = [torch.rand(3, 6, 5, generator=random).double(), torch.rand(2, 6, 5, generator=random).double()]
    slots, matched = [torch.tensor([0, 3]), torch.tensor([2])], [torch.tensor([2, 0]), torch.tensor([1])]
    focus = Focus(0.25, torch.rand(3, 6, generator=random).double(), torch.rand(3, 5, generator=random).double())
    found = mask_losses(masks, targets, slots, matched, focus=focus)
    logits = torch.stack([masks[0, 0], masks[0, 3], masks[1, 2]])
    wanted = torch.stack([targets[0][2], targets[0][0], targets[1][1]])
    weights = focus.far + focus.rows[:, :, None] * focus.columns[:, None, :]
    expected = (weights * F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")).sum((1, 2))
    torch.testing.assert_close(found.entropy, expected)
    pull = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    (own,) = torch.autograd.grad((pull * found.entropy).sum(), masks)
    (theirs,) = torch.autograd.grad((pull * expected).sum(), masks)
    torch.testing.assert_close(own, theirs)


def test_centre_focal_loss_is_that_of_cornernet() -> None:
    logits = torch.tensor([0.0, 0.0, 0.0])
    loss = centre_focal_loss(logits, torch.tensor([1.0, 0.0, 0.0]), torch.tensor([1.0, 0.5, 0.0]))
    log2 = math.log(2)
    assert loss.item() == pytest.approx(0.25 * log2 + 0.5**4 * 0.25 * log2 + 0.25 * log2)
