import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparseinst.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16), (1, 5)])
def test_singular_values_come_close_to_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    made = orthogonal(torch.randn(shape))
    assert made.dtype == torch.float32 and made.shape == shape
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.5 and values.max() < 1.3


def test_a_gradient_of_nothing_moves_nothing() -> None:
    assert not orthogonal(torch.zeros(3, 4)).any()


def stepped(optimizer: type[torch.optim.Optimizer], layer: nn.Module, **group: object) -> list[Tensor]:
    made = optimizer([{"params": list(layer.parameters()), "weight_decay": 0.1, **group}], lr=0.01)  # type: ignore[call-arg]
    for _ in range(3):
        layer(torch.arange(6.0).view(2, 3)).square().sum().backward()
        made.step()
        made.zero_grad()
    return [parameter.detach() for parameter in layer.parameters()]


def test_other_groups_are_those_of_adamw() -> None:
    torch.manual_seed(0)
    layer, same = nn.Linear(3, 4), nn.Linear(3, 4)
    same.load_state_dict(layer.state_dict())
    for ours, theirs in zip(stepped(Muon, layer), stepped(torch.optim.AdamW, same), strict=True):
        assert torch.equal(ours, theirs)


def test_a_step_is_as_large_as_one_of_adamw_and_rows_are_outputs() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 16, 3).to(memory_format=torch.channels_last)
    before = conv.weight.detach().clone()
    optimizer = Muon([{"params": [conv.weight], "weight_decay": 0.0, "orthogonal": True}], lr=0.01)
    conv.weight.grad = torch.randn_like(conv.weight)
    optimizer.step()
    step = (before - conv.weight.detach()) / 0.01
    expected = 0.2 * math.sqrt(72) * orthogonal(conv.weight.grad.flatten(1))
    torch.testing.assert_close(step.flatten(1), expected, atol=0.05, rtol=0)  # 16 bits
    assert 0.1 < step.square().mean().sqrt() < 0.3


def test_a_state_that_was_saved_goes_on_equally() -> None:
    def made() -> tuple[nn.Linear, Muon]:
        torch.manual_seed(0)
        layer = nn.Linear(3, 4)
        groups: list[dict[str, Any]] = [{"params": [layer.weight], "orthogonal": True}, {"params": [layer.bias]}]
        return layer, Muon(groups, lr=0.01)

    def step(layer: nn.Linear, optimizer: Muon) -> None:
        optimizer.zero_grad()
        layer(torch.arange(3.0)).square().sum().backward()
        optimizer.step()

    (layer, optimizer), (other, resumed) = made(), made()
    step(layer, optimizer)
    other.load_state_dict(layer.state_dict())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    step(layer, optimizer)
    step(other, resumed)
    assert torch.equal(layer.weight, other.weight) and torch.equal(layer.bias, other.bias)
