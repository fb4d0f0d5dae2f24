"""From a folder of images and a COCO file to a trained network, in one call."""

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from sparseinst.config import NativeConfig
from sparseinst.data import (
    CocoDataset,
    ObjectSizes,
    describe_sizes,
    iterations_of,
    measure_sizes,
)
from sparseinst.data.formats import DataSource, resolve_data
from sparseinst.errors import InputError
from sparseinst.modeling import SparseInst, build_model
from sparseinst.recipe import Preset
from sparseinst.runtime import resolve_device
from sparseinst.training.batches import batches_from
from sparseinst.training.calibration import agreed, as_begun, check_minutes, is_set, laid_over, length_for, measure
from sparseinst.training.engine import Engine, make_accelerator, release_accelerator
from sparseinst.training.folder import BEST, CONFIG, LAST, STATE, check_folder, make_folder, run_folder
from sparseinst.training.logs import RunLog
from sparseinst.training.loop import Limits, Run
from sparseinst.training.progress import Display, clock
from sparseinst.training.recipe_file import RecipeFile, load_recipe, use_recipe
from sparseinst.training.settings import apply_settings, scale_sizes, with_classes, write_config
from sparseinst.training.state import Progress, fingerprint, load_state
from sparseinst.training.validation import Validation
from sparseinst.zoo import init_weights, load_preset, preset_of, start_network, weights_file

if TYPE_CHECKING:
    from sparseinst.evaluation import Evaluation

_LOGGER = logging.getLogger(__name__)

_MEASURED = {"preprocess.diameter_px": "median_px", "preprocess.largest_px": "largest_px"}
"""Settings that the sizes of the training objects give."""

DEFAULT_NETWORK = "lite"
"""What is trained where nothing is named."""

RANDOM = "random"
"""Value of `init` for a start from fresh weights, backbone included."""


@dataclass(frozen=True)
class TrainResult:
    """What a run gave.

    Args:
        out: folder of the run.
        model: the trained network (averaged weights), in eval mode on the training device.
        iterations: iterations done.
        finished: False if the time limit came first.
        seconds: time spent, over all resumptions.
        evaluation: last evaluation of this call; None without validation images, and in processes other than the first.
        best_ap: best mask AP of the run, in 0..1; None without an evaluation.
        best_iteration: when that was.
        surplus_targets: targets for which there was no slot.
    """

    out: Path
    model: SparseInst
    iterations: int
    finished: bool
    seconds: float
    evaluation: "Evaluation | None"
    best_ap: float | None
    best_iteration: int
    surplus_targets: int

    @property
    def last(self) -> Path:
        """Weights at the end of the run."""
        return self.out / LAST

    @property
    def best(self) -> Path | None:
        """Weights at the best evaluation, if there was one."""
        return None if self.best_ap is None else self.out / BEST


def train(
    data: str | Path,
    model: str | Path | Preset = DEFAULT_NETWORK,
    out: str | Path | None = None,
    *,
    recipe: str | Path | None = None,
    init: str | Path | None = None,
    iterations: int | None = None,
    epochs: float | None = None,
    batch: int | None = None,
    size: int | None = None,
    lr: float | None = None,
    workers: int | None = None,
    precision: str | None = None,
    seed: int | None = None,
    settings: Mapping[str, object] | None = None,
    device: str | torch.device | None = None,
    resume: bool = False,
    minutes: float | None = None,
    max_minutes: float | None = None,
    save_minutes: float = 5.0,
    console: Console | None = None,
) -> TrainResult:
    """Trains a network; under `torchrun` or `accelerate launch`, in every process of it.

    The folder of the run gets config.yaml (a preset file with all settings), metrics.csv, evaluation.csv, curves.png,
    TensorBoard events, pictures, best.safetensors, last.safetensors, and state.pt to resume from.

    Args:
        data: a folder or YAML file that `resolve_data` understands; validation images may be absent.
        model: a preset by name, its YAML file (such as a run's config.yaml), or itself; or a file of weights (also
            "hf:owner/name"), whose network is trained on, unless `init` says what else to start from.
        out: folder of the run; must not hold another run unless `resume`. None for one of its own in runs/ (see
            `run_folder`).
        recipe: a recipe by name ("small-data"; see `recipe_names`) or its YAML file, in place of the preset's own.
        init: weights to start from (see `init_weights`); None for ImageNet weights of the backbone (those in the
            package, else timm's), "random" for none at all, of which none are frozen.
        iterations: optimiser steps, in place of the preset's.
        epochs: passes over the training images, instead of iterations.
        batch: images of one step over all processes.
        size: short side in pixels, which every other size of the preset follows; for a network at native scale the
            side of the square that is cropped from training images.
        lr: learning rate at the recipe's reference batch; `optim.lr_rule` says how it follows the batch.
        workers: loader processes of each process.
        precision: "fp32", "bf16" or "fp16".
        seed: decides the fresh weights and all randomness of the images.
        settings: any further settings by dotted name, such as {"optim.ema": 0.999}; the last word.
        device: "cpu", "cuda", "mps"; None takes the best there is.
        resume: go on exactly where the run in `out` stopped; the settings must be the same.
        minutes: about how long the run takes, in place of iterations: a short measurement fixes these, the iterations
            between evaluations (for 8 of them, or as many as take a fifth of the time) and a warm-up of at most 4 %,
            unless `settings` has them, and config.yaml keeps them. The run is then that of these settings, to the bit.
            A resumed run has them already.
        max_minutes: stop after so long (then evaluate and save); the learning rate follows the iterations all the same.
        save_minutes: longest time between two checkpoints.
        console: where to show progress; nothing is shown without one.

    Returns:
        The trained network and where its files are.

    Raises:
        InputError: data, settings or weights cannot be used, or the folder holds another run.
        NonFiniteLoss: (an InputError) the loss or the weights are no longer numbers.
    """
    began_s, settings = time.monotonic(), settings or {}
    if iterations is not None and epochs is not None:
        raise InputError("expected iterations or epochs, got both: leave one out")
    if minutes is not None:
        check_minutes(minutes, iterations, epochs, settings)
    out = run_folder(data, resume=resume) if out is None else Path(out)
    target = resolve_device(_best_device() if device is None else device)
    check_folder(out, resume)
    preset, brought = (model, None) if isinstance(model, Preset) else (preset_of(model), weights_file(model))
    init = brought if init is None else init
    recipe_file = None if recipe is None else load_recipe(recipe)
    preset = preset if recipe_file is None else use_recipe(preset, recipe_file)
    preset = preset if size is None else scale_sizes(preset, size)
    options = {
        "iterations": iterations, "epochs": epochs, "batch": batch, "optim.lr": lr, "workers": workers,
        "precision": precision, "seed": seed,
    }  # fmt: skip
    for chosen in ({k: v for k, v in options.items() if v is not None}, settings):
        preset = apply_settings(preset, chosen)
    if init == RANDOM and preset.recipe.optim.freeze is not None:
        if any(name.endswith("optim.freeze") for name in settings):
            raise InputError("optim.freeze: expected weights that are worth keeping, got init random: leave one out")
        preset = apply_settings(preset, {"optim.freeze": None})
    source = resolve_data(Path(data))
    dataset = _training_images(source, data)
    sizes = measure_sizes(dataset)
    preset = _for_data(preset, dataset)
    preset = _with_sizes(preset, sizes, settings)
    if minutes is not None and resume:
        preset = as_begun(preset, load_preset(out / CONFIG).recipe, settings)
    limits = Limits(None if max_minutes is None else 60 * max_minutes, 60 * save_minutes)
    with ExitStack() as stack:
        # The caller's random numbers are not ours to use up.
        stack.enter_context(torch.random.fork_rng([] if target.type != "cuda" else range(torch.cuda.device_count())))
        accelerator = make_accelerator(preset.recipe, target)
        stack.callback(release_accelerator)
        validation = _validation(source, preset, accelerator)  # before the weights: a mistake in a file is cheaper
        timed: list[str] = []
        if minutes is not None and not resume:
            until_s = began_s + 60 * minutes
            preset, line = _fitted(preset, dataset, accelerator, validation, init, settings, until_s)
            release_accelerator()  # with all that the measurement has used up
            accelerator, timed = make_accelerator(preset.recipe, target), [line]
        engine, origin = _engine(preset, accelerator, init, resume)
        mark, progress = fingerprint(dataset.image_ids, dataset.instances), Progress()
        if resume:
            progress, tensors = load_state(out / STATE, preset, mark)
            engine.load_state_dict(tensors)
        log = None
        if accelerator.is_main_process:
            make_folder(out)
            if not resume:
                write_config(out / CONFIG, preset, notes={"data": data, "weights": origin})
            log = stack.enter_context(RunLog(out, engine.losses, last_iteration=progress.iteration))
        shown = console if accelerator.is_main_process else None
        display = stack.enter_context(Display(shown, iterations=preset.recipe.iterations, start=progress.iteration))
        told = [] if recipe_file is None else [f"recipe {recipe}: {recipe_file.description}", *_listed(recipe_file)]
        told += describe_sizes(sizes, preset.model.preprocess)
        for line in (
            *told,
            origin,
            *_advice(origin, recipe_file),
            *timed,
            *_summary(preset, dataset, engine, progress),
        ):
            _LOGGER.info(line)
            display.say(line)
        run = Run(
            out, preset, data=mark, images=len(dataset), engine=engine, progress=progress, validation=validation,
            log=log, display=display, limits=limits,
        )  # fmt: skip
        finished = run.go(batches_from(progress.iteration, dataset, preset, engine))
    return TrainResult(
        out, engine.average.module, progress.iteration, finished, progress.seconds, run.evaluation, progress.best_ap,
        progress.best_iteration, progress.surplus,
    )  # fmt: skip


def _training_images(source: DataSource, data: str | Path) -> CocoDataset:
    if source.train is None:
        raise InputError(f"{data}: expected training images (a train.json with a folder train/), found none: add them")
    return CocoDataset.load(source.train.images, source.train.annotations)


def _for_data(preset: Preset, dataset: CocoDataset) -> Preset:
    """The preset for the classes of the data, with its epochs counted in iterations."""
    if set(preset.model.classes) != set(dataset.classes):
        preset = with_classes(preset, dataset.classes)
    epochs = preset.recipe.epochs
    if epochs is None:
        return preset
    return apply_settings(preset, {"iterations": iterations_of(epochs, len(dataset), preset.recipe), "epochs": None})


def _with_sizes(preset: Preset, sizes: ObjectSizes, settings: Mapping[str, object]) -> Preset:
    """The preset of a network at native scale with the sizes of the objects that it is going to know."""
    if not isinstance(preset.model.preprocess, NativeConfig) or not sizes.median_px > 0:
        return preset
    unset = {name: of for name, of in _MEASURED.items() if not any(given.endswith(name) for given in settings)}
    return apply_settings(preset, {name: round(getattr(sizes, of), 2) for name, of in unset.items()})


def _engine(preset: Preset, accelerator: Any, init: str | Path | None, resume: bool) -> tuple[Engine, str]:
    """The engine with its network, and a line that says which weights it starts from."""
    torch.manual_seed(preset.recipe.seed)
    network, origin = _build(preset, init, resume)
    engine = Engine(network, preset.recipe, accelerator)
    # All processes share the fresh weights, but not what is random from here on.
    torch.manual_seed(preset.recipe.seed + 1 + accelerator.process_index)
    return engine, origin


def _build(preset: Preset, init: str | Path | None, resume: bool) -> tuple[SparseInst, str]:
    """The network with the weights to start from, and a line that says which."""
    if resume:
        return build_model(preset.model), "resumed"
    if init is not None:
        network = build_model(preset.model)
        return network, "fresh weights" if init == RANDOM else init_weights(network, init)
    return start_network(preset.model)


def _validation(source: DataSource, preset: Preset, accelerator: Any) -> Validation | None:
    if source.val is None or not accelerator.is_main_process:
        return None
    share = preset.recipe.batch // accelerator.num_processes
    return Validation(source.val, preset.model.classes, preset.recipe, accelerator.device, batch=share)


def _fitted(
    preset: Preset, dataset: CocoDataset, accelerator: Any, validation: Validation | None, init: str | Path | None,
    settings: Mapping[str, object], until_s: float,
) -> tuple[Preset, str]:  # fmt: skip
    """The preset whose run ends at about that time, and a line that says what was measured."""
    engine, _ = _engine(preset, accelerator, init, resume=False)
    batches = batches_from(0, dataset, preset, engine)
    pace = measure(engine, batches, validation, seconds=until_s - time.monotonic())
    every = preset.recipe.evaluate_every if is_set("evaluate_every", settings) else None
    length = agreed(length_for(pace, until_s - time.monotonic(), evaluate_every=every))
    line = (
        f"measured {pace.step_s:.3g} s a step and about {pace.evaluation_s:.3g} s an evaluation: "
        f"{length.iterations} iterations, evaluated every {length.evaluate_every}"
    )
    return laid_over(preset, length, settings), line


def _summary(preset: Preset, dataset: CocoDataset, engine: Engine, progress: Progress) -> list[str]:
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


def _advice(origin: str, recipe_file: RecipeFile | None) -> list[str]:
    """What to know about a start from a whole network: a recipe for a fresh one may lose what it has learnt."""
    _, found, fresh = origin.partition("fresh: ")
    if recipe_file is not None or not found or "encoder" in fresh:
        return []
    return ["this network is trained already: --recipe fine-tune changes it more gently than a recipe for a fresh one"]


def _listed(recipe_file: RecipeFile) -> list[str]:
    return [f"  {name}: {value}" for name, value in recipe_file.settings.items()]


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
