"""What can be switched on in the losses and in matching beyond the paper."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sparseinst.modeling import Criterion, count_instances
from sparseinst.modeling.criterion import loss_names
from sparseinst.ops.guidance import activation_cells, activation_shares
from sparseinst.ops.outlines import outlines
from sparseinst.recipe import LossConfig
from sparseinst.structures import Predictions, Targets
from tiny import discs

ALL = LossConfig(guidance=0.5, duplicate=0.5, boundary=1.0, match_activation=0.3, class_target="quality", points=64)
SETTINGS = {
    "guidance": LossConfig(guidance=0.5),
    "match_activation": LossConfig(match_activation=0.5),
    "quality": LossConfig(class_target="quality"),
    "varifocal": LossConfig(class_target="varifocal"),
    "duplicate": LossConfig(duplicate=0.5),
    "boundary": LossConfig(boundary=1.0),
    "points": LossConfig(points=64),
    "all": ALL,
}


def predictions(batch: int, *, slots: int = 6, groups: int = 2, kind: torch.dtype = torch.float32) -> Predictions:
    random = torch.Generator().manual_seed(0)
    shapes = ((slots, 2), (slots, 32, 32), (slots, 1), (groups * slots, 16, 16))
    return Predictions(*(torch.randn(batch, *shape, generator=random).to(kind).requires_grad_() for shape in shapes))


def losses(
    config: LossConfig, outputs: Predictions, targets: list[Targets], iteration: int | None = None
) -> dict[str, Tensor]:
    return Criterion(config)(outputs, targets, count_instances(targets, "cpu"), iteration=iteration)


def total(found: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(found.values())).sum()


def train(outputs: Predictions, loss: Callable[[], Tensor], *, steps: int = 60) -> None:
    """Changes free predictions so that a loss falls."""
    optimizer = torch.optim.Adam(outputs, lr=0.2)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


def knowing(target: Targets, *, slots: int, sure: tuple[int, ...]) -> Predictions:
    """One image's predictions in which each of the slots `sure` has the mask and the class of the first target."""
    outputs = predictions(1, slots=slots)
    with torch.no_grad():
        outputs.logits.fill_(-4.0)
        outputs.masks.fill_(-6.0)
        for i, slot in enumerate(sure):
            outputs.logits[0, slot, target.labels[0]] = 2.0 - 0.5 * i
            outputs.masks[0, slot] = 12 * target.masks[0] - 6
    return outputs


@pytest.mark.parametrize("counts", [(0, 3), (0, 0), (9, 2)])
@pytest.mark.parametrize("name", SETTINGS)
def test_every_loss_is_named_finite_and_has_a_gradient(name: str, counts: tuple[int, int]) -> None:
    """With images and batches without targets, and with more targets than slots."""
    config, outputs = SETTINGS[name], predictions(2)
    found = losses(config, outputs, [discs(count) for count in counts])
    assert tuple(found) == loss_names(config)
    assert all(loss.isfinite() and loss.requires_grad for loss in found.values())
    total(found).backward()
    for part in outputs[: 4 if config.guidance else 3]:
        assert part.grad is not None and part.grad.isfinite().all()


@pytest.mark.parametrize("name", SETTINGS)
def test_without_objectness_there_is_no_loss_for_it(name: str) -> None:
    config, outputs, targets = SETTINGS[name], predictions(2), [discs(3), discs(0)]
    torch.manual_seed(0)
    found = losses(config, outputs._replace(objectness=None), targets)
    assert tuple(found) == loss_names(config, objectness=False)
    torch.manual_seed(0)
    others = losses(config, outputs, targets)
    del others["loss_objectness"]
    torch.testing.assert_close(found, others, rtol=0, atol=0)


def test_names_have_a_fixed_order() -> None:
    assert loss_names(LossConfig()) == ("loss_ce", "loss_mask", "loss_dice", "loss_objectness")
    assert loss_names(ALL)[4:] == ("loss_guidance", "loss_duplicate", "loss_boundary")
    assert "loss_objectness" not in loss_names(ALL, objectness=False)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_predictions_have_float32_losses(kind: torch.dtype) -> None:
    targets, config = [discs(2), discs(3)], ALL.model_copy(update={"points": 0})
    half = predictions(2, kind=kind)
    full = Predictions(*(part.detach().float().requires_grad_() for part in half))
    found = [losses(config, outputs, targets) for outputs in (half, full)]
    torch.testing.assert_close(*found, rtol=0, atol=0)
    for each in found:
        total(each).backward()
    for ours, theirs in zip(half, full, strict=True):
        assert ours.grad.dtype == kind
        torch.testing.assert_close(
            ours.grad.float(), theirs.grad, rtol=0.02, atol=1e-3 * theirs.grad.abs().max().item()
        )


@pytest.mark.parametrize("name", ["guidance", "duplicate", "boundary"])
def test_weights_multiply_their_loss(name: str) -> None:
    outputs, targets = predictions(1), [discs(3)]
    once, twice = (losses(LossConfig(**{name: weight}), outputs, targets)[f"loss_{name}"] for weight in (1.0, 2.0))
    assert once > 0
    torch.testing.assert_close(twice, 2 * once)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_guidance_gathers_the_activation_of_matched_slots_on_their_targets(activation: str) -> None:
    target = discs(2)
    outputs = predictions(1)
    criterion = Criterion(LossConfig(guidance=1.0), activation=activation)
    matched = criterion.matcher(outputs, [target])
    count = torch.tensor(2.0)

    def shares() -> Tensor:
        maps = outputs.activation.detach()[0].flatten(1).unflatten(0, (2, 6)).transpose(0, 1)
        return activation_shares(maps, activation_cells(target.masks).T, kind=activation)  # (N, T)

    before, others = shares(), [slot for slot in range(6) if slot not in matched.slot]
    train(outputs, lambda: criterion(outputs, [target], count)["loss_guidance"])
    after = shares()
    assert (before[matched.slot, matched.target] < 0.3).all()
    assert (after[matched.slot, matched.target] > 0.8).all()
    assert torch.equal(after[others], before[others])


def test_guidance_rises_over_its_warmup() -> None:
    outputs, targets, config = predictions(1), [discs(3)], LossConfig(guidance=1.0, guidance_warmup=10)
    at = {done: losses(config, outputs, targets, done)["loss_guidance"].item() for done in (0, 5, 10, 100, None)}
    assert at[None] > 0
    assert [value / at[None] for value in at.values()] == pytest.approx([0, 0.5, 1, 1, 1])


def test_activation_decides_between_slots_that_are_alike() -> None:
    target = discs(1)
    outputs = knowing(target, slots=3, sure=(0, 1))
    with torch.no_grad():
        outputs.logits[0, :2] = 1.0
        outputs.activation.fill_(-4.0)
        inside = activation_cells(target.masks)[0].unflatten(0, (16, 16))
        outputs.activation[0, [1, 4]] += 8 * inside  # both groups of slot 1
        outputs.activation[0, [0, 3]] += 8 * (1 - inside)
        outputs.logits[0, 0] += 0.1
    slot = {
        exponent: Criterion(LossConfig(match_activation=exponent)).matcher(outputs, [target]).slot.item()
        for exponent in (0.0, 0.5)
    }
    assert slot == {0.0: 0, 0.5: 1}


def test_shares_multiply_the_matching_scores_of_each_image() -> None:
    outputs, targets = predictions(3), [discs(2), discs(0), discs(4, seed=1)]
    plain, with_shares = (
        Criterion(LossConfig(match_activation=exponent)).matcher.compare(outputs, targets) for exponent in (0.0, 0.5)
    )
    for i, (one, other) in enumerate(zip(plain, with_shares, strict=True)):
        expected = one.score.clone()
        for slot in range(len(expected)):
            probability = outputs.activation.detach()[i, [slot, 6 + slot]].sigmoid()
            weights = (probability / probability.sum((1, 2), keepdim=True)).mean(0)
            for j, mask in enumerate(targets[i].masks):
                expected[slot, j] *= (weights.flatten() @ activation_cells(mask[None])[0]).sqrt()
        torch.testing.assert_close(other.score, expected)
        torch.testing.assert_close(other.dice, one.dice)


@pytest.mark.parametrize("kind", ["quality", "varifocal"])
def test_class_probability_becomes_the_iou_of_the_mask(kind: str) -> None:
    target = Targets(torch.tensor([1]), torch.zeros(1, 32, 32))
    target.masks[0, 8:16, 8:24] = 1
    outputs = knowing(target, slots=3, sure=(2,))
    with torch.no_grad():
        outputs.masks[0, 2, 8:16, 16:24] = -6.0  # half of it
    config = LossConfig(class_target=kind)
    train(outputs, lambda: losses(config, outputs, [target])["loss_ce"], steps=300)
    probability = outputs.logits.detach()[0].sigmoid()
    assert probability[2, 1].item() == pytest.approx(0.5, abs=0.05)
    probability[2, 1] = 0
    assert probability.max() < 0.02


def test_duplicate_calms_unmatched_slots_on_a_taken_target_and_no_other() -> None:
    target = discs(1)
    outputs = knowing(target, slots=4, sure=(0, 2))
    with torch.no_grad():
        outputs.logits[0, 3, 0] = 2.0  # sure, and elsewhere
    config = LossConfig(duplicate=1.0)
    losses(config, outputs, [target])["loss_duplicate"].backward()
    pull = outputs.logits.grad[0]
    assert pull[2, 0] > 0.5
    assert pull[3, 0] < 0.02
    assert not pull[0].any()
    assert not pull[:, 1].any()  # the class of no target
    assert outputs.masks.grad is None  # no slot learns to look away
    train(outputs, lambda: losses(config, outputs, [target])["loss_duplicate"])
    probability = outputs.logits.detach()[0, :, 0].sigmoid()
    assert probability[0] > 0.8
    assert probability[2] < 0.1


def test_duplicate_is_nothing_where_every_slot_is_matched() -> None:
    found = losses(LossConfig(duplicate=1.0), predictions(2), [discs(9), discs(6)])
    assert found["loss_duplicate"] == 0


def test_duplicate_is_the_cross_entropy_of_each_slot_by_its_best_dice() -> None:
    outputs, targets = predictions(2), [discs(2), discs(3, seed=1)]
    criterion = Criterion(LossConfig(duplicate=1.0))
    matched, pairs = criterion.matcher(outputs, targets), criterion.matcher.compare(outputs, targets)
    taken = set(zip(matched.image.tolist(), matched.slot.tolist(), strict=True))
    expected = 0.0
    for image in range(2):
        for slot in range(6):
            if (image, slot) not in taken:
                best = int(pairs[image].dice[slot].argmax())
                said = outputs.logits[image, slot, targets[image].labels[best]].sigmoid()
                expected -= pairs[image].dice[slot, best].item() * (1 - said).log().item()
    found = criterion(outputs, targets, torch.tensor(5.0))["loss_duplicate"]
    assert found.item() == pytest.approx(expected / 5)


def test_boundary_sharpens_the_outline_of_matched_masks() -> None:
    target = discs(2)
    outputs, config = predictions(1), LossConfig(boundary=1.0)
    matched = Criterion(config).matcher(outputs, [target])
    before = outputs.masks.detach().clone()
    # The matching is told by the class, so that it stays while the masks change.
    with torch.no_grad():
        outputs.logits[0, matched.slot, target.labels[matched.target]] = 20.0
    train(outputs, lambda: losses(config, outputs, [target])["loss_boundary"])
    after, wanted = outputs.masks.detach()[0, matched.slot], target.masks[matched.target]
    band = outlines(wanted) > 0
    assert torch.equal(after[~band], before[0, matched.slot][~band])
    hard = band & ((wanted < 0.1) | (wanted > 0.9))
    assert ((after[hard] > 0) == (wanted[hard] > 0.5)).all()


def test_points_teach_whole_masks() -> None:
    target, config = discs(2), LossConfig(points=100)
    outputs = predictions(1)
    before = losses(LossConfig(), outputs, [target])
    torch.manual_seed(0)
    train(outputs, lambda: total(losses(config, outputs, [target])), steps=150)
    after = losses(LossConfig(), outputs, [target])
    for name in ("loss_dice", "loss_mask"):
        assert after[name] < 0.15 * before[name]


def test_as_many_points_as_pixels_are_all_of_them() -> None:
    outputs, targets = predictions(1), [discs(3)]
    every, sampled = losses(LossConfig(), outputs, targets), losses(LossConfig(points=32 * 32), outputs, targets)
    torch.testing.assert_close(every, sampled, rtol=0, atol=0)
