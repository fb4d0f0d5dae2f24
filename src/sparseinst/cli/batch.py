"""`sparseinst batch` and `sparseinst batch report`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sparseinst.cli.batch_telling import ProgressBar, close_batch, tell_plan, tell_report
from sparseinst.cli.early import check_network, check_paths, check_source
from sparseinst.cli.opening import BackendName, converted
from sparseinst.cli.options import (
    MODEL_HELP,
    Batch,
    Device,
    Diameter,
    Half,
    MaxInstances,
    NoTile,
    Overlap,
    Quiet,
    RandomWeights,
    Scale,
    Score,
    SettingsCommand,
    Tile,
    Weights,
    chosen_tile,
    output_file,
    pick_device,
)
from sparseinst.cli.telling import speak
from sparseinst.disk import check_room
from sparseinst.errors import InputError
from sparseinst.runtime.names import is_exported


class _RunsUnlessTold(TyperGroup):
    """`batch INPUT` is `batch run INPUT`; a folder called report is ./report."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Names the command where there is none."""
        return super().parse_args(ctx, args if args and args[0] in self.commands else ["run", *args])


batch = typer.Typer(cls=_RunsUnlessTold, help="Find instances in millions of images, kept as Parquet rows.")

_RANDOM = "random.safetensors"


@batch.command(cls=SettingsCommand)
def run(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A folder (with its subfolders), a quoted glob, a list file (.txt, one path or URL a line), .tar "
            "files (WebDataset), .parquet files of bytes or paths; or the URL of one of these (https, s3, gs, ...).",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the result: DIR/rows/*.parquet, a row an image.")],
    model: Annotated[str, typer.Option(metavar="NAME_OR_PATH", help=f"{MODEL_HELP}.")] = "nuclei",
    weights: Weights = None,
    random_weights: RandomWeights = False,
    backend: BackendName = None,
    score: Score = None,
    device: Device = "auto",
    batch: Batch = 1,
    half: Half = False,
    tile: Tile = None,
    no_tile: NoTile = False,
    overlap: Overlap = None,
    scale: Scale = None,
    diameter: Diameter = None,
    max_instances: MaxInstances = None,
    column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column of Parquet files with the images; without it, image, jpg, path, ..."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Take the first N images only.")] = None,
    rows: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Images whose rows share a file; a stop loses no more of each process."),
    ] = 256,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Do the I-th of N parts, from 0: the others are for other machines.")
    ] = "0/1",
    processes: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="How many work at once (0: this one alone); without it, one for each core, or one on a GPU.",
        ),
    ] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Work on Ray Data: local, or the address of a cluster.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what there is to do, and do nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Find instances in millions of images; `sparseinst batch report DIR` looks at the result.

    What is stopped goes on where it was when the same command is given again: each image is done once. An image that
    cannot be read is a row with the reason, and the exit code is then 1.
    """
    speak(quiet=quiet)
    part, tile = _shard(shard), chosen_tile(tile, no_tile)
    check_network(
        model, weights=weights, random_weights=random_weights, backend=backend, score=score, device=device, batch=batch,
        half=half, tile=tile, overlap=overlap, scale=scale, diameter=diameter, max_instances=max_instances,
        colours="batch",
    )  # fmt: skip
    check_source(source)
    check_room(out, option="out", make=False)
    chosen = pick_device(device)
    from sparseinst.scale.job import plan_batch, run_batch
    from sparseinst.scale.settings import BatchSettings

    if random_weights:
        if dry_run:
            raise InputError("expected --dry-run or --random-weights, got both: fresh weights would have to be kept")
        model = _with_random_weights(model, out)
    plain = backend is None and chosen == "cpu" and not (half or max_instances or is_exported(model))
    runs = converted(model, weights) if plain else None
    settings = BatchSettings(
        model=model, weights=None if weights is None else str(weights), backend=backend,
        runs=None if runs is None else str(runs),
        device=None if is_exported(model) and device == "auto" else chosen, half=half, batch=batch, score=score,
        tile=tile, overlap=overlap, scale=scale, diameter=diameter, max_instances=max_instances,
        column=column, limit=limit, rows=rows, threads=_threads(processes, chosen, ray),
    )  # fmt: skip
    if dry_run:
        tell_plan(plan_batch(source, out, settings, shard=part))
        return
    with ProgressBar() as bar:
        done = run_batch(source, out, settings, shard=part, processes=processes, ray=ray, on_progress=bar.tell)
    close_batch(done, out)
    if done.failed:
        raise typer.Exit(1)


@batch.command(cls=SettingsCommand)
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What `sparseinst batch` wrote to.")],
    sheet: Annotated[int, typer.Option(min=0, metavar="N", help="Images on the contact sheet; 0 makes none.")] = 24,
) -> None:
    """Look at the result of a batch job: counts, scores, failures, and a contact sheet.

    Writes DIR/report.json, and DIR/sheet.jpg where the images can still be read.
    """
    check_paths(folder)
    from sparseinst.scale.report import make_report

    tell_report(make_report(folder, sheet=sheet), folder)


def _with_random_weights(model: str, out: Path) -> str:
    """A file of fresh weights in the result's folder, the same for all processes and later calls."""
    from sparseinst.zoo.checkpoint import save_checkpoint
    from sparseinst.zoo.models import load_model

    path = out / _RANDOM
    if not path.is_file():
        network = load_model(model, random_weights=True)
        output_file("--out", path)
        save_checkpoint(path, network)
    return str(path)


def _threads(processes: int | None, device: str, ray: str | None) -> int:
    from sparseinst.scale.local import cores

    if ray is not None:
        return 1
    at_once = processes or (1 if device != "cpu" or processes == 0 else cores())
    return max(1, cores() // at_once)


def _shard(text: str) -> tuple[int, int]:
    number, slash, of = text.partition("/")
    if not slash or not number.isdecimal() or not of.isdecimal():
        raise InputError(f"--shard {text}: expected I/N, as in 0/4: give the part from 0, and how many there are")
    from sparseinst.scale.pieces import check_shard

    part = int(number), int(of)
    check_shard(part)
    return part
