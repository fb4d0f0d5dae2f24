"""`sparseinst predict`."""

from pathlib import Path
from typing import Annotated

import typer

from sparseinst.cli.allocator import keep_freed_memory
from sparseinst.cli.early import (
    check_explains,
    check_network,
    check_paths,
    check_resume,
    check_source,
)
from sparseinst.cli.opening import BackendName, open_model, say_what_ships
from sparseinst.cli.options import (
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
)
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
    Stitch,
)
from sparseinst.cli.predict_images import predict_on_images
from sparseinst.cli.predict_video import predict_on_video
from sparseinst.cli.telling import speak
from sparseinst.cli.video_options import (
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
)
from sparseinst.disk import check_room
from sparseinst.errors import InputError
from sparseinst.runtime.names import is_exported


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
    predict_on_images(
        source, cells, network=network, exported=is_exported(model), view=view, out=out, save_json=save_json,
        save_masks=save_masks, iam=iam, recursive=recursive, resume=resume, score=score, classes=names, **options,
    )  # fmt: skip
