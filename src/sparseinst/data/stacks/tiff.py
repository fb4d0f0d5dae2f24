"""TIFF files that say what their pages are: OME-TIFF, and what ImageJ, Fiji and tifffile write."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.large.segments import check_segments
from sparseinst.data.large.tiff import is_tiff
from sparseinst.data.physical import PixelSize, channels_of_ome, size_of_tiff
from sparseinst.data.picture_files import check_bytes
from sparseinst.data.stacks.stack import COLOURS, Load, Stack, channel_names
from sparseinst.errors import InputError, raised
from sparseinst.files import is_file

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

_AXES = "TZCYXS"
_SAMPLES = (3, 4)
"""Of a picture in colours, with or without alpha."""


def open_tiff_stack(path: Path, opened: ExitStack) -> Stack | None:
    """Opens a TIFF file by its axes; None where it does not say what they are, or is none.

    Raises:
        InputError: the file is damaged, or has axes that no image of cells has.
    """
    if not is_file(path) or not is_tiff(path):
        return None
    try:
        file = opened_tiff(path, opened)
        if not (file.is_ome or file.is_imagej or file.is_shaped):
            return None
        series = file.series[0]
        return _stack(path, file, series)
    except InputError:
        raise
    except Exception as error:  # whatever a damaged header leads to
        raise InputError(
            f"{path}: expected a whole TIFF file, could not open it ({raised(error)}): replace it"
        ) from error


def opened_tiff(path: Path, opened: ExitStack) -> "TiffFile":
    """A TIFF file whose pages are known: counting them notices a damaged chain that leads back to a page before."""
    from tifffile import TiffFile

    file = opened.enter_context(TiffFile(path))
    len(file.pages)
    return file


def plain_tiff_size(path: Path) -> PixelSize | None:
    """How large a pixel is by the resolution tags of a TIFF file."""
    from tifffile import TiffFile

    with TiffFile(path) as file:
        return size_of_tiff(file)


def _stack(path: Path, file: "TiffFile", series: "TiffPageSeries") -> Stack:
    axes = _known(series)
    sizes = dict(zip(axes, series.shape, strict=True))
    if len(sizes) != len(axes) or not set(axes) <= set(_AXES) or not {"Y", "X"} <= set(axes):
        raise InputError(
            f"{path}: expected axes Y and X, with T, Z, C and S (colours) at most, got {series.axes}: save one image, "
            "or name the axes as OME-TIFF does"
        )
    samples = sizes.get("S", 1)
    if samples > 1 and sizes.get("C", 1) > 1:
        raise InputError(f"{path}: expected channels or colours, got both ({series.axes} {series.shape}): split them")
    colours = samples in _SAMPLES
    count = min(samples, len(COLOURS)) if colours else sizes.get("C", samples)
    names = channels_of_ome(file.ome_metadata) if file.ome_metadata else []
    channels = COLOURS if colours else channel_names(path, names, count)
    load, page_of = loader_of(series, axes)
    return Stack(path, sizes.get("T", 1), sizes.get("Z", 1), channels, colours, size_of_tiff(file), load, page_of)


def _known(series: "TiffPageSeries") -> str:
    """The axes, the one that a file leaves open (Q or I: a sequence of images) as planes."""
    axes = str(series.axes)
    unknown = [axis for axis in axes if axis in "QI"]
    return axes.replace(unknown[0], "Z") if len(unknown) == 1 and "Z" not in axes else axes


def loader_of(series: "TiffPageSeries", axes: str) -> tuple[Load, Callable[[int, int, int], int] | None]:
    """What gives the values of a channel, and where pages are planes of one channel the number of its page.

    Only the page at hand is decoded and held, for channels within a page are asked for one after the other.
    """
    sizes = dict(zip(axes, series.shape, strict=True))
    inside = _axes_of_page(series, axes)
    leading = axes[: len(axes) - len(inside)]
    shape = [sizes[axis] for axis in leading]
    if len(series.pages) != math.prod(shape):
        whole = series.asarray(out="memmap")  # one page that stands for all: a temporary file
        return lambda *at: np.asarray(whole[_index(axes, at)]), None
    held: dict[int, NDArray[Any]] = {}

    def number_of(*at: int) -> int:
        return int(np.ravel_multi_index([_at(at)[axis] for axis in leading], shape)) if leading else 0

    def page(number: int) -> Any:
        found = series.pages[number]
        if found is None:
            raise OSError(f"page {number} is not in the file")
        return found

    def load(*at: int) -> NDArray[Any]:
        number = number_of(*at)
        if number not in held:
            held.clear()
            one = page(number)
            check_segments(one)
            check_bytes(math.prod(one.shape), 2 * one.keyframe.nbytes, " x ".join(map(str, one.shape)))
            held[number] = np.asarray(one.asarray()).reshape([sizes[axis] for axis in inside])
        return np.asarray(held[number][_index(inside, at)])

    return load, (lambda *at: int(page(number_of(*at)).index)) if inside in ("YX", "YXS") else None


def _at(at: tuple[int, ...]) -> dict[str, int]:
    """Time point, plane and channel by their axes."""
    return {"T": at[0], "Z": at[1], "C": at[2], "S": at[2]}


def _index(axes: str, at: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(_at(at).get(axis, slice(None)) for axis in axes)


def _axes_of_page(series: "TiffPageSeries", axes: str) -> str:
    """Those of the last axes that one page holds."""
    size = math.prod(series.keyframe.shape)
    for first in range(len(axes)):
        if math.prod(series.shape[first:]) == size:
            return axes[first:]
    return axes
