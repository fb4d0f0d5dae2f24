import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparseinst.modeling.decoder import InstanceActivation
from sparseinst.ops.guidance import SHARE_EPSILON, Activation, activation_cells, activation_shares, guidance_losses

KINDS: tuple[Activation, ...] = ("sigmoid", "softmax")


def maps(*shape: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(shape, generator=random, dtype=torch.float64)).requires_grad_()


@pytest.mark.parametrize("kind", KINDS)
def test_shares_of_single_cells_are_the_weights_of_the_decoder(kind: Activation) -> None:
    decoder = InstanceActivation(8, slots=3, groups=2, kernel=3, activation=kind)
    logits = maps(1, 6, 4, 5).detach().float()
    by_group = decoder.weights(logits).detach()[0].unflatten(0, (2, 3))  # (G, N, P)
    found = activation_shares(logits[0].flatten(1).unflatten(0, (2, 3)).transpose(0, 1), torch.eye(20), kind=kind)
    torch.testing.assert_close(found, by_group.mean(0))
    torch.testing.assert_close(found.sum(1), torch.ones(3))


@pytest.mark.parametrize("kind", KINDS)
@given(st.integers(0, 3), st.integers(1, 3), st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_losses_are_minus_the_logarithm_of_the_share(kind: Activation, pairs: int, groups: int, seed: int) -> None:
    logits, cells = maps(pairs, groups, 6, seed=seed), maps(pairs, 6, seed=seed + 1).detach().sigmoid()

    def losses(x: Tensor) -> Tensor:
        return guidance_losses(x, cells, kind=kind)

    for k in range(pairs):
        shares = []
        for row in logits[k].tolist():
            mass = [math.exp(x) if kind == "softmax" else 1 / (1 + math.exp(-x)) for x in row]
            shares.append(sum(m * t for m, t in zip(mass, cells[k].tolist(), strict=True)) / sum(mass))
        assert losses(logits)[k].item() == pytest.approx(-math.log(sum(shares) / groups + SHARE_EPSILON))
    torch.autograd.gradcheck(losses, (logits,))


def test_cells_are_means_of_four_pixels() -> None:
    mask = torch.zeros(4, 6)
    mask[0, 0] = mask[2:, 2:4] = 1
    assert activation_cells(mask[None]).tolist() == [[0.25, 0, 0, 0, 1, 0]]
    assert activation_cells(torch.zeros(0, 4, 6)).shape == (0, 6)


def test_only_weight_on_the_background_costs() -> None:
    inside = torch.tensor([[1.0, 1.0, 0.0, 0.0]]).expand(3, 4)
    shining = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]])
    values = guidance_losses(100.0 * shining[:, None] - 50, inside, kind="sigmoid").tolist()
    assert values == pytest.approx([0, math.log(2), -math.log(SHARE_EPSILON)], abs=1e-5)


def test_a_target_without_a_cell_costs_nothing_and_teaches_nothing() -> None:
    logits = maps(1, 1, 4)
    loss = guidance_losses(logits, torch.zeros(1, 4), kind="sigmoid").sum()
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("activation", KINDS)
def test_half_precision_is_computed_in_float32(kind: torch.dtype, activation: Activation) -> None:
    logits = torch.zeros(1, 1, 70_000, dtype=kind)  # more cells than float16 can count
    share = activation_shares(logits, torch.ones(70_000, 1, dtype=kind), kind=activation)
    assert share.dtype == torch.float32
    torch.testing.assert_close(share, torch.ones(1, 1), rtol=1e-3, atol=0)
