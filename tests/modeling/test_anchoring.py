"""The anchored start: every slot looks at its own place and draws a blob there."""

import pytest
import torch

from sparseinst.errors import InputError
from sparseinst.modeling import Criterion, anchor_slots, build_model, count_instances
from sparseinst.modeling.anchoring import anchors, code, positional_code, same_code
from sparseinst.modeling.model import SparseInst
from sparseinst.recipe import LossConfig
from tiny import discs, tiny_config

FRAME = (128, 128)


def anchored(norm: str = "batch", **changes: object) -> SparseInst:
    torch.manual_seed(0)
    decoder = {"groups": 1, "slots": 25, "channels": 64, "convs": 2, "kernel_channels": 40, "norm": norm} | changes
    model = build_model(tiny_config(**decoder))
    anchor_slots(model, FRAME)
    return model


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize(("groups", "channels"), [(1, 64), (4, 192)])
@pytest.mark.parametrize("convs", [2, 3])
def test_each_slot_looks_and_draws_at_its_anchor(norm: str, convs: int, groups: int, channels: int) -> None:
    model = anchored(norm, convs=convs, groups=groups, channels=channels).train()
    with torch.no_grad():
        predictions = model(torch.rand(2, 3, *FRAME) * 255)
    grid = torch.linspace(-1, 1, 32)
    activation = predictions.activation[0].sigmoid()
    mass = (activation / activation.sum((1, 2), keepdim=True)).unflatten(0, (groups, 25))
    centre = torch.stack([(mass.sum(2) * grid).sum(2), (mass.sum(3) * grid).sum(2)], dim=2)
    wanted = anchors(25).float()
    inner = wanted.abs().amax(1) < 0.7  # at the border the bump is cut off, and its centre moves inwards
    assert inner.sum() >= 8
    assert (centre - wanted)[:, inner].abs().max() < 0.15
    peaks = predictions.masks[0].flatten(1).argmax(1)
    fine = torch.linspace(-1, 1, 64)
    place = torch.stack([fine[peaks % 64], fine[peaks // 64]], dim=1)
    assert (place - wanted)[inner].abs().max() < 0.25
    share = (predictions.masks[0] > 0).float().mean((1, 2))[inner]
    assert share.median() > 0.005 and share.max() < 0.15


def test_the_code_is_held_and_the_rest_trains() -> None:
    model = anchored().train()
    predictions = model(torch.rand(2, 3, *FRAME) * 255)
    targets = [discs(3, size=64), discs(2, size=64)]
    sum(Criterion(LossConfig())(predictions, targets, count_instances(targets, "cpu")).values()).backward()
    tents = min(64 // 4 - 2, 39 // 2)
    for branch in (model.decoder.instance_branch, model.decoder.mask_branch):
        for depth, rows in enumerate((2 * (tents + 1), 2 * tents)):
            for parameter in branch[depth][0].parameters():
                assert not parameter.grad[:rows].any()
                assert parameter.grad[rows:].any()
    for parameter in (model.decoder.activation.conv.weight, model.decoder.kernel.weight):
        assert parameter.grad.any()


def test_it_starts_closer_to_small_objects_than_a_random_start() -> None:
    targets = [discs(8, size=64, seed=i) for i in range(2)]
    images = torch.stack([t.masks.amax(0).repeat(3, 1, 1) for t in targets]) * 255
    images = torch.nn.functional.interpolate(images, scale_factor=2)
    torch.manual_seed(0)
    random = build_model(tiny_config(groups=1, slots=25, channels=64, convs=2, kernel_channels=40, norm="batch"))
    dice = [
        Criterion(LossConfig())(model.train()(images), targets, count_instances(targets, "cpu"))["loss_dice"].item()
        for model in (anchored(), random)
    ]
    assert dice[0] < 0.8 * dice[1]


def test_code_is_one_at_centres_and_sums_to_one() -> None:
    places = torch.linspace(-1, 1, 50, dtype=torch.float64)
    torch.testing.assert_close(code(9, places).sum(1), torch.ones(50, dtype=torch.float64))
    torch.testing.assert_close(
        code(9, torch.linspace(-1, 1, 9, dtype=torch.float64)), torch.eye(9, dtype=torch.float64)
    )


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_the_same_code_is_recognised_and_another_is_not(norm: str) -> None:
    one = positional_code(anchored(norm))
    assert same_code(one, positional_code(anchored(norm)))
    random = build_model(tiny_config(groups=1, slots=25, channels=64, convs=2, kernel_channels=40, norm=norm))
    assert not same_code(one, positional_code(random))


@pytest.mark.parametrize(
    "changes", [{"groups": 8}, {"convs": 1}, {"channels": 16}, {"kernel_channels": 4}, {"coordinates": False}]
)
def test_a_decoder_without_room_is_an_input_error(changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"start 'anchored' needs decoder\.coordinates"):
        anchored(**changes)
