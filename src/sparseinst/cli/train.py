"""`sparseinst train`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparseinst.cli.allocator import keep_freed_memory
from sparseinst.cli.early import check_model, check_paths
from sparseinst.cli.options import Device, pick_device, setting
from sparseinst.cli.telling import console, say, say_error
from sparseinst.errors import InputError, typed
from sparseinst.files import real
from sparseinst.runtime.names import check_device

if TYPE_CHECKING:
    from sparseinst.training.result import TrainResult

_STOPPED = 130
"""Exit code after a second Ctrl-C."""


def train(
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR_OR_YAML",
            help="A folder or file with images and masks, recognised by looking: COCO, YOLO (data.yaml), LabelMe, "
            "label images, Pascal VOC; or a YAML file that names images and annotations.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A preset (see `sparseinst models`), its YAML file, or weights to train on; without it, lite or "
            "nuclei, whichever suits the data.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the run; without it, one in runs/ with the name of the data."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Go on exactly where the run in this folder stopped; the folder is all that is needed."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Instead of the model's own recipe: small-data, fine-tune, full-coco, published, or a YAML file.",
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            metavar="micrographs|photos|aerial",
            help="Turns, flips and colours by what the images are; see samples.png.",
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS|random",
            help="Weights to start from: a checkpoint, a published .pth, weights of the backbone (timm, torchvision, "
            "detectron2's .pkl), or random for none; "
            "without it, ImageNet weights of the backbone: those in the package, else timm's (downloaded).",
        ),
    ] = None,
    epochs: Annotated[float | None, setting("recipe.epochs")] = None,
    iterations: Annotated[int | None, setting("recipe.iterations")] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            metavar="INTEGER|auto",
            help="Images of one step over all processes, accumulation not counted; auto for the largest that fits on a "
            "GPU, the fastest on a CPU.",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="Short side of the images in pixels; every other size of the preset follows it. At native scale the "
            "side of the square cropped from them."
        ),
    ] = None,
    lr: Annotated[float | None, setting("recipe.optim.lr")] = None,
    freeze: Annotated[
        str | None,
        typer.Option(
            metavar="backbone|STRIDE|none", help="Layers of the backbone that stay as they are: all, or up to a stride."
        ),
    ] = None,
    patience: Annotated[int | None, setting("recipe.patience")] = None,
    workers: Annotated[int | None, setting("recipe.workers")] = None,
    precision: Annotated[str | None, setting("recipe.precision", metavar="fp32|bf16|fp16")] = None,
    seed: Annotated[int | None, setting("recipe.seed")] = None,
    device: Device = "auto",
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="About how long the run takes, instead of iterations or epochs: a short measurement decides on these.",
        ),
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(min=0, help="Stop after so many minutes, evaluated and saved, wherever the run is.")
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(
            "--log",
            "--trackers",
            metavar="NAMES",
            help="Where to log to beside the folder: some of tensorboard (the default), wandb, mlflow, with commas "
            "between them, or none. (torchrun takes --log for itself: say --trackers there.)",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any other setting, such as optim.ema=0.999 (as in config.yaml; repeat)."
        ),
    ] = None,
) -> None:
    """Train a network on your own images and their masks.

    Ctrl-C ends it with everything saved; --resume DIR goes on.

    Several GPUs: torchrun --nproc-per-node=4 -m sparseinst.cli train ...
    """
    check_paths(data, resume)
    check_model(model)
    check_device(device)
    from sparseinst.training.folder import check_folder
    from sparseinst.training.options import Options, check_options
    from sparseinst.training.settings import parse_assignments

    out = _folder(data, out, resume)
    options: dict[str, Any] = {
        "recipe": recipe, "augment": augment, "init": init, "iterations": iterations, "epochs": epochs,
        "batch": int(batch) if batch is not None and batch.isdecimal() else batch, "size": size, "lr": lr,
        "freeze": freeze, "patience": patience, "workers": workers, "precision": precision, "seed": seed,
        "settings": parse_assignments(settings or []), "resume": resume is not None, "minutes": minutes,
        "log": _names(log),
    }  # fmt: skip
    check_folder(out, resume is not None)
    check_options(Options(data=data, model=model, out=out, **options))
    chosen = pick_device(device)
    if chosen == "cpu":
        keep_freed_memory()
    if _speaks():
        say(f"run in {out}")
    from sparseinst.training.interruption import Interrupted
    from sparseinst.training.trainer import train as run

    try:
        result = run(data, model, out, device=chosen, max_minutes=max_minutes, console=console(), **options)
    except Interrupted as stop:
        if _speaks():
            say_error(
                f"{stop.name}: stopped after iteration {stop.iteration}, which is saved; to go on: {_resume(out)}"
            )
        raise typer.Exit(stop.exit_code) from None
    except KeyboardInterrupt:
        if _speaks():
            say_error(f"stopped at once; {_what_is_saved(out)}")
        raise typer.Exit(_STOPPED) from None
    if _speaks():
        _report(result)


def _folder(data: Path | None, out: Path | None, resume: Path | None) -> Path:
    """The folder of the run, named before the processes of a run meet, so that all of them find the same.

    Raises:
        InputError: neither data nor a run to resume is named, or two folders are.
    """
    from sparseinst.training.folder import run_folder

    if resume is not None:
        if out is not None and real(out) != real(resume):
            raise InputError(f"expected --resume {resume} or --out {out}, got both: a run goes on in its own folder")
        return resume
    if data is None:
        raise InputError("expected --data, or --resume with the folder of a run, got neither: name your images")
    return run_folder(data) if out is None else out


def _names(log: str | None) -> tuple[str, ...] | None:
    """The trackers of --log."""
    if log is None:
        return None
    return tuple(name for part in log.split(",") if (name := part.strip()) and name != "none")


def _speaks() -> bool:
    """Whether this is the process that speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def _resume(out: Path) -> str:
    return f"sparseinst train --resume {typed(out)}"


def _what_is_saved(out: Path) -> str:
    from sparseinst.training.folder import STATE

    if not (out / STATE).is_file():
        return "nothing was saved yet"
    return f"what was saved last is in {out}; to go on from there: {_resume(out)}"


def _report(result: "TrainResult") -> None:
    from sparseinst.training.facts import read_facts

    if result.ended == "time":
        say(f"stopped at the time limit after {result.iterations} iterations; to go on: {_resume(result.out)}")
    if result.ended == "patience":
        say(f"stopped after {result.iterations} iterations, as AP no longer rises; to go on all the same: "
            f"{_resume(result.out)} --set patience=null")  # fmt: skip
    if result.best_ap is not None:
        say(f"best: AP {result.best_ap:.4f} at iteration {result.best_iteration}, in {result.weights}")
    if result.surplus_targets:
        say(f"{result.surplus_targets} instances had no slot to learn from: raise decoder.slots", style="yellow")
    say(f"curves, pictures and logs: {result.out}")
    weights, split = typed(result.weights), result.validation
    say(f"look at it: sparseinst predict IMAGES --model {weights}")
    if split is not None and split.kind == "coco":
        say(
            f"measure it: sparseinst evaluate --model {weights} --images {typed(split.images)} "
            f"--annotations {typed(split.annotations)}"
        )
    elif split is not None:
        say(f"measure it: sparseinst evaluate --model {weights} --data {typed(read_facts(result.out).data)}")
    say(f"ship it: sparseinst export {weights} --format onnx --out {typed(result.weights.with_suffix('.onnx'))}")
