"""Opens the files of makers of microscopes: CZI (Zeiss), LIF (Leica) and ND2 (Nikon)."""

from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from sparseinst.data.stacks.makers.czi import open_czi
from sparseinst.data.stacks.makers.lif import open_lif
from sparseinst.data.stacks.makers.nd2 import open_nd2
from sparseinst.data.stacks.stack import Stack
from sparseinst.errors import InputError
from sparseinst.files import is_file
from sparseinst.parsing import readable

_READERS: dict[str, tuple[str, Callable[[Any, Path, str | None, ExitStack], Stack]]] = {
    ".czi": ("czifile", open_czi),
    ".lif": ("liffile", open_lif),
    ".nd2": ("nd2", open_nd2),
}
"""Suffix -> the package that reads such files, and what opens them by it."""
MAKER_SUFFIXES = frozenset(_READERS)
"""In lower case."""


def open_maker_stack(path: Path, series: str | None, opened: ExitStack) -> Stack:
    """Opens a file of a maker of microscopes by its axes; planes are read when they are asked for.

    Args:
        path: the file, of one of `MAKER_SUFFIXES`.
        series: name or number (from 0) of the image in it (scene of CZI, position of ND2); None takes the only one.
        opened: closes the file.

    Raises:
        InputError: the package that reads it is missing, the file is absent or damaged, it holds several images and
            none was chosen, or has axes that no image of cells has.
    """
    package, opening = _READERS[path.suffix.lower()]
    if not is_file(path):
        raise InputError(f"{path}: expected an image file, found none: check the path")
    try:
        reader = import_module(package)
    except ImportError as error:
        raise InputError(
            f"{path}: expected the package {package} to read this format ({error}): pip install "
            "'sparseinst[microscopes]', or save it as OME-TIFF (Fiji: File, Save As, OME-TIFF)"
        ) from error
    with readable(path, expected=f"a whole {path.suffix} file", hint="save it again, or as OME-TIFF"):
        return opening(reader, path, series, opened)
