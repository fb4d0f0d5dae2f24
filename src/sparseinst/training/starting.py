"""The network, its engine and the length of a run, before its first step."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sparseinst.config.model import ModelConfig
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.source import Split
from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.recipe import Preset
from sparseinst.training.batches import batches_from
from sparseinst.training.calibration import agreed, laid_over, length_for, measure
from sparseinst.training.engine import Engine
from sparseinst.training.options import FRESH, RANDOM
from sparseinst.training.progress import clock
from sparseinst.training.recipe_file import RecipeFile
from sparseinst.training.settings import is_set
from sparseinst.training.state import Progress
from sparseinst.training.validation import Validation
from sparseinst.zoo.models import Weights, init_weights
from sparseinst.zoo.starts import start_network


class Start:
    """The network that a run begins with; its weights are read once, however often it begins.

    Args:
        init: weights to start from; None for ImageNet's, "random" for none.
        weights: those, where they have been read already.
    """

    def __init__(self, init: str | None, weights: Weights | None = None) -> None:
        self._init, self._weights = init, weights
        self._begun: tuple[dict[str, Tensor], str] | None = None

    def engine(self, preset: Preset, accelerator: Any, *, again: bool = False) -> tuple[Engine, str]:
        """The engine with that network, and a line that says which weights it starts from.

        Args:
            preset: all settings; those of the network are the same each time.
            accelerator: what it runs on.
            again: whether it is going to begin once more, for this was a trial; else what was read is let go.
        """
        torch.manual_seed(preset.recipe.seed)
        if self._begun is None:
            network, origin = self._read(preset.model)
        else:
            network, origin = build_model(preset.model), self._begun[1]
            network.load_state_dict(self._begun[0])
        self._weights = self._begun = None
        if again:
            self._begun = {name: tensor.clone() for name, tensor in network.state_dict().items()}, origin
        return _engine(network, preset, accelerator), origin

    def _read(self, config: ModelConfig) -> tuple[SparseInst, str]:
        if self._init is None:
            return start_network(config)
        network = build_model(config)
        return network, FRESH if self._init == RANDOM else init_weights(network, self._weights or self._init)


def resumed_engine(preset: Preset, accelerator: Any) -> Engine:
    """The engine of a run that goes on; its state is still to be loaded."""
    torch.manual_seed(preset.recipe.seed)
    return _engine(build_model(preset.model), preset, accelerator)


def _engine(network: SparseInst, preset: Preset, accelerator: Any) -> Engine:
    engine = Engine(network, preset.recipe, accelerator)
    # All processes share the fresh weights, but not what is random from here on.
    torch.manual_seed(preset.recipe.seed + 1 + accelerator.process_index)
    return engine


def start_validation(
    split: Split | None, dataset: CocoDataset | None, preset: Preset, accelerator: Any
) -> Validation | None:
    """What measures the network: each process looks at its share of the images.

    Args:
        split: the validation images.
        dataset: the same, where they have been read already.
        preset: all settings.
        accelerator: the processes.
    """
    if split is None:
        return None
    rank, world = accelerator.process_index, accelerator.num_processes
    return Validation(
        split, preset.model.classes, preset.recipe, accelerator.device, batch=max(1, preset.recipe.batch // world),
        dataset=dataset, rank=rank, world=world,
    )  # fmt: skip


def fitted(
    preset: Preset, dataset: CocoDataset, accelerator: Any, validation: Validation | None, start: Start,
    settings: Mapping[str, object], until_s: float,
) -> tuple[Preset, str]:  # fmt: skip
    """The preset whose run ends at about that time, and a line that says what was measured."""
    engine, _ = start.engine(preset, accelerator, again=True)
    batches = batches_from(0, dataset, preset, engine)
    pace = measure(engine, batches, validation, seconds=until_s - time.monotonic())
    every = preset.recipe.evaluate_every if is_set("evaluate_every", settings) else None
    length = agreed(length_for(pace, until_s - time.monotonic(), evaluate_every=every))
    line = (
        f"measured {pace.step_s:.3g} s a step and about {pace.evaluation_s:.3g} s an evaluation: "
        f"{length.iterations} iterations, evaluated every {length.evaluate_every}"
    )
    return laid_over(preset, length, settings), line


def summary(preset: Preset, dataset: CocoDataset, engine: Engine, progress: Progress) -> list[str]:
    """What the run is going to be."""
    recipe, accelerator = preset.recipe, engine.accelerator
    optim = recipe.optim
    step = recipe.batch * optim.accumulate
    lines = [
        f"{len(dataset)} training images, {dataset.instances} instances, {len(preset.model.classes)} classes; "
        f"{recipe.iterations} iterations of {step} images ({recipe.iterations * step / len(dataset):.1f} epochs) on "
        f"{accelerator.num_processes} x {accelerator.device.type} in {recipe.precision}",
        f"learning rate {engine.base_lr:.3g} ({optim.lr:.3g} at batch {optim.reference_batch}, rule {optim.lr_rule})",
    ]
    if optim.warmup >= recipe.iterations:
        lines.append(
            f"the warm-up ({optim.warmup} iterations) is as long as the run: shorten it with --set optim.warmup=..."
        )
    if progress.iteration:
        lines.append(f"resumed after iteration {progress.iteration} ({clock(progress.seconds)} spent)")
    return lines


def advice(origin: str, recipe_file: RecipeFile | None) -> list[str]:
    """What to know about a start from a whole network: a recipe for a fresh one may lose what it has learnt."""
    _, found, fresh = origin.partition("fresh: ")
    if recipe_file is not None or not found or "encoder" in fresh:
        return []
    return ["this network is trained already: --recipe fine-tune changes it more gently than a recipe for a fresh one"]
