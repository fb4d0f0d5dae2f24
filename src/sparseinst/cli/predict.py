"""`sparseinst predict`."""

from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from sparseinst.cli.allocator import keep_freed_memory
from sparseinst.cli.common import (
    MODEL_HELP,
    Batch,
    Device,
    DiameterOrAuto,
    Half,
    MaxInstances,
    NoTile,
    Overlap,
    Quiet,
    RandomWeights,
    Scale,
    Score,
    Tile,
    Verbose,
    Weights,
    chosen_tile,
    parse_diameter,
    parse_names,
    pick_device,
    say,
    say_error,
    speak,
)
from sparseinst.cli.early import (
    check_explains,
    check_network,
    check_paths,
    check_resume,
    check_source,
)
from sparseinst.cli.opening import BackendName, open_model, say_what_ships
from sparseinst.cli.predict_cells import (
    CellOptions,
    Channel,
    Measure,
    PixelUm,
    Project,
    Regions,
    Ring,
    SaveGeojson,
    SaveOutlines,
    SaveRois,
    SaveStack,
    SaveZarr,
    Series,
    Sizes,
    Stitch,
    cell_files,
    say_pixels_alone,
)
from sparseinst.cli.predict_telling import ImagesBar, Shrunk, close_report, tell_filled, tell_result
from sparseinst.cli.predict_video import (
    Algorithm,
    Divisions,
    Draw,
    Fps,
    Save,
    SaveMot,
    Show,
    Skip,
    Track,
    Trails,
    VideoOptions,
    Zones,
    predict_on_video,
)
from sparseinst.disk import check_room
from sparseinst.errors import InputError
from sparseinst.runtime.names import is_exported

if TYPE_CHECKING:
    from sparseinst.inference.outcome import ImageResult


def predict(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="An image (of several pages or frames each one), a folder, a quoted glob, a list file (.txt, one path "
            "a line); or a video file, a camera (0), the URL of a stream, a pattern (frames/%04d.png).",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_PATH",
            help=f"{MODEL_HELP}; without it, the nuclei network.",
        ),
    ] = None,
    weights: Weights = None,
    random_weights: RandomWeights = False,
    backend: BackendName = None,
    score: Score = None,
    classes: Annotated[
        str | None, typer.Option(metavar="A,B", help="Classes to keep, by name; without it, all.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for what is written.")] = Path("predictions"),
    save_json: Annotated[
        bool,
        typer.Option(
            "--save-json",
            help="Write predictions.json: a COCO file whose annotations have scores; of a video STEM.jsonl, a line a "
            "frame.",
        ),
    ] = False,
    save_masks: Annotated[
        bool,
        typer.Option(
            "--save-masks",
            help="Write label images: 16-bit PNG (from 65,536 instances on 32-bit TIFF), 0 background, i for instance "
            "i; of a video for track i.",
        ),
    ] = False,
    iam: Annotated[
        bool, typer.Option("--iam", help="Draw the best instances of each image beside their activation maps.")
    ] = False,
    device: Device = "auto",
    batch: Batch = 1,
    half: Half = False,
    tile: Tile = None,
    no_tile: NoTile = False,
    overlap: Overlap = None,
    scale: Scale = None,
    diameter: DiameterOrAuto = None,
    max_instances: MaxInstances = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Take the images of a folder's subfolders, too, but for those in --out.")
    ] = False,
    save: Save = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with a run that did not finish, after the images it did (with --save-json; the settings and "
            "images have to be the same).",
        ),
    ] = False,
    draw: Draw = True,
    show: Show = False,
    skip: Skip = False,
    fps: Fps = 25.0,
    track: Track = False,
    tracker: Algorithm = None,
    divisions: Divisions = False,
    trails: Trails = True,
    zone: Zones = None,
    save_mot: SaveMot = False,
    channel: Channel = None,
    project: Project = None,
    series: Series = None,
    pixel_size: PixelUm = None,
    measure: Measure = False,
    ring: Ring = 5,
    regions: Regions = None,
    save_rois: SaveRois = False,
    save_geojson: SaveGeojson = False,
    save_outlines: SaveOutlines = False,
    save_stack: SaveStack = False,
    save_zarr: SaveZarr = False,
    stitch: Stitch = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find instances in images or a video: a picture of each image and a table, or the video with masks drawn.

    A broken file or page is reported and skipped; the exit code is then 1. Ctrl-C and SIGTERM end the files as they
    should.

    It is also 1 where a folder holds images in formats that are not read (.czi, .nd2, .dng, ...).
    """
    from sparseinst.data.video.source import is_video
    from sparseinst.inference.options import PipelineOptions
    from sparseinst.zoo.names import DEFAULT_MODEL

    speak(quiet=quiet, verbose=verbose)
    tile, size = chosen_tile(tile, no_tile), parse_diameter(diameter)
    names = parse_names(classes)
    cells = CellOptions(
        channel, project, series, pixel_size, measure, ring, regions, save_rois, save_geojson, save_outlines,
        save_stack, save_zarr, stitch,
    )  # fmt: skip
    check_resume(resume, save_json=save_json, tables=cells.writes)
    video = VideoOptions(save, draw, show, skip, fps, track, tracker, divisions, trails, zone or (), save_mot)
    options = PipelineOptions(
        device=device, batch=batch, half=half, tile=tile, overlap=overlap, scale=scale, diameter=size,
        max_instances=max_instances,
    )  # fmt: skip
    view = cells.view()
    check_network(
        model or DEFAULT_MODEL, weights=weights, random_weights=random_weights, backend=backend, score=score,
        classes=names, **options,
    )  # fmt: skip
    if iam:
        check_explains(model or DEFAULT_MODEL, backend)
    check_source(source)
    check_paths(regions)
    for folder in (out, *(() if save is None else (save.parent,))):
        check_room(folder, option="out", make=False)
    on_video = video.ask_for_video or is_video(source)
    if on_video:
        cells.refuse_for_video(size)
        if resume:
            raise InputError("resume: expected images, got a video: leave --resume out, it is gone through anew")
        video.check(iam=iam, recursive=recursive)
    chosen = pick_device(device)
    if chosen == "cpu":
        keep_freed_memory()
    network = open_model(
        model or DEFAULT_MODEL, weights=weights, random_weights=random_weights, device=device, half=half,
        backend=backend, activation=iam, max_instances=max_instances,
    )  # fmt: skip
    if model is None and weights is None:
        say_what_ships()
    if on_video:
        predict_on_video(
            source, video, network=network, score=score, classes=names, out=out, save_json=save_json,
            save_masks=save_masks, **options,
        )  # fmt: skip
        return
    from sparseinst.data.channels import shown_as
    from sparseinst.inference.prediction import predict_files
    from sparseinst.inference.scaling import at_scale
    from sparseinst.training.interruption import Signals

    lowest = network.config.postprocess.score if score is None else score
    nothing = f"nothing with a score above {lowest:g}" + (f" among {', '.join(names)}" if names else "")
    progress = ImagesBar()
    preprocess = at_scale(network.config.preprocess, scale=scale, diameter=None if size == "auto" else size)
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
            source, model=network, score=score, classes=names, out=out, save_json=save_json, save_masks=save_masks,
            iam=iam, recursive=recursive, view=view, pixel_um=pixel_size, on_image=tell, on_row=progress.row,
            resume=resume, stop=stop, **options,
        )  # fmt: skip
    close_report(report)
    if (channels := shown_as(network.config.preprocess.channels)) is not None:
        say(f"The pictures show {channels}.")
    if filled:
        tell_filled(filled, network, exported=is_exported(model), most=max_instances)
    if tile is None:
        shrunk.tell()
    sizes.tell()
    if signals.number:
        say_error(f"{signals.name}: stopped{'; to go on: the same command with --resume' if save_json else ''}")
        raise typer.Exit(128 + signals.number)
    if report.failures or report.unread_images:
        raise typer.Exit(1)
