"""Parameter groups and the learning rate, as published and as stated in the recipe."""

import math
from bisect import bisect_right
from collections.abc import Callable
from typing import Literal

from torch import nn

from sparseinst.recipe import OptimConfig

_DECAYS: dict[str, Callable[[str, nn.Parameter], bool]] = {
    "published": lambda name, _: "norm" not in name and "patch_embed" not in name,
    "matrices": lambda _, parameter: parameter.ndim > 1,
}
"""By `OptimConfig.decay_rule`, whether a parameter of this name has weight decay."""
_OTHERS = frozenset(("backbone", "classifier", "head", "refine", "activation", "kernel", "objectness"))
"""Parts whose weights are left to AdamW even so: the backbone, where orthogonal steps cost most and bring nothing, and
the last layers, each of whose outputs has a size of its own."""
_COOLDOWN = 0.4
"""Share of a run with the flat schedule in which the learning rate falls."""


def parameter_groups(
    model: nn.Module,
    weight_decay: float,
    *,
    rule: Literal["published", "matrices"] = "published",
    orthogonal: bool = False,
) -> list[dict[str, object]]:
    """Trained parameters in two groups: with weight decay, and without where the rule says so.

    With `orthogonal` the inner weights of encoder and decoder are in one of their own before these, for `Muon`.
    """
    decays = _DECAYS[rule]
    turned: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    undecayed: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            if orthogonal and parameter.ndim > 1 and _OTHERS.isdisjoint(name.split(".")):
                turned.append(parameter)
            else:
                (decayed if decays(name, parameter) else undecayed).append(parameter)
    groups: list[dict[str, object]] = [
        {"params": turned, "weight_decay": weight_decay, "orthogonal": True},
        {"params": decayed, "weight_decay": weight_decay},
        {"params": undecayed, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def base_learning_rate(config: OptimConfig, batch: int) -> float:
    """The learning rate at the top of the schedule.

    Args:
        config: states the rate at `reference_batch` and the rule by which it follows the batch.
        batch: images of one optimiser step, over all processes and accumulated batches.

    Example:
        >>> base_learning_rate(OptimConfig(lr=5e-5, reference_batch=64, lr_rule="sqrt"), 16)
        2.5e-05
    """
    ratio = batch / config.reference_batch
    return config.lr * {"sqrt": math.sqrt(ratio), "linear": ratio, "none": 1.0}[config.lr_rule]


def learning_rate_factor(config: OptimConfig, done: int, iterations: int) -> float:
    """What the base learning rate is multiplied by.

    A function of the iteration alone, so that a resumed run needs no scheduler state.

    Args:
        config: schedule and warm-up.
        done: iterations done before this one, from 0.
        iterations: length of the run.
    """
    if config.schedule == "multistep":
        milestones = [round(fraction * iterations) for fraction in sorted(config.milestones)]
        factor = 0.1 ** bisect_right(milestones, done)
    elif config.schedule == "flat":
        factor = min(1.0, (1 - done / iterations) / _COOLDOWN)
    else:
        progress = (done - config.warmup) / max(1, iterations - config.warmup)
        factor = (1 + math.cos(math.pi * min(1.0, max(0.0, progress)))) / 2
    if done < config.warmup:
        factor *= config.warmup_factor + (1 - config.warmup_factor) * done / config.warmup
    return factor
