"""`sparseinst convert`."""

from pathlib import Path
from typing import Annotated

import typer

from sparseinst.cli.early import check_paths
from sparseinst.cli.options import output_file, parse_names
from sparseinst.cli.telling import say
from sparseinst.errors import typed


def convert(
    file: Annotated[Path, typer.Argument(metavar="PUBLISHED.pth", help="A published SparseInst checkpoint.")],
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The preset it is of (see `sparseinst models`); without it, found out."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="File to write; without it, the same name in .safetensors."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Class names in the order of the logits, where they are not those of COCO."),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Store the parameters in 16 bits, half the size.")] = False,
) -> None:
    """Bring a published checkpoint (.pth) into this package's form, with all settings inside.

    No code in the file is run. The published files work as they are, too: --model FILE.pth wherever a model is named.
    """
    from sparseinst.zoo.names import converted_file, load_preset

    check_paths(file)
    converted_file(file, out)
    if model is not None:
        load_preset(model)
    output_file("--out", out)
    from sparseinst.zoo.conversion import convert as bring

    names = parse_names(classes)
    result = bring(file, model=model, out=out, classes=names, half=half)
    config = result.model.config
    say(f"{file}: {result.name}, {result.tensors} tensors, {len(config.classes)} classes, all of them used")
    if names is None and config.classes[0] == "class 1":
        say("its classes have no names yet: give them in the order of the logits, --classes A,B,...", style="yellow")
    say(f"written: {result.out}")
    say(f"try it: sparseinst predict IMAGE --model {typed(result.out)}")
