"""An image of any kind, in a file or in memory, to 8-bit RGB.

The intensity policy brings 16-bit, 32-bit and floating values to 8 bits (all channels of an image share one mapping,
so that colours keep their ratios); 8-bit images are never touched.
"""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.intensity import Bounds, bounds_of, stretch
from sparseinst.data.picture_files import open_image
from sparseinst.data.pixels import array_of, decoding, pixels_of
from sparseinst.errors import InputError


def read_image(
    source: str | Path | bytes, intensity: IntensityConfig, *, formats: tuple[str, ...] | None = None, shrink: int = 1
) -> NDArray[np.uint8]:
    """Reads an image file (kinds: `picture_files.FORMATS`); of several pages or frames the first.

    Args:
        source: the file, or its content. Alpha is dropped, EXIF orientation applied, a palette resolved.
        intensity: what to do with values of more than 8 bits.
        formats: the only ones to take, by Pillow's names; None takes all of these.
        shrink: decode a JPEG to so much smaller a size: 1, 2, 4 or 8, where that divides its sides; others stay whole.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: the file is absent, is no image, is damaged, or is too large to be honest.
    """
    name = "image" if isinstance(source, bytes) else str(source)
    file = io.BytesIO(source) if isinstance(source, bytes) else Path(source)
    with decoding(name), open_image(file, formats=formats) as image:
        if shrink > 1 and image.width % shrink == 0 == image.height % shrink:
            image.draft(None, (image.width // shrink, image.height // shrink))  # does nothing but to a JPEG
        return to_rgb8(pixels_of(image, file), intensity)


def to_rgb8(
    image: NDArray[np.generic] | Image.Image, intensity: IntensityConfig, *, bounds: Bounds | None = None
) -> NDArray[np.uint8]:
    """Brings an image in memory to 8-bit RGB.

    Args:
        image: a Pillow image of any mode (its EXIF orientation is applied), or an array (H, W), (H, W, 1), (H, W, 3)
            RGB or (H, W, 4) RGBA of bool, an integer or a floating type; alpha is dropped.
        intensity: what to do with values of more than 8 bits.
        bounds: what that came to for the image that this is a part of; None finds it in the image itself.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: the array has another shape or type, or no pixels.
    """
    array = array_of(image) if isinstance(image, Image.Image) else np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise InputError(
            f"expected an image (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got shape {array.shape}: "
            "give one image, channels last"
        )
    array = array[:, :, :3]
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype != np.uint8:
        array = stretch(array, bounds_of(array, intensity) if bounds is None else bounds)
    if array.shape[2] == 1:
        return np.repeat(array, 3, axis=2)
    return np.require(array, np.uint8, ["C", "W"])  # torch wants to own what it can write to
