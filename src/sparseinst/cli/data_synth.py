"""`sparseinst data synth`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from sparseinst.cli.early import check_paths
from sparseinst.cli.options import parse_names, parse_size
from sparseinst.cli.telling import say
from sparseinst.errors import InputError, misfit


def synth(
    cutouts: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Objects with alpha: CATEGORY/FILE.png or .webp, at least two of each category."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to make.")],
    count: Annotated[int, typer.Option(min=1, help="Training scenes.")] = 1000,
    val_count: Annotated[
        int | None, typer.Option(min=1, help="Validation scenes; without it, a fifth of the training scenes.")
    ] = None,
    size: Annotated[str, typer.Option(metavar="HxW", help="Size of the scenes.")] = "320x320",
    objects: Annotated[str, typer.Option(metavar="LOW-HIGH", help="Objects placed in a scene.")] = "1-10",
    classes: Annotated[str | None, typer.Option(metavar="A,B", help="The categories to take; without it, all.")] = None,
    backgrounds: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Photographs to paste over; without it, colours and textures are made up."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides everything, whatever the number of workers.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes (0 for this one); without it, one for each core.")
    ] = None,
) -> None:
    """Make a data set with exact masks: cut-out objects pasted over backgrounds.

    The objects are split, too: a quarter of each category is seen in validation scenes only.
    """
    check_paths(cutouts, backgrounds)
    from pydantic import ValidationError

    from sparseinst.data.synthetic import synthesise
    from sparseinst.data.synthetic_scene import SceneConfig

    try:
        scene = SceneConfig(size_hw=parse_size(size), objects=_range(objects))
    except ValidationError as error:
        raise InputError(f"--size {size}, --objects {objects}: {misfit(error)}") from error
    made = synthesise(
        cutouts,
        out,
        count=count,
        val_count=max(1, count // 5) if val_count is None else val_count,
        scene=scene,
        classes=parse_names(classes),
        backgrounds=backgrounds,
        seed=seed,
        workers=os.cpu_count() or 1 if workers is None else workers,
    )
    for name, images in made.images.items():
        say(f"{name}: {images} images, {made.instances[name]} instances of {made.objects[name]} objects")
    say(f"{len(made.classes)} classes: {', '.join(made.classes)}")
    say(f"written: {out}")


def _range(text: str) -> tuple[int, int]:
    """Lowest and highest number from "1-10".

    Raises:
        InputError: the text has another form.
    """
    low, dash, high = text.partition("-")
    if not dash or not low.isdecimal() or not high.isdecimal():
        raise InputError(f"--objects {text!r}: expected the fewest and the most, as in 1-10")
    return int(low), int(high)
