import importlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseinst.batch import Targets
from sparseinst.modeling.slots.criterion import Criterion, count_instances
from sparseinst.modeling.slots.matcher import Matcher
from sparseinst.predictions import Predictions
from sparseinst.recipe import LossConfig
from tiny import discs


def predictions(batch: int, *, slots: int = 6, seed: int = 0) -> Predictions:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, slots, 2, generator=random).requires_grad_()
    masks = torch.randn(batch, slots, 32, 32, generator=random).requires_grad_()
    objectness = torch.randn(batch, slots, 1, generator=random).requires_grad_()
    return Predictions(logits, masks, objectness, torch.zeros(batch, slots, 16, 16))


def losses(outputs: Predictions, targets: list[Targets]) -> dict[str, torch.Tensor]:
    return Criterion(LossConfig())(outputs, targets, count_instances(targets, "cpu"))


@pytest.mark.parametrize("counts", [(0, 3), (0, 0), (3, 0)])
def test_images_without_instances_have_finite_losses_and_gradients(counts: tuple[int, int]) -> None:
    outputs = predictions(2)
    result = losses(outputs, [discs(count) for count in counts])
    assert all(loss.isfinite() for loss in result.values())
    assert result["loss_ce"] > 0
    assert (result["loss_dice"] > 0) == (sum(counts) > 0)
    sum(result.values()).backward()
    assert outputs.masks.grad is not None and outputs.masks.grad.isfinite().all()


def test_empty_image_does_not_change_the_other_images_mask_losses() -> None:
    both, alone = predictions(2), predictions(2)
    alone = Predictions(*(part[1:] for part in alone))
    with_empty, without = losses(both, [discs(0), discs(3)]), losses(alone, [discs(3)])
    for name in ("loss_mask", "loss_dice", "loss_objectness"):
        torch.testing.assert_close(with_empty[name], without[name])


def test_more_instances_than_slots_matches_every_slot_once() -> None:
    targets = [discs(9), discs(2)]
    assignment = Matcher(dice=0.8, probability=0.2)(predictions(2), targets)
    assert assignment.slot[assignment.image == 0].tolist() == list(range(6))
    assert len(set(assignment.target.tolist())) == 8
    assert all(loss.isfinite() for loss in losses(predictions(2), targets).values())


@given(st.integers(1, 4), st.integers(0, 4), st.integers(0, 1000))
@settings(max_examples=25)
def test_assignment_is_the_best_of_all(slots: int, count: int, seed: int) -> None:
    outputs, target = predictions(1, slots=slots, seed=seed), discs(count, seed=seed)
    matcher = Matcher(dice=0.8, probability=0.2)
    scores = matcher.scores(outputs, [target])[0].numpy()
    assignment = matcher(outputs, [target])
    found = scores[assignment.slot, assignment.target].sum()
    few, many = sorted((slots, count))
    square = scores if slots <= count else scores.T
    best = max((square[range(few), list(order)].sum() for order in itertools.permutations(range(many), few)), default=0)
    assert len(assignment.slot) == few
    assert found == pytest.approx(best, rel=1e-5)


def test_matching_never_crosses_images() -> None:
    """A slot whose mask is exactly another image's target is not matched to it."""
    near, far = discs(1, seed=3), discs(1, seed=4)
    outputs = predictions(2)
    masks = outputs.masks.detach().clone()
    masks[0, 2], masks[1, 5] = far.masks[0] * 40 - 20, near.masks[0] * 40 - 20
    masks[0, 4], masks[1, 1] = near.masks[0] * 40 - 20, far.masks[0] * 40 - 20
    assignment = Matcher(dice=0.8, probability=0.2)(outputs._replace(masks=masks), [near, far])
    assert assignment.image.tolist() == [0, 1]
    assert assignment.slot.tolist() == [4, 1]
    assert assignment.target.tolist() == [0, 1]


def test_losses_that_are_not_numbers_are_reported_not_raised_by_the_matcher() -> None:
    outputs = predictions(1)
    broken = outputs._replace(masks=outputs.masks * torch.nan)
    assert not losses(broken, [discs(2)])["loss_dice"].isfinite()


def test_weights_multiply_their_loss() -> None:
    outputs, targets = predictions(1), [discs(3)]
    count = count_instances(targets, "cpu")
    once = Criterion(LossConfig())(outputs, targets, count)
    twice = Criterion(LossConfig(classification=4, mask=10, dice=4, objectness=2))(outputs, targets, count)
    for name, loss in once.items():
        np.testing.assert_allclose(twice[name].item(), 2 * loss.item(), rtol=1e-6)


@pytest.fixture(scope="module")
def published() -> Iterator[ModuleType]:
    """The published form of the losses, which the benchmark holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).resolve().parents[3] / "benchmarks")
        yield importlib.import_module("criterion")


@pytest.mark.parametrize("counts", [(6, 6), (0, 3), (2, 5, 1)])
@pytest.mark.parametrize("seed", range(5))
def test_losses_gradients_and_assignment_are_those_of_the_published_form(
    published: ModuleType, counts: tuple[int, ...], seed: int
) -> None:
    outputs = predictions(len(counts), seed=seed)
    targets = [discs(count, seed=10 * seed + i) for i, count in enumerate(counts)]
    reference = published.PublishedCriterion(LossConfig())
    expected = reference(outputs, targets, count_instances(targets, "cpu"))
    parts = outputs[:3]
    theirs = torch.autograd.grad(sum(expected.values()), parts)
    found = losses(outputs, targets)
    ours = torch.autograd.grad(sum(found.values()), parts)
    assert set(found) == set(expected)
    for name, loss in found.items():
        assert loss.item() == pytest.approx(expected[name].item(), rel=1e-6), name
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6 * other.abs().max().item())
    matched = Matcher(dice=0.8, probability=0.2)(outputs, targets)
    for mine, other in zip(matched, reference.match(outputs.logits, outputs.masks, targets), strict=True):
        assert mine.tolist() == other.tolist()


def test_targets_without_a_slot_change_no_mask_loss() -> None:
    outputs, targets = predictions(2), [discs(9), discs(2)]
    matched = Matcher(dice=0.8, probability=0.2)(outputs, targets)
    kept = [targets[0][matched.target[matched.image == 0]], targets[1]]
    count = count_instances(targets, "cpu")
    every, some = (Criterion(LossConfig())(outputs, each, count) for each in (targets, kept))
    for name in ("loss_mask", "loss_dice", "loss_objectness"):
        torch.testing.assert_close(every[name], some[name])


@pytest.mark.parametrize("counts", [(0, 3), (0, 0), (9, 2)])
def test_every_loss_is_named_and_has_a_gradient(counts: tuple[int, int]) -> None:
    outputs, criterion = predictions(2), Criterion(LossConfig())
    targets = [discs(count) for count in counts]
    found = criterion(outputs, targets, count_instances(targets, "cpu"))
    assert tuple(found) == criterion.names == ("loss_ce", "loss_mask", "loss_dice", "loss_objectness")
    assert all(loss.isfinite() and loss.requires_grad for loss in found.values())


def test_without_objectness_there_is_no_loss_for_it() -> None:
    outputs, targets = predictions(2), [discs(3), discs(0)]
    criterion = Criterion(LossConfig(), objectness=False)
    found = criterion(outputs._replace(objectness=None), targets, count_instances(targets, "cpu"))
    assert tuple(found) == criterion.names
    others = losses(outputs, targets)
    del others["loss_objectness"]
    torch.testing.assert_close(found, others, rtol=0, atol=0)


def test_autocast_does_not_touch_the_losses() -> None:
    targets, results, gradients = [discs(2), discs(3)], [], []
    for enabled in (False, True):
        outputs = predictions(2)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            results.append(losses(outputs, targets))
            sum(results[-1].values()).backward()
        gradients.append([part.grad for part in outputs[:3]])
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=0)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_predictions_have_float32_losses(kind: torch.dtype) -> None:
    targets = [discs(2), discs(3)]
    half = Predictions(*(part.detach().to(kind).requires_grad_() for part in predictions(2)))
    full = Predictions(*(part.detach().float().requires_grad_() for part in half))
    found = [losses(outputs, targets) for outputs in (half, full)]
    torch.testing.assert_close(*found, rtol=0, atol=0)
    ours, theirs = (torch.autograd.grad(sum(f.values()), o[:3]) for f, o in zip(found, (half, full), strict=True))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == kind
        torch.testing.assert_close(mine.float(), other, rtol=0.02, atol=1e-3 * other.abs().max().item())
