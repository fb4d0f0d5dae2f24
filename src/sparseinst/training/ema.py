"""The moving average of the weights, which is what evaluation and checkpoints use."""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

Module = TypeVar("Module", bound=nn.Module)


class WeightAverage(Generic[Module]):
    """An exponential moving average of parameters and buffers, in float32.

    The decay after t updates is min(decay, (1 + t) / (10 + t)), so that a short run does not average in its start.
    With decay 0 the average is the model itself, one copy later.

    Args:
        model: copied; the copy is in eval mode and without gradients.
        decay: the final decay, in [0, 1).

    Attributes:
        module: the averaged model.
        updates: how many updates it has seen.
    """

    def __init__(self, model: Module, decay: float) -> None:
        self.module = copy.deepcopy(model).float().eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Moves the average towards the model, which has the same tensors under the same names."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        current = _tensors(model)
        averaged, wanted = [], []
        for name, tensor in _tensors(self.module).items():
            if tensor.is_floating_point():
                averaged.append(tensor)
                wanted.append(current[name].to(tensor.dtype))
            else:
                tensor.copy_(current[name])  # counters have no average
        get_ema_multi_avg_fn(decay)(averaged, wanted, None)


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return dict(model.named_parameters()) | dict(model.named_buffers())
