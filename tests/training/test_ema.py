import pytest
import torch
from torch import nn

from sparseinst.training.ema import WeightAverage


def model_of(value: float) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    with torch.no_grad():
        for tensor in [*model.parameters(), model[1].running_mean, model[1].running_var]:
            tensor.fill_(value)
    return model


def test_decay_warms_up_to_its_value():
    average = WeightAverage(model_of(0.0), 0.5)
    expected = 0.0
    for t in range(20):
        decay = min(0.5, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * (t + 1)
        average.update(model_of(t + 1.0))
    assert average.module[0].weight.item() == pytest.approx(expected, rel=1e-6)
    assert average.module[1].running_mean.item() == pytest.approx(expected, rel=1e-6)


def test_a_short_run_forgets_its_start():
    average = WeightAverage(model_of(100.0), 0.9999)
    for _ in range(50):
        average.update(model_of(0.0))
    assert abs(average.module[0].weight.item()) < 1e-3


def test_no_decay_is_a_copy():
    average, model = WeightAverage(model_of(0.0), 0.0), model_of(0.1)
    average.update(model)
    for name, tensor in model.state_dict().items():
        assert torch.equal(average.module.state_dict()[name], tensor)


def test_counters_are_copied_and_weights_are_float32_without_gradient():
    model = model_of(1.0).to(torch.bfloat16)
    average = WeightAverage(model, 0.9)
    model[1].num_batches_tracked.fill_(7)
    average.update(model)
    assert average.module[1].num_batches_tracked.item() == 7
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in average.module.parameters())
    assert not average.module.training
