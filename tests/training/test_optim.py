import itertools
import math

import pytest
import torch
from torch import nn

from sparseinst.recipe import OptimConfig
from sparseinst.training.optim import base_learning_rate, learning_rate_factor, parameter_groups


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)
        self.norm1 = nn.LayerNorm(1)
        self.patch_embed = nn.Linear(1, 1)
        self.frozen = nn.Parameter(torch.zeros(1), requires_grad=False)


def test_weight_decay_spares_norms_and_patch_embedding_and_leaves_frozen_out():
    model = Named()
    decayed, undecayed = parameter_groups(model, 0.05)
    assert (decayed["weight_decay"], undecayed["weight_decay"]) == (0.05, 0.0)
    assert {id(p) for p in decayed["params"]} == {id(p) for p in model.conv.parameters()}
    spared = [*model.norm1.parameters(), *model.patch_embed.parameters()]
    assert {id(p) for p in undecayed["params"]} == {id(p) for p in spared}


def test_only_matrices_decay_by_the_rule_of_that_name():
    model = Named()
    decayed, undecayed = parameter_groups(model, 0.1, rule="matrices")
    assert (decayed["weight_decay"], undecayed["weight_decay"]) == (0.1, 0.0)
    assert {id(p) for p in decayed["params"]} == {id(model.conv.weight), id(model.patch_embed.weight)}
    spared = {id(model.conv.bias), id(model.patch_embed.bias), *map(id, model.norm1.parameters())}
    assert {id(p) for p in undecayed["params"]} == spared


def test_no_empty_group():
    assert len(parameter_groups(nn.Linear(1, 1), 0.05)) == 1


@pytest.mark.parametrize(("rule", "expected"), [("sqrt", 5e-5 / math.sqrt(8)), ("linear", 5e-5 / 8), ("none", 5e-5)])
def test_learning_rate_follows_the_batch_by_the_rule(rule, expected):
    assert base_learning_rate(OptimConfig(lr_rule=rule), 8) == pytest.approx(expected)


def test_published_schedule():
    config, total = OptimConfig(), 270_000
    factors = {done: learning_rate_factor(config, done, total) for done in (0, 500, 1000, 209_999, 210_000, 250_000)}
    assert factors[0] == pytest.approx(0.001)
    assert factors[500] == pytest.approx(0.5005)
    assert factors[1000] == factors[209_999] == 1
    assert factors[210_000] == pytest.approx(0.1)
    assert factors[250_000] == pytest.approx(0.01)


def test_cosine_schedule_falls_from_the_end_of_warmup_to_zero():
    config = OptimConfig(schedule="cosine", warmup=10, warmup_factor=0.0)
    factors = [learning_rate_factor(config, done, 110) for done in range(111)]
    assert factors[0] == 0
    assert factors[10] == 1 == max(factors)
    assert factors[60] == pytest.approx(0.5)
    assert factors[110] == pytest.approx(0)
    assert all(a >= b for a, b in itertools.pairwise(factors[10:]))


def test_warmup_of_nothing():
    assert learning_rate_factor(OptimConfig(warmup=0), 0, 100) == 1


def test_flat_schedule_falls_to_zero_over_the_last_two_fifths():
    config = OptimConfig(schedule="flat", warmup=10, warmup_factor=0.0)
    factors = [learning_rate_factor(config, done, 100) for done in range(101)]
    assert factors[0] == 0
    assert set(factors[10:61]) == {1}
    assert factors[80] == pytest.approx(0.5)
    assert factors[100] == 0


def test_convolutions_and_matrices_outside_the_backbone_are_made_orthogonal():
    model = nn.ModuleDict({"backbone": nn.Conv2d(2, 2, 1), "encoder": nn.Conv2d(2, 2, 3), "decoder": nn.LayerNorm(2)})
    turned, decayed, undecayed = parameter_groups(model, 0.1, rule="matrices", orthogonal=True)
    assert (turned["orthogonal"], turned["weight_decay"]) == (True, 0.1)
    assert [id(p) for p in turned["params"]] == [id(model["encoder"].weight)]
    assert [id(p) for p in decayed["params"]] == [id(model["backbone"].weight)]
    assert len(undecayed["params"]) == 4
