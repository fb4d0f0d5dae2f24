"""Image files of several channels (stains, spectral bands), whatever axis holds them."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.config.preprocess import MOST_IMAGE_CHANNELS, RGB
from sparseinst.data.large.ome_zarr import is_zarr
from sparseinst.data.large.segments import check_segments
from sparseinst.data.large.tiff import is_tiff
from sparseinst.data.physical import PixelSize, channels_of_ome, size_of_tiff
from sparseinst.data.picture_files import check_bytes, check_image, open_image
from sparseinst.data.pixels import decoding
from sparseinst.data.sources import ARRAY_SUFFIX
from sparseinst.data.stacks.ome_zarr import open_zarr_stack
from sparseinst.data.stacks.stack import Place, Stack
from sparseinst.data.stacks.tiff import loader_of, opened_tiff
from sparseinst.errors import InputError
from sparseinst.files import is_file

if TYPE_CHECKING:
    from tifffile import TiffPageSeries

_FEW = range(2, MOST_IMAGE_CHANNELS + 1)
"""How many unexplained pages may be channels."""
_BANDS = {"LA": 2, "La": 2, "RGBA": 4, "RGBa": 4, "RGBX": 4, "CMYK": 4}
"""Modes of Pillow that have as many channels."""
_COLOURS = (2, 5, 6, 8)
"""Photometric interpretations of a TIFF page whose first three samples are colours."""
_ALPHA = (1, 2)
"""What TIFF says of a further sample that is opacity."""


@contextmanager
def open_channels(path: Path, channels: int) -> Iterator[Stack]:
    """Opens an image file with all its channels: TIFF of any kind, zarr folders, NumPy arrays, pictures with alpha.

    Args:
        path: the file.
        channels: how many there should be: pages of a TIFF file that does not say what they are, and axes of an array,
            are channels where there are as many.

    Raises:
        InputError: the file is absent, damaged or no image, or has another number of channels.
    """
    with ExitStack() as opened:
        stack = _opened(path, range(channels, channels + 1), opened)
        if len(stack.channels) != channels:
            raise InputError(
                f"{path}: expected the {channels} channels that the network takes (preprocess.channels), got "
                f"{len(stack.channels)}: give images with as many, or train a network for these"
            )
        yield stack


def channels_in(path: Path, *, pages: bool = False) -> tuple[str, ...] | None:
    """The channels of an image file, by its header; None of a picture in grey or in colours.

    Args:
        path: the file.
        pages: whether 2 to 16 pages of a TIFF file that does not say what they are count as channels.

    Raises:
        InputError: the file is absent, damaged or no image.
    """
    if path.suffix.lower() != ARRAY_SUFFIX and not is_zarr(path) and not (is_file(path) and is_tiff(path)):
        return None
    with ExitStack() as opened:
        stack = _opened(path, _FEW if pages else range(0), opened)
        return None if stack.colours or len(stack.channels) == 1 else stack.channels


def size_of_channels(path: Path) -> tuple[int, int] | None:
    """Height and width of a file that only `open_channels` reads; None of one that Pillow does.

    Raises:
        InputError: the file is damaged or no image.
    """
    if channels_in(path, pages=True) is None and path.suffix.lower() != ARRAY_SUFFIX and not is_zarr(path):
        return None
    with ExitStack() as opened:
        stack = _opened(path, _FEW, opened)
        height, width = stack.values(Place(), 0).shape
        return height, width


def load_array(path: Path) -> NDArray[Any]:
    """The array of a .npy file; one that would run code to be opened is refused."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise InputError(
            f"expected an array of numbers, got another file ({error}): save the image with numpy.save"
        ) from error
    return array


def _opened(path: Path, few: range, opened: ExitStack) -> Stack:
    """Opens a file; where it does not say which axis its channels are on, that which has so many."""
    if is_zarr(path):
        return open_zarr_stack(path)
    with decoding(str(path)):
        if path.suffix.lower() == ARRAY_SUFFIX:
            return _of_array(path, load_array(path), few)
        if is_file(path) and is_tiff(path):
            return _of_tiff(path, few, opened)
        image = opened.enter_context(open_image(path))
        check_image(image)
        bands = _BANDS.get(image.mode, RGB)
        return _of_values(path, np.asarray(image if bands in few else image.convert("RGB")), colours=bands not in few)


def _of_array(path: Path, array: NDArray[Any], few: range, pixel: PixelSize | None = None) -> Stack:
    """(H, W), (H, W, channels) or (channels, H, W)."""
    if array.ndim == 2:
        return _of_values(path, array[:, :, None])
    few = few or range(1, MOST_IMAGE_CHANNELS + 1)
    axis = next((axis for axis in (2, 0) if array.ndim == 3 and array.shape[axis] in few), None)
    if axis is None:
        many = f"{few[0]}" if len(few) == 1 else f"up to {few[-1]}"
        raise InputError(
            f"expected an array (height, width, channels) or (channels, height, width) of {many} channels, got shape "
            f"{array.shape}: save one image"
        )
    return _of_values(path, np.moveaxis(array, axis, 2), pixel=pixel, colours=axis == 2 and array.shape[axis] == RGB)


def _of_values(path: Path, values: NDArray[Any], *, pixel: PixelSize | None = None, colours: bool = False) -> Stack:
    """(H, W, channels)."""
    names = tuple(map(str, range(values.shape[2])))
    return Stack(path, 1, 1, names, colours, pixel, lambda time, plane, channel: values[:, :, channel])


def _of_tiff(path: Path, few: range, opened: ExitStack) -> Stack:
    file = opened_tiff(path, opened)
    series, pixel = file.series[0], size_of_tiff(file)
    axes = _axes(series, few)
    if axes is None:
        check_bytes(math.prod(series.shape), 2 * series.nbytes, " x ".join(map(str, series.shape)))
        for page in series.pages:
            if page is not None:
                check_segments(page.aspage())
        return _of_array(path, series.asarray(), few, pixel)
    sizes = dict(zip(axes, series.shape, strict=True))
    channels = sorted((sizes.get("C", 1), sizes.get("S", 1)))
    if len(sizes) != len(axes) or not {"Y", "X"} <= set(sizes) <= set("TZCYXS") or channels[0] > 1:
        raise InputError(
            f"expected axes Y and X with channels (C or S), and T and Z at most, got {series.axes} {series.shape}: "
            "save one image, or name the axes as OME-TIFF does"
        )
    names = channels_of_ome(file.ome_metadata) if file.ome_metadata else []
    if len(names) != channels[1]:
        names = [""] * channels[1]
    named = tuple(name or str(number) for number, name in enumerate(names))
    load, _ = loader_of(series, axes)
    return Stack(path, sizes.get("T", 1), sizes.get("Z", 1), named, _in_colours(series), pixel, load)


def _axes(series: "TiffPageSeries", few: range) -> str | None:
    """The axes, with C where pages that the file does not explain are channels; None where its last axis is."""
    axes, shape = str(series.axes), series.shape
    unknown = [place for place, axis in enumerate(axes) if axis in "QI" or (axis == "Z" and len(few) == 1)]
    if len(unknown) != 1 or {"C", "S"} & set(axes):
        return axes.replace("Q", "Z").replace("I", "Z")
    place = unknown[0]
    if shape[place] not in few and place == 0 and len(shape) == 3 and shape[2] in few:
        return None
    return f"{axes[:place]}{'C' if shape[place] in few else 'Z'}{axes[place + 1 :]}"


def _in_colours(series: "TiffPageSeries") -> bool:
    """Whether the samples of a page are red, green and blue, with opacity at most."""
    page = series.keyframe
    if int(page.photometric) == 3:  # a palette
        return True
    more = page.samplesperpixel - RGB
    return (
        int(page.photometric) in _COLOURS and more in (0, 1) and all(int(e) in _ALPHA for e in page.extrasamples[:more])
    )
