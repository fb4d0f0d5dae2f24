"""Images as a network takes them: in red, green and blue, or with as many channels as it was trained on.

Values of more than 8 bits are brought to 8 by the intensity policy: colours of an image by one mapping, other channels
each by its own, for stains and spectral bands are of different brightness. 8-bit values are never touched.
"""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparseinst.config.preprocess import RGB, IntensityConfig, PreprocessConfig
from sparseinst.data.images import read_image, to_rgb8
from sparseinst.data.intensity import bounds_of, stretch
from sparseinst.data.pages import Page
from sparseinst.data.picture_files import check_bytes
from sparseinst.data.pixels import decoding
from sparseinst.data.sources import ARRAY_SUFFIX
from sparseinst.data.stacks.channels import channels_in, load_array, open_channels
from sparseinst.data.stacks.pages import PlacedPage, pages_of, refused
from sparseinst.data.stacks.stack import Place, Stack, View
from sparseinst.errors import InputError, listed

_ADVICE = {RGB: "save the three as one picture in red, green and blue"}
_OTHERWISE = "train a network for these (--set preprocess.channels={}), or save the channel to look at as an image"
_PICTURES = {2: (0, 1, 0)}
"""Which channels are shown as red, green and blue; of more than three the first three."""


def read_pixels(source: str | Path | bytes, preprocess: PreprocessConfig, *, shrink: int = 1) -> NDArray[np.uint8]:
    """Reads an image for a network.

    Args:
        source: a file, or the content of one in colours.
        preprocess: of the network.
        shrink: decode a JPEG to so much smaller a size (see `read_image`).

    Returns:
        (H, W, channels) uint8.

    Raises:
        InputError: the file is absent, damaged or no image, or has another number of channels.
    """
    return _pixels(source, preprocess.channels, preprocess.intensity, shrink)


def to_pixels(image: NDArray[np.generic] | Image.Image, preprocess: PreprocessConfig) -> NDArray[np.uint8]:
    """Brings an image in memory to (H, W, channels) uint8.

    Args:
        image: for RGB see `to_rgb8`; else an array (H, W, channels), or a picture with as many.
        preprocess: of the network.

    Raises:
        InputError: it has another shape or type, or no pixels.
    """
    if preprocess.channels == RGB:
        return to_rgb8(image, preprocess.intensity)
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != preprocess.channels or 0 in array.shape:
        raise InputError(
            f"expected an image (H, W, {preprocess.channels}), as many channels as the network takes "
            f"(preprocess.channels), got shape {array.shape}: give one image, channels last"
        )
    return _to_8_bits(array, preprocess.intensity)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 to be looked at, of an image file with any number of channels (see `shown`).

    Raises:
        InputError: the file cannot be read.
    """
    channels = channels_in(path, pages=True)
    return shown(_pixels(path, RGB if channels is None else len(channels), IntensityConfig()))


def read_all_channels(path: Path, preprocess: PreprocessConfig) -> Iterator[PlacedPage]:
    """The pictures of a file with all their channels: of each plane of each time point one, of an array the only one.

    Returns:
        At least one: that of a file which cannot be read, or has other channels, raises when it is read.
    """
    if preprocess.channels == RGB:
        yield PlacedPage(Page(None, 1, partial(_rgb, path, preprocess.intensity)), None, None)
        return
    try:
        with open_channels(path, preprocess.channels) as stack:
            yield from pages_of(stack, View(), partial(_all_of, stack, preprocess.intensity))
    except InputError as error:
        yield refused(error)


def shown(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) to be looked at of (H, W, channels): see `shown_as`."""
    if pixels.shape[2] == RGB:
        return pixels
    return np.ascontiguousarray(pixels[:, :, list(_PICTURES.get(pixels.shape[2], (0, 1, 2)))])


def shown_as(channels: int) -> str | None:
    """Which channels pictures show, in words; None where they show all as they are.

    >>> shown_as(5)
    'channels 0, 1 and 2 of 5 as red, green and blue'
    """
    if channels == RGB:
        return None
    if channels in _PICTURES:
        return "channel 0 in magenta and channel 1 in green"
    return f"channels 0, 1 and 2 of {channels} as red, green and blue"


def _pixels(
    source: str | Path | bytes, channels: int, intensity: IntensityConfig, shrink: int = 1
) -> NDArray[np.uint8]:
    if channels == RGB:
        return _rgb(source, intensity, shrink)
    if isinstance(source, bytes):
        raise InputError(f"expected a file with {channels} channels, got its content: name the file")
    with open_channels(Path(source), channels) as stack:
        if stack.times * stack.depth > 1:
            raise InputError(
                f"{source}: expected one picture of {channels} channels, got {stack.times} time points and "
                f"{stack.depth} planes: save each as an image"
            )
        return _all_of(stack, intensity, Place(), str(source))


def _rgb(source: str | Path | bytes, intensity: IntensityConfig, shrink: int = 1) -> NDArray[np.uint8]:
    if isinstance(source, bytes):
        return read_image(source, intensity, shrink=shrink)
    path = Path(source)
    found = channels_in(path)
    if found is not None:
        raise InputError(
            f"{path}: expected an image in grey or in colours, which is what the network takes, got {len(found)} "
            f"channels ({listed(found)}): {_ADVICE.get(len(found), _OTHERWISE).format(len(found))}"
        )
    if path.suffix.lower() == ARRAY_SUFFIX:
        with decoding(str(path)):
            array = load_array(path)
            check_bytes(math.prod(array.shape[:2]), 2 * array.nbytes, " x ".join(map(str, array.shape)))
            return to_rgb8(array, intensity)
    return read_image(path, intensity, shrink=shrink)


def _all_of(stack: Stack, intensity: IntensityConfig, place: Place, name: str) -> NDArray[np.uint8]:
    with decoding(name):
        plane = stack.values(place, 0)
        check_bytes(plane.size, 2 * plane.nbytes * len(stack.channels), f"{plane.shape[1]} x {plane.shape[0]}")
        del plane
        values = stack.all_values(place)
        return _to_8_bits(np.moveaxis(values, 0, 2), intensity)


def _to_8_bits(values: NDArray[np.generic], intensity: IntensityConfig) -> NDArray[np.uint8]:
    """(H, W, channels), each channel by a mapping of its own."""
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype == np.uint8:
        return np.require(values, np.uint8, ["C", "W"])  # torch wants to own what it can write to
    channels = [stretch(part, bounds_of(part, intensity)) for part in np.moveaxis(values, 2, 0)]
    return np.stack(channels, axis=2)
