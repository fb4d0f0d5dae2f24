"""`sparseinst predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparseinst.cli.common import (
    MODEL_HELP,
    Batch,
    Device,
    Diameter,
    Half,
    MaxInstances,
    NoTile,
    Overlap,
    RandomWeights,
    Scale,
    Tile,
    Weights,
    chosen_tile,
    count,
    pick_device,
    print_table,
    say,
    say_error,
)
from sparseinst.cli.opening import BackendName, open_model, say_what_ships
from sparseinst.cli.predict_video import (
    Algorithm,
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

if TYPE_CHECKING:
    from sparseinst.config import PreprocessConfig
    from sparseinst.inference import Backend, ImageResult, Report
    from sparseinst.structures import Instances

_CROWD = 50
"""Objects in one image from which on looking closer is advised."""
_SHRUNK = 3.0
"""How many times smaller than it is an image may be seen without a word."""


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
    score: Annotated[
        float | None, typer.Option(min=0, max=1, help="Lowest score to keep; without it, the model's own.")
    ] = None,
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
    diameter: Diameter = None,
    max_instances: MaxInstances = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Take the images of a folder's subfolders, too, but for those in --out.")
    ] = False,
    save: Save = None,
    draw: Draw = True,
    show: Show = False,
    skip: Skip = False,
    fps: Fps = 25.0,
    track: Track = False,
    tracker: Algorithm = None,
    trails: Trails = True,
    zone: Zones = None,
    save_mot: SaveMot = False,
) -> None:
    """Find instances in images or a video: a picture of each image and a table, or the video with masks drawn.

    A broken file or page is reported and skipped; the exit code is then 1. Ctrl-C ends a video's files as they should.

    It is also 1 where a folder holds images in formats that are not read (.czi, .nd2, .heic, ...).
    """
    from sparseinst.inference import is_exported, is_video, predict_files
    from sparseinst.inference.scaling import at_scale
    from sparseinst.zoo import DEFAULT_MODEL

    chosen, tile = pick_device(device), chosen_tile(tile, no_tile)
    network = open_model(
        DEFAULT_MODEL if model is None else model, weights=weights, random_weights=random_weights, device=device,
        half=half, backend=backend, activation=iam, max_instances=max_instances,
    )  # fmt: skip
    if model is None and weights is None:
        say_what_ships()
    names = None if classes is None else [name.strip() for name in classes.split(",") if name.strip()]
    video = VideoOptions(save, draw, show, skip, fps, track, tracker, trails, zone or (), save_mot)
    if video.ask_for_video or is_video(source):
        predict_on_video(
            source, video, network=network, score=score, classes=names, out=out, save_json=save_json,
            save_masks=save_masks, iam=iam, recursive=recursive, device=chosen, batch=batch, half=half, tile=tile,
            overlap=overlap, scale=scale, diameter=diameter, max_instances=max_instances,
        )  # fmt: skip
        return
    lowest = network.metadata.postprocess.score if score is None else score
    nothing = f"nothing with a score above {lowest:g}" + (f" among {', '.join(names)}" if names else "")
    filled, shrunk = 0, _Shrunk(at_scale(network.metadata.preprocess, scale=scale, diameter=diameter))

    def tell(result: "ImageResult") -> None:
        nonlocal filled
        _print(result, nothing)
        if result.instances is not None:
            filled += result.instances.full
            shrunk.see(result.instances)

    report = predict_files(
        source, model=network, score=score, classes=names, out=out, save_json=save_json, save_masks=save_masks,
        iam=iam, device=chosen, batch=batch, half=half, tile=tile, overlap=overlap, scale=scale, diameter=diameter,
        max_instances=max_instances, recursive=recursive, on_image=tell,
    )  # fmt: skip
    _close(report)
    if filled:
        _tell_filled(filled, network, exported=is_exported(model), most=max_instances)
    if tile is None:
        shrunk.tell()
    if report.failures or report.unread_images:
        raise typer.Exit(1)


class _Shrunk:
    """Counts crowded and very large images that a network saw smaller than they are."""

    def __init__(self, preprocess: "PreprocessConfig") -> None:
        self.preprocess = preprocess
        self.crowds, self.large, self.most = 0, 0, 0.0

    def see(self, instances: "Instances") -> None:
        from sparseinst.inference.scaling import shrunk_by

        factor = shrunk_by(instances.size_hw, self.preprocess)
        if factor > 1 and len(instances) >= _CROWD:
            self.crowds += 1
        elif factor >= _SHRUNK:
            self.large += 1
            self.most = max(self.most, factor)

    def tell(self) -> None:
        from sparseinst.config import ShortSideConfig
        from sparseinst.data.sizes import SMALL_PX

        if not isinstance(self.preprocess, ShortSideConfig):
            return
        closer = f"--tile {max(32, self.preprocess.short_px * 2 // 3)} looks closer"
        if self.crowds:
            images = count(self.crowds, "crowded image")
            say(f"{images} shrunk to fit the network: {closer} and finds more, in more time.", style="yellow")
        if self.large:
            say(
                f"{count(self.large, 'large image')} shrunk up to {self.most:.1f} times to fit the network, which "
                f"hardly sees objects of less than {SMALL_PX * self.most:.0f} px then: {closer}, in more time.",
                style="yellow",
            )


def _tell_filled(images: int, network: "Backend", *, exported: bool, most: int | None) -> None:
    """Tells that there was no room for more, and how to make some."""
    from sparseinst.config import SeedsConfig

    has = network.metadata.most_instances
    places = most if has is None or (most is not None and most < has) else has
    if isinstance(network.metadata.decoder, SeedsConfig) and exported and places != most:
        advice = "export the network again with a larger --max-instances"
    elif isinstance(network.metadata.decoder, SeedsConfig) or places == most:
        advice = "raise --max-instances"
    else:
        advice = "look at parts of the image with --tile"
    shown = "their places" if places is None else f"{places} places"
    say(f"{count(images, 'image')} filled all {shown}: there may be more objects; {advice}", style="yellow")


def _print(result: "ImageResult", nothing: str) -> None:
    """Tells what was found in one image."""
    head = f"[{result.position}/{result.total}]"
    if result.instances is None:
        say_error(f"{head} skipped: {result.error}")
        return
    name = result.name if result.page is None else f"{result.name} of {result.pages}"
    name += f" in {result.tiles} tiles" if result.tiles > 1 else ""
    number = len(result.instances)
    if not number:
        say(f"{head} {name}: {nothing}")
        return
    say(f"{head} {name}: {count(number, 'instance')}")
    print_table(*result.table())


def _close(report: "Report") -> None:
    """Tells what was done in all, where to look, and what was not read."""
    from sparseinst.inference.sources import names_of, some_of

    skipped = len(report.failures)
    found = ", ".join(f"{name} {count}" for name, count in report.per_class.items())
    parts = [
        count(report.images, "image"),
        count(report.instances, "instance") + (f" ({found})" if found else ""),
        f"{report.seconds / (report.images + skipped):.2f} s per image",
    ]
    if skipped:
        pages = sum(failure.page is not None for failure in report.failures)
        kinds = [(skipped - pages, "broken file"), (pages, "broken page")]
        parts[1:1] = [f"{count(number, noun)} skipped" for number, noun in kinds if number]
    say(", ".join(parts) + f"; look at {report.out}", style="bold")
    if report.results is not None:
        say(f"COCO file: {report.results}")
    if report.unread:
        say(f"{count(len(report.unread), 'file')} not read: {some_of(names_of(report.unread))}", style="yellow")
    if report.unread_images:
        images = some_of(names_of(report.unread_images))
        say_error(f"images in formats that are not read from a folder: {images}; convert them to TIFF or PNG")
