"""One optimiser step after the other, in one process or in many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparseinst.batch import Batch
from sparseinst.config.network import SlotsConfig
from sparseinst.data.loader import enlarged
from sparseinst.errors import InputError
from sparseinst.modeling.backbones import spare_depthwise
from sparseinst.modeling.learner import Learner
from sparseinst.modeling.model import SparseInst
from sparseinst.modeling.slots.criterion import count_instances
from sparseinst.ops.processes import largest
from sparseinst.recipe import Recipe
from sparseinst.training.ema import WeightAverage
from sparseinst.training.muon import Muon
from sparseinst.training.optim import base_learning_rate, learning_rate_factor, parameter_groups


class NonFiniteLoss(InputError):
    """Raised when the loss or the weights are no longer numbers."""


@dataclass(frozen=True)
class Step:
    """What one optimiser step gave, over all processes.

    Args:
        losses: weighted loss terms, means over processes and accumulated batches.
        surplus: targets beyond the number of slots; 0 where there are none.
        requests: for each request whether any process made it.
    """

    losses: dict[str, float]
    surplus: int
    requests: tuple[bool, ...]


class Engine:
    """A network with its criterion, optimiser and moving average.

    Args:
        model: the network to train, anywhere; moved to the accelerator's device.
        recipe: how.
        accelerator: from `make_accelerator`.

    Attributes:
        average: the moving average of the network's weights, what is evaluated and saved.
        losses: names of the weighted losses of a step, in the order of the log.
    """

    def __init__(self, model: SparseInst, recipe: Recipe, accelerator: Any) -> None:
        self.recipe, self.accelerator = recipe, accelerator
        decoder = model.config.decoder
        self.slots = decoder.slots if isinstance(decoder, SlotsConfig) else None
        # The layout that convolutions are fastest in, on a CPU and on tensor cores.
        model = model.to(accelerator.device).to(memory_format=torch.channels_last)
        self.average = WeightAverage(model, recipe.optim.ema)
        if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
            _synchronise_norms(model)
        if recipe.optim.freeze is not None:
            model.backbone.freeze(recipe.optim.freeze)  # type: ignore[operator]
        if accelerator.device.type == "cpu" and recipe.precision == "bf16":
            spare_depthwise(model)
        self.base_lr = base_learning_rate(recipe.optim, recipe.batch * recipe.optim.accumulate)
        self.trained = Learner(model, recipe.loss)
        self.losses = self.trained.names
        muon = recipe.optim.algorithm == "muon"
        groups = parameter_groups(
            self.trained, recipe.optim.weight_decay, rule=recipe.optim.decay_rule, orthogonal=muon
        )
        optimizer = (Muon if muon else torch.optim.AdamW)(groups, lr=self.base_lr)
        self.network = model
        self.model, self.optimizer = accelerator.prepare(self.trained, optimizer)
        self.model.train()

    def learning_rate(self, done: int) -> float:
        """The learning rate after `done` iterations."""
        return self.base_lr * learning_rate_factor(self.recipe.optim, done, self.recipe.iterations)

    def step(self, batches: Sequence[Batch], *, done: int, requests: Sequence[bool] = ()) -> Step:
        """One optimiser step on this process's share of `recipe.optim.accumulate` batches.

        Args:
            batches: as many as are accumulated.
            done: iterations done before.
            requests: wishes on which all processes must agree.

        Raises:
            NonFiniteLoss: a loss term is not a number; the weights were not changed.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(done)
        terms: list[Tensor] = []
        for batch in batches:
            with self.accelerator.accumulate(self.model):
                losses = self._losses(batch.to(self.accelerator.device, non_blocking=True))
                self.accelerator.backward(torch.stack(list(losses.values())).sum())
                terms.append(torch.stack([losses[name].detach() for name in self.losses]))
                if self.accelerator.sync_gradients:
                    step = self._agree(terms, batches, done, requests)
                    if self.recipe.optim.clip_norm is not None:
                        self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.optim.clip_norm)
                self.optimizer.step()
                self.optimizer.zero_grad()
        self.average.update(self.network)
        return step

    def state_dict(self, *, over: bool = False) -> dict[str, Any]:
        """All tensors that a step depends on. Every process must call it.

        Args:
            over: no step will follow: the averaged weights are all that is kept.
        """
        from accelerate.utils import gather_object

        average = self.average.module.state_dict()
        if over:
            return {"model": average, "average": {}, "updates": self.average.updates, "optimizer": None}
        own = self.network.state_dict()
        rng = torch.get_rng_state()
        if self.accelerator.device.type == "cuda":
            rng = torch.cat([rng, torch.cuda.get_rng_state(self.accelerator.device)])
        scaler = self.accelerator.scaler
        return {
            "model": own,
            # what is frozen, or not averaged at all, is the same twice
            "average": {name: tensor for name, tensor in average.items() if not torch.equal(tensor, own[name])},
            "updates": self.average.updates,
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "rng": gather_object([rng]),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave; random generators only if there are as many processes.

        Raises:
            InputError: the state has weights of training heads, which earlier versions knew.
        """
        if state.get("auxiliary"):
            raise InputError("this run trains auxiliary heads, which no longer exist: start it again in another folder")
        self.network.load_state_dict(state["model"])
        self.average.module.load_state_dict({**state["model"], **state["average"]})
        self.average.updates = state["updates"]
        if state["optimizer"] is None:
            return  # of a run that is over
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        if len(state["rng"]) == self.accelerator.num_processes:
            own = torch.get_rng_state()
            rng = state["rng"][self.accelerator.process_index]
            torch.set_rng_state(rng[: len(own)])
            if self.accelerator.device.type == "cuda" and len(rng) > len(own):
                torch.cuda.set_rng_state(rng[len(own) :], self.accelerator.device)

    def has_finite_weights(self) -> bool:
        """Whether every weight is a number."""
        norms = torch._foreach_norm([parameter.detach() for parameter in self.trained.parameters()])
        return bool(torch.stack(norms).isfinite().all())

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        device = self.accelerator.device
        if self.recipe.augment.frame_hw is None:
            # Padding is an input of the network: the parts of a batch have one frame, whatever the processes.
            height, width = batch.images.shape[2:]
            batch = enlarged(batch, largest((height, width), device))
        losses: dict[str, Tensor] = self.model(batch, count_instances(batch.targets, device))
        return losses

    def _agree(self, terms: list[Tensor], batches: Sequence[Batch], done: int, requests: Sequence[bool]) -> Step:
        """Brings all processes to the same figures and decisions, in one exchange."""
        counts = [len(target) for batch in batches for target in batch.targets]
        surplus = 0 if self.slots is None else sum(max(0, count - self.slots) for count in counts)
        own = torch.tensor([surplus, *requests], dtype=torch.float32, device=self.accelerator.device)
        joint = self.accelerator.reduce(torch.cat([torch.stack(terms).mean(0), own]), reduction="sum").tolist()
        values = torch.tensor(joint[: len(self.losses)]) / self.accelerator.num_processes
        if not values.isfinite().all():
            raise NonFiniteLoss(self._complaint(terms, batches, done))
        losses = dict(zip(self.losses, values.tolist(), strict=True))
        surplus, *wishes = joint[len(self.losses) :]
        return Step(losses, round(surplus), tuple(wish > 0 for wish in wishes))

    def _complaint(self, terms: list[Tensor], batches: Sequence[Batch], done: int) -> str:
        from accelerate.utils import gather_object

        bad = [
            (name, image_id)
            for values, batch in zip(terms, batches, strict=True)
            for name, value in zip(self.losses, values.tolist(), strict=True)
            if not torch.tensor(value).isfinite()
            for image_id in batch.image_ids
        ]
        bad = gather_object(bad)
        names = [name for name in self.losses if any(name == other for other, _ in bad)]
        ids = sorted({image_id for _, image_id in bad})
        return (
            f"iteration {done + 1}: {', '.join(names)} is not finite for the batch of images "
            f"{', '.join(map(str, ids))}, at learning rate {self.learning_rate(done):.3g} and precision "
            f"{self.recipe.precision}"
        )


def _synchronise_norms(model: SparseInst) -> None:
    from timm.layers.norm_act import convert_sync_batchnorm

    for name in ("backbone", "encoder", "decoder"):
        if getattr(model.config, name).norm == "sync":
            setattr(model, name, convert_sync_batchnorm(getattr(model, name)))
