"""Options that several commands have, and what is made of their texts."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from sparseinst.disk import check_room
from sparseinst.errors import InputError

_SETTING = "setting:"
"""Start of a help text that stands for the description of a setting."""

Device = Annotated[str, typer.Option(help="auto (cuda where there is one, else cpu), cpu, cuda, cuda:1, mps.")]
Batch = Annotated[int, typer.Option(min=1, help="Images at once.")]
Score = Annotated[float | None, typer.Option(min=0, max=1, help="Lowest score to keep; without it, the model's own.")]
Half = Annotated[bool, typer.Option("--half", help="Compute in 16 bits (faster on a GPU).")]
Tile = Annotated[
    int | None,
    typer.Option(
        metavar="PX",
        help="Cut larger images into tiles of this side, for many or small objects; without it, a network at native "
        "scale cuts what is too large for one pass.",
    ),
]
NoTile = Annotated[bool, typer.Option("--no-tile", help="See every image in one pass, however large it is.")]
Overlap = Annotated[
    int | None,
    typer.Option(metavar="PX", help="Pixels that neighbouring tiles share; without it, a quarter of a tile."),
]
Scale = Annotated[
    float | None,
    typer.Option(metavar="FLOAT", help="Network pixels for each pixel of the image; networks at native scale only."),
]
Diameter = Annotated[
    float | None,
    typer.Option(
        metavar="PX", help="Or that of most objects in pixels of the image: they then look as large as in training."
    ),
]
DiameterOrAuto = Annotated[
    str | None,
    typer.Option(
        "--diameter",
        metavar="PX|auto",
        help="Or that of most objects in pixels of the image: they then look as large as in training. auto "
        "estimates it in a first pass over each image.",
    ),
]
MaxInstances = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Most instances in an image, more or fewer than the network's settings say; of "
        "networks with slots and exported files fewer only.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Weights of a model given by name: a .safetensors, or a published .pth."),
]
RandomWeights = Annotated[
    bool, typer.Option("--random-weights", help="Take fresh weights, for tests and benchmarks of a preset without any.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors alone.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print a line for each image, too.")]
MODEL_HELP = (
    "A preset (see `sparseinst models`), a .safetensors file, a published .pth, an exported file, or hf:owner/name"
)


class SettingsCommand(TyperCommand):
    """A command that describes its options by the settings they change, which are read only when help is asked for."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help page."""
        for parameter in self.params:
            text = getattr(parameter, "help", None) or ""
            if text.startswith(_SETTING):
                parameter.help = _description(text.removeprefix(_SETTING))  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


def setting(name: str, *, metavar: str | None = None) -> Any:
    """An option for a setting ("recipe.optim.lr"), with its description as the help text."""
    return typer.Option(help=f"{_SETTING}{name}", metavar=metavar)


def chosen_tile(tile: int | None, no_tile: bool) -> int | None:
    """What `Predictor` takes for --tile and --no-tile.

    Raises:
        InputError: both are given.
    """
    if not no_tile:
        return tile
    if tile is not None:
        raise InputError(f"expected --tile {tile} or --no-tile, got both: leave one out")
    return 0


def parse_names(text: str | None) -> list[str] | None:
    """Names with commas between them, as a list; None of None.

    Example:
        >>> parse_names("cell, debris")
        ['cell', 'debris']
    """
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def parse_diameter(text: str | None) -> float | Literal["auto"] | None:
    """What `Predictor` takes for --diameter.

    Raises:
        InputError: neither a number nor auto.
    """
    if text is None:
        return None
    if text.lower() == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"--diameter {text}: expected pixels or auto: give one of them") from error


def pick_device(name: str) -> str:
    """The device of this name; "auto" is cuda where there is one, else cpu.

    Raises:
        InputError: there is no such device.
    """
    from sparseinst.runtime.devices import resolve_device

    return str(resolve_device(name))


def output_file(option: str, path: Path | None, *, page: bool = False) -> None:
    """Makes the folder of a file that will be written, so that hours of work do not end in a wrong path.

    Args:
        option: what gave it.
        path: the file; None is none.
        page: whether it will be a page for a browser.

    Raises:
        InputError: the path is a folder, its folder cannot be made or written to, or a page has another name than one.
    """
    if path is None:
        return
    if page and path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{option} {path}: expected a name that ends in .html, for it is a page: rename it")
    if path.is_dir():
        raise InputError(f"{option} {path}: expected a file to write, got a folder: add a file name")
    check_room(path.parent, option=option)


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from "1080x1920".

    Raises:
        InputError: the text has another form.
    """
    height, cross, width = text.lower().partition("x")
    if not cross or not height.isdecimal() or not width.isdecimal() or not int(height) * int(width):
        raise InputError(f"size {text!r}: expected height x width in pixels, as in 1080x1920")
    return int(height), int(width)


def _description(name: str) -> str:
    """Description of a setting, as a sentence."""
    from sparseinst.config.base import kinds_of
    from sparseinst.recipe import Preset

    field: Any = None
    kinds: tuple[Any, ...] = (Preset,)
    for part in name.split("."):
        field = next(kind.model_fields[part] for kind in kinds if part in kind.model_fields)
        kinds = kinds_of(field.annotation)
    text: str = field.description
    return f"{text[0].upper()}{text[1:]}."
