"""AdamW, whose steps are made orthogonal where a weight is a matrix (Muon; Jordan et al., 2024)."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_MOMENTUM = 0.95
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the published iteration: all singular values come close to 1 within five rounds."""
_ROUNDS = 5
_RMS = 0.2
"""Size of a step's numbers, about that of AdamW's, so that both share learning rate and decay (Liu et al., 2025)."""


class Muon(torch.optim.AdamW):
    """AdamW, but for groups with `orthogonal`: convolutions and matrices, of which each output's weights are a row."""

    def __init__(self, groups: list[dict[str, Any]], lr: float) -> None:
        super().__init__([{"orthogonal": False, **group} for group in groups], lr=lr)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of all groups."""
        groups = self.param_groups
        try:
            self.param_groups = [group for group in groups if not group["orthogonal"]]
            loss: float | None = super().step(closure)
        finally:
            self.param_groups = groups
        for group in groups:
            if group["orthogonal"]:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._turn(parameter, group["lr"], group["weight_decay"])
        return loss

    def _turn(self, parameter: Tensor, lr: float, decay: float) -> None:
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if "momentum" not in state:
            state["step"] = torch.zeros(())  # that of AdamW, which looks for it in every state that it loads
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        step = orthogonal(gradient.lerp(momentum, _MOMENTUM).flatten(1))
        parameter.mul_(1 - lr * decay).add_(step.view(parameter.shape), alpha=-lr * _RMS * math.sqrt(max(step.shape)))


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix (n, m) with all singular values near 1, of its type; by products alone, in 16 bits."""
    a, b, c = _COEFFICIENTS
    wide = matrix.shape[0] <= matrix.shape[1]
    x = (matrix if wide else matrix.T).bfloat16()
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(_ROUNDS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x if wide else x.T).to(matrix.dtype).contiguous()
