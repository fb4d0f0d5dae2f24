"""Bytes of a client to pixels: size and kind are known from the header before anything is decoded."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sparseinst.config import IntensityConfig
from sparseinst.data.images import read_image
from sparseinst.data.pixels import UNREADABLE
from sparseinst.errors import InputError
from sparseinst.serving.errors import ApiError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
"""Kinds of files that are taken, by Pillow's names."""


def decode(content: bytes, intensity: IntensityConfig, *, max_pixels: int) -> NDArray[np.uint8]:
    """An image as `data.preprocess.read_image` reads it.

    Args:
        content: the file.
        intensity: what to do with values of more than 8 bits.
        max_pixels: most pixels of an image.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ApiError: 413 for too many pixels, 422 for what cannot be decoded.
    """
    width, height = _size_wh(content)
    if width * height > max_pixels:
        raise ApiError(
            413,
            "image_too_large",
            f"expected at most {max_pixels:,} pixels, got {width} x {height}: send a smaller image or parts of it",
        )
    try:
        return read_image(content, intensity, formats=FORMATS)
    except InputError as error:
        raise ApiError(422, "undecodable", str(error)) from error


def _size_wh(content: bytes) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return image.size
    except UnidentifiedImageError as error:
        kinds = ", ".join(FORMATS)
        message = f"expected an image ({kinds}), got {len(content):,} bytes of something else: convert it first"
        raise ApiError(422, "undecodable", message) from error
    except Image.DecompressionBombError as error:
        raise ApiError(413, "image_too_large", f"{error}: send a smaller image") from error
    except UNREADABLE as error:
        message = f"expected a whole image file, could not decode it ({error}): send another"
        raise ApiError(422, "undecodable", message) from error
