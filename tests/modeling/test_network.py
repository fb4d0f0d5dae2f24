"""The contracts of the network, over tiny variants of it."""

import pytest
import torch

from sparseinst.batch import Targets
from sparseinst.config.model import ModelConfig
from sparseinst.config.network import EncoderConfig
from sparseinst.modeling.model import build_model
from sparseinst.modeling.slots.criterion import Criterion, count_instances
from sparseinst.recipe import LossConfig
from tiny import discs, tiny_config

VARIANTS = [
    {},
    {"groups": 1},
    {"groups": 4, "kernel": 1},
    {"activation": "softmax"},
    {"convs": 3, "slots": 11, "kernel_channels": 5},
    {"norm": "batch"},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_shapes_and_a_gradient_in_every_parameter(variant: dict[str, object]) -> None:
    config = tiny_config(**variant)
    model = build_model(config).train()
    predictions = model(torch.rand(2, 3, 64, 96) * 255)
    slots, groups = config.decoder.slots, config.decoder.groups
    assert predictions.logits.shape == (2, slots, 2)
    assert predictions.masks.shape == (2, slots, 32, 48)
    assert predictions.objectness.shape == (2, slots, 1)
    assert predictions.activation.shape == (2, slots * groups, 16, 24)
    targets = [Targets(discs(3).labels, torch.nn.functional.pad(discs(3).masks, (0, 16))) for _ in range(2)]
    sum(Criterion(LossConfig())(predictions, targets, count_instances(targets, "cpu")).values()).backward()
    without = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().any()}
    # softmax does not see a shift, so its bias cannot have a gradient but for rounding
    assert without <= {"decoder.activation.softmax_bias"}


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_encoder_norm(norm: str) -> None:
    base = tiny_config().model_dump() | {"encoder": EncoderConfig(channels=16, norm=norm)}
    model = build_model(ModelConfig.model_validate(base))
    assert any("norm" in name for name, _ in model.encoder.named_parameters()) == (norm == "batch")
    assert model(torch.rand(2, 3, 64, 64)).masks.shape == (2, 6, 32, 32)


def test_each_group_reads_its_own_channels_and_slot_features_are_ordered_by_group() -> None:
    activation = build_model(tiny_config()).decoder.activation
    features = torch.rand(1, 16, 8, 8)
    gathered, maps = activation(features)
    changed = features.clone()
    changed[:, 8:] += 1  # the second group's channels
    maps_changed = activation(changed)[1]
    torch.testing.assert_close(maps[:, :6], maps_changed[:, :6])
    assert not torch.allclose(maps[:, 6:], maps_changed[:, 6:])
    weights = maps.sigmoid().flatten(2)
    weights = weights / weights.sum(2, keepdim=True)
    slot, group = 4, 1
    expected = (weights[0, group * 6 + slot] * features[0].flatten(1)).sum(1)
    torch.testing.assert_close(gathered[0, slot].unflatten(0, (2, 16))[group], expected)


def test_a_result_does_not_depend_on_batch_mates() -> None:
    model = build_model(tiny_config()).eval()
    images = torch.rand(3, 3, 64, 64) * 255
    with torch.no_grad():
        together, alone = model(images), model(images[1:2])
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:2], b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_trains_with_float32_losses(dtype: torch.dtype) -> None:
    model = build_model(tiny_config()).train()
    targets = [discs(3), discs(2, seed=1)]
    with torch.autocast("cpu", dtype=dtype):
        predictions = model(torch.rand(2, 3, 64, 64) * 255)
        losses = Criterion(LossConfig())(predictions, targets, count_instances(targets, "cpu"))
    assert predictions.logits.dtype == dtype
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_weights_over_pixels_stay_finite_in_float16(activation: str) -> None:
    iam = build_model(tiny_config(activation=activation)).decoder.activation.half()
    weights = iam.weights(torch.full((1, 12, 320, 320), 10.0, dtype=torch.float16))  # their sum is beyond float16
    assert weights.dtype == torch.float16
    assert weights.isfinite().all()
    torch.testing.assert_close(weights.float().sum(2), torch.ones(1, 12), rtol=0.02, atol=0)
