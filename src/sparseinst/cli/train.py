"""`sparseinst train`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparseinst.cli.allocator import keep_freed_memory
from sparseinst.cli.common import Device, console, pick_device, say, say_error, say_found, setting

if TYPE_CHECKING:
    from sparseinst.training import TrainResult


def train(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR_OR_YAML",
            help="A folder or file with images and masks, recognised by looking: COCO, YOLO (data.yaml), LabelMe, "
            "label images, Pascal VOC; or a YAML file that names images and annotations.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(metavar="NAME", help="A preset (see `sparseinst models`), its YAML file, or weights to train on."),
    ] = "lite",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the run; without it, one in runs/ with the name of the data."),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Instead of the model's own recipe: small-data, fine-tune, full-coco, published, or a YAML file.",
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
    batch: Annotated[int | None, setting("recipe.batch")] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="Short side of the images in pixels; every other size of the preset follows it. At native scale the "
            "side of the square cropped from them."
        ),
    ] = None,
    lr: Annotated[float | None, setting("recipe.optim.lr")] = None,
    workers: Annotated[int | None, setting("recipe.workers")] = None,
    precision: Annotated[str | None, setting("recipe.precision", metavar="fp32|bf16|fp16")] = None,
    seed: Annotated[int | None, setting("recipe.seed")] = None,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on exactly where the run in --out stopped.")] = False,
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
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any other setting, such as optim.ema=0.999 (as in config.yaml; repeat)."
        ),
    ] = None,
) -> None:
    """Train a network on your own images and their masks.

    Several GPUs: torchrun --nproc-per-node=4 -m sparseinst.cli train ...
    """
    from sparseinst.training import parse_assignments, run_folder
    from sparseinst.training import train as run

    # Named before the processes of a run meet, so that all of them find the same.
    out = run_folder(data, resume=resume) if out is None else out
    if _speaks():
        say(f"network {model}, run in {out}")
        say_found(data)
    chosen = pick_device(device)
    if chosen == "cpu":
        keep_freed_memory()
    try:
        result = run(
            data, model, out, recipe=recipe, init=init, iterations=iterations, epochs=epochs, batch=batch, size=size,
            lr=lr, workers=workers, precision=precision, seed=seed, settings=parse_assignments(settings or []),
            device=chosen, resume=resume, minutes=minutes, max_minutes=max_minutes, console=console(),
        )  # fmt: skip
    except KeyboardInterrupt:
        say_error(f"training stopped; what was saved last is in {out}: the same command with --resume goes on from it")
        raise
    if _speaks():
        _report(result, data)


def _speaks() -> bool:
    """Whether this is the process that speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def _report(result: "TrainResult", data: Path) -> None:
    from sparseinst.data.formats import resolve_data

    if not result.finished:
        say(f"stopped at the time limit after {result.iterations} iterations; the same command with --resume goes on")
    if result.best_ap is not None:
        say(f"best: AP {result.best_ap:.4f} at iteration {result.best_iteration}, in {result.best}")
    if result.surplus_targets:
        say(f"{result.surplus_targets} instances had no slot to learn from: raise decoder.slots", style="yellow")
    say(f"curves, pictures and logs: {result.out}")
    weights = result.best or result.last
    say(f"look at it: sparseinst predict IMAGES --model {weights}")
    if resolve_data(data).val is not None:
        say(f"measure it: sparseinst evaluate --model {weights} --data {data}")
    say(f"ship it: sparseinst export {weights} --format onnx --out {weights.with_suffix('.onnx')}")
