"""From a folder of images and a COCO file to a trained network, in one call."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from rich.console import Console

from sparseinst.errors import InputError
from sparseinst.recipe import Preset
from sparseinst.runtime.devices import Device, resolve_device
from sparseinst.training.callbacks import Callback
from sparseinst.training.folder import run_folder
from sparseinst.training.loop import Limits
from sparseinst.training.opening import plan_run
from sparseinst.training.options import Options
from sparseinst.training.result import TrainResult
from sparseinst.training.session import Session
from sparseinst.training.trackers import check_trackers


def train(
    data: str | Path | None = None,
    model: str | Path | Preset | None = None,
    out: str | Path | None = None,
    *,
    recipe: str | Path | None = None,
    init: str | Path | None = None,
    augment: str | None = None,
    iterations: int | None = None,
    epochs: float | None = None,
    batch: int | str | None = None,
    size: int | None = None,
    lr: float | None = None,
    freeze: int | str | None = None,
    patience: int | None = None,
    workers: int | None = None,
    precision: str | None = None,
    seed: int | None = None,
    settings: Mapping[str, object] | None = None,
    device: Device = "auto",
    resume: bool = False,
    minutes: float | None = None,
    max_minutes: float | None = None,
    save_minutes: float = 5.0,
    log: Sequence[str] | None = None,
    callbacks: Sequence[Callback] = (),
    console: Console | None = None,
) -> TrainResult:
    """Trains a network; under `torchrun` or `accelerate launch`, in every process of it.

    The folder of the run gets config.yaml (a preset file with all settings), run.yaml (what else it began with),
    samples.png (images as training sees them), metrics.csv, evaluation.csv, curves.png, pictures, best.safetensors, and
    state.pt to resume from. Ctrl-C and SIGTERM end it after the step it is in, with its state saved.

    Args:
        data: a folder or YAML file that `resolve_data` understands. Where it has no validation images, some of the
            training images are set aside (`recipe.held_out`). A resumed run knows its data; say it if that has moved.
        model: a preset by name, its YAML file (such as a run's config.yaml), or itself; or a file of weights (also
            "hf:owner/name"), whose network is trained on, unless `init` says what else to start from. None for "lite"
            or "nuclei", whichever suits the data, trained for as long as its size suggests (see `choice`), and of a
            resumed run for its own.
        out: folder of the run; must not hold another run unless `resume`. None for one of its own in runs/ (see
            `run_folder`).
        recipe: a recipe by name ("small-data"; see `recipe_names`) or its YAML file, in place of the preset's own.
        init: weights to start from (see `init_weights`); None for ImageNet weights of the backbone (those in the
            package, else timm's), "random" for none at all, of which none are frozen.
        augment: "micrographs", "photos" or "aerial": turns, flips and colours by what the images are.
        iterations: optimiser steps, in place of the preset's.
        epochs: passes over the training images, instead of iterations.
        batch: images of one step over all processes; "auto" for the largest that fits (see `fitting_batch`).
        size: short side in pixels, which every other size of the preset follows; for a network at native scale the
            side of the square that is cropped from training images.
        lr: learning rate at the recipe's reference batch; `optim.lr_rule` says how it follows the batch.
        freeze: layers up to this stride stay as they are; "backbone" for all of it, "none" for nothing.
        patience: evaluations in a row without a better validation AP after which the run ends.
        workers: loader processes of each process.
        precision: "fp32", "bf16" or "fp16".
        seed: decides the fresh weights and all randomness of the images.
        settings: any further settings by dotted name, such as {"optim.ema": 0.999}; the last word.
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" (a CUDA GPU if there is one, else the CPU).
        resume: go on exactly where the run in `out` stopped. The folder has all settings; those given must be the same.
        minutes: about how long the run takes, in place of iterations: a short measurement fixes these, the iterations
            between evaluations (for 8 of them, or as many as take a fifth of the time) and a warm-up of at most 4 %,
            unless `settings` has them, and config.yaml keeps them. The run is then that of these settings, to the bit.
            A resumed run has them already.
        max_minutes: stop after so long (then evaluate and save); the learning rate follows the iterations all the same.
        save_minutes: longest time between two checkpoints.
        log: where to log to beside the folder: some of "tensorboard" (the default), "wandb", "mlflow".
        callbacks: told of rows and evaluations, in the first process.
        console: where to show progress; nothing is shown without one.

    Returns:
        The trained network and where its files are.

    Raises:
        InputError: data, settings or weights cannot be used, or the folder holds another run, or a process in it.
        NonFiniteLoss: (an InputError) the loss or the weights are no longer numbers.
        LostProcess: (an InputError) another process of the run is gone.
        Interrupted: (a KeyboardInterrupt) Ctrl-C or SIGTERM ended the run, which is saved.
    """
    began_s = time.monotonic()
    if out is None and data is None:
        raise InputError("data: expected a folder or YAML file, got none: name it, or the folder of a run to resume")
    out = run_folder(data or "", resume=resume) if out is None else Path(out)
    target = resolve_device(device)
    options = Options(
        data=data, model=model, out=out, recipe=recipe, init=None if init is None else str(init), augment=augment,
        iterations=iterations, epochs=epochs, batch=batch, size=size, lr=lr, freeze=freeze, patience=patience,
        workers=workers, precision=precision, seed=seed, settings=settings or {}, resume=resume, minutes=minutes,
        log=None if log is None else tuple(log),
    )  # fmt: skip
    plan = plan_run(options)
    check_trackers(plan.facts.log)  # those of the folder, where it is resumed
    limits = Limits(None if max_minutes is None else 60 * max_minutes, 60 * save_minutes)
    with ExitStack() as stack:
        # The caller's random numbers are not ours to use up.
        stack.enter_context(torch.random.fork_rng([] if target.type != "cuda" else range(torch.cuda.device_count())))
        session = Session(stack, options, plan, target, console)
        session.prepare(began_s)
        return session.run(limits, callbacks)
