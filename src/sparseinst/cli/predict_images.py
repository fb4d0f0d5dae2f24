"""`sparseinst predict` on images."""

from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Unpack

import typer

from sparseinst.cli.predict_cells import CellOptions, Sizes, cell_files, say_pixels_alone
from sparseinst.cli.predict_telling import ImagesBar, Shrunk, close_report, tell_filled, tell_result
from sparseinst.cli.telling import say, say_error

if TYPE_CHECKING:
    from sparseinst.data.stacks.stack import View
    from sparseinst.inference.options import PipelineOptions
    from sparseinst.inference.outcome import ImageResult
    from sparseinst.runtime.backends import Backend


def predict_on_images(
    source: str,
    cells: CellOptions,
    *,
    network: "Backend",
    exported: bool,
    view: "View | None",
    out: Path,
    save_json: bool,
    save_masks: bool,
    iam: bool,
    recursive: bool,
    resume: bool,
    score: float | None,
    classes: Sequence[str] | None,
    **options: "Unpack[PipelineOptions]",
) -> None:
    """Goes through the images, shows how it is going, and tells what was found.

    Raises:
        typer.Exit: 1 where an image could not be read; 128 and the signal's number where one came.
    """
    from sparseinst.data.channels import shown_as
    from sparseinst.inference.prediction import predict_files
    from sparseinst.inference.scaling import at_scale
    from sparseinst.training.interruption import Signals

    size = options.get("diameter")
    lowest = network.config.postprocess.score if score is None else score
    nothing = f"nothing with a score above {lowest:g}" + (f" among {', '.join(classes)}" if classes else "")
    progress = ImagesBar()
    preprocess = at_scale(
        network.config.preprocess, scale=options.get("scale"), diameter=None if size == "auto" else size
    )
    filled, shrunk, sizes = 0, Shrunk(preprocess), Sizes(network.config.preprocess, diameter=size)
    say_pixels_alone(cells, preprocess)

    def tell(result: "ImageResult") -> None:
        nonlocal filled
        seen = sizes.see(result)
        progress.done(result)
        tell_result(result, nothing, seen)
        if files is not None:
            files.add(result)
        if result.instances is not None:
            filled += result.instances.full
            shrunk.see(result.instances)

    stop = Event()
    with (
        progress,
        Signals(tell="stopping here", then=stop.set) as signals,
        cell_files(cells, out, network.config.classes) as files,
    ):
        report = predict_files(
            source, model=network, score=score, classes=classes, out=out, save_json=save_json, save_masks=save_masks,
            iam=iam, recursive=recursive, view=view, pixel_um=cells.pixel_um, on_image=tell, on_row=progress.row,
            resume=resume, stop=stop, **options,
        )  # fmt: skip
    close_report(report)
    if (channels := shown_as(network.config.preprocess.channels)) is not None:
        say(f"The pictures show {channels}.")
    if filled:
        tell_filled(filled, network, exported=exported, most=options.get("max_instances"))
    if options.get("tile") is None:
        shrunk.tell()
    sizes.tell()
    if signals.number:
        say_error(f"{signals.name}: stopped{'; to go on: the same command with --resume' if save_json else ''}")
        raise typer.Exit(128 + signals.number)
    if report.failures or report.unread_images:
        raise typer.Exit(1)
