"""`sparseinst data errors` and `annotate`: what a trained network says of a data set."""

from pathlib import Path
from typing import Annotated

import typer

from sparseinst.cli.allocator import keep_freed_memory
from sparseinst.cli.data_check import Data
from sparseinst.cli.early import check_network, check_paths, check_source
from sparseinst.cli.opening import open_model
from sparseinst.cli.options import MODEL_HELP, Batch, Device, Diameter, Scale, Score, Tile, pick_device
from sparseinst.cli.telling import console, count, print_table, say, say_found
from sparseinst.errors import InputError

Model = Annotated[str, typer.Option(metavar="NAME_OR_PATH", help=f"{MODEL_HELP}.")]
_TABLE = 20
"""Disputes that are printed."""


def errors(
    data: Data,
    model: Model,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for errors.html and errors.json.")
    ] = Path("errors"),
    part: Annotated[
        str, typer.Option("--split", metavar="train|val|test", help="Part to look at; it may be what it learnt from.")
    ] = "train",
    limit: Annotated[int, typer.Option(min=1, help="Pictures on the page.")] = 100,
    device: Device = "auto",
    batch: Batch = 1,
    workers: Annotated[int, typer.Option(min=0, help="Threads that read images.")] = 2,
    tile: Tile = None,
    scale: Scale = None,
    diameter: Diameter = None,
) -> None:
    """List the annotations that a trained network disputes, worst first.

    Objects missed by the annotator, wrong classes, bad outlines, and annotations of nothing, each kind in turn.

    The network may have been trained on the same annotations: it does not learn a few mistakes among many right ones.
    """
    from sparseinst.inference.options import PipelineOptions

    options = PipelineOptions(device=device, batch=batch, tile=tile, scale=scale, diameter=diameter)
    check_paths(data)
    check_network(model, **options)
    from sparseinst.data.formats.resolving import resolve_data

    source = resolve_data(data)
    split = source.part(part)
    chosen = _device(device)
    say_found(source)
    from sparseinst.inference.pipeline import Pipeline
    from sparseinst.review.errors import WORDS, find_errors, write_errors

    network = open_model(model, weights=None, random_weights=False, device=device, half=False)
    pipeline = Pipeline(network, score=0.0, **options)
    with console(stderr=True).status(f"looking at the images on {chosen} ..."):
        found = find_errors(pipeline, split, workers=workers)
    rows = [
        (str(item["rank"]), WORDS[item["kind"]], item["class"] or "-", item["seen"] or "-", f"{item['score']:.2f}",
         f"{item['iou']:.2f}", item["image"])
        for item in found.records()[:_TABLE]
    ]  # fmt: skip
    print_table(("", "what", "annotated", "seen", "score", "IoU", "image"), rows)
    counts = ", ".join(f"{sum(d.kind == kind for d in found.disputes)} {words}" for kind, words in WORDS.items())
    say(f"{count(len(found.truth['annotations']), 'annotation')}; disputed, from most to least suspicious: {counts}")
    say(f"page: {write_errors(out, found, limit=limit)}, all of them in {out / 'errors.json'}")


def annotate(
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="Folder of images (or a pattern).")],
    model: Model,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE.json|DIR", help="COCO file; a folder for LabelMe and YOLO."),
    ],
    to: Annotated[
        str | None,
        typer.Option(metavar="coco|labelme|yolo", help="Format; without it COCO for a .json, LabelMe for a folder."),
    ] = None,
    score: Score = None,
    device: Device = "auto",
    batch: Batch = 1,
    tile: Tile = None,
    scale: Scale = None,
    diameter: Diameter = None,
) -> None:
    """Propose annotations for images, to correct by hand and train on."""
    from sparseinst.inference.options import PipelineOptions

    options = PipelineOptions(device=device, batch=batch, tile=tile, scale=scale, diameter=diameter)
    check_network(model, score=score, **options)
    check_source(str(images))
    from sparseinst.data.formats.writing import CORRECTABLE

    wanted = to or ("coco" if out.suffix.lower() == ".json" else "labelme")
    form = next((name for name in CORRECTABLE if name == wanted), None)
    if form is None:
        raise InputError(f"--to {to}: expected one of {', '.join(CORRECTABLE)}: name one of them")
    chosen = _device(device)
    from sparseinst.inference.pipeline import Pipeline
    from sparseinst.review.annotate import propose, write_proposals

    network = open_model(model, weights=None, random_weights=False, device=device, half=False)
    pipeline = Pipeline(network, score=score, **options)
    with console(stderr=True).status(f"looking at the images on {chosen} ..."):
        root, content = propose(pipeline, images)
    write_proposals(root, content, out, form)
    say(f"{count(len(content['images']), 'image')}, {count(len(content['annotations']), 'object')} proposed")
    say(f"written: {out} ({form})")


def _device(name: str) -> str:
    chosen = pick_device(name)
    if chosen == "cpu":
        keep_freed_memory()
    return chosen
