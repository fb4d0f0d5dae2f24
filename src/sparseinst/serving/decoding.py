"""Bytes of a client to pixels: size and kind are known from the header before anything is decoded."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import read_image
from sparseinst.data.picture_files import open_image, reading_bytes
from sparseinst.data.pixels import UNREADABLE
from sparseinst.errors import InputError, brief
from sparseinst.serving.errors import ApiError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
"""Kinds of files that are taken, by Pillow's names."""


def decoding_bytes(content: bytes, *, max_pixels: int) -> int:
    """Memory that decoding an image takes at most, by its header alone.

    Args:
        content: the file.
        max_pixels: most pixels of an image.

    Raises:
        ApiError: 413 for too many pixels, 422 for what is no image.
    """
    try:
        with open_image(io.BytesIO(content), formats=FORMATS) as image:
            (width, height), needed = image.size, reading_bytes(image)
    except UnidentifiedImageError as error:
        kinds = ", ".join(FORMATS)
        message = f"expected an image ({kinds}), got {len(content):,} bytes of something else: convert it first"
        raise ApiError(422, "undecodable", message) from error
    except Image.DecompressionBombError as error:
        raise ApiError(413, "image_too_large", f"{error}: send a smaller image") from error
    except UNREADABLE as error:
        reason = brief(error, most=200)
        message = f"expected a whole image file, could not decode it ({reason}): send another"
        raise ApiError(422, "undecodable", message) from error
    if width * height > max_pixels:
        text = f"expected at most {max_pixels:,} pixels, got {width} x {height}: send a smaller image or parts of it"
        raise ApiError(413, "image_too_large", text)
    return needed


def decode(content: bytes, intensity: IntensityConfig) -> NDArray[np.uint8]:
    """An image as `data.images.read_image` reads it.

    Args:
        content: the file, whose size has been looked at (`decoding_bytes`).
        intensity: what to do with values of more than 8 bits.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ApiError: 422 for what cannot be decoded.
    """
    try:
        return read_image(content, intensity, formats=FORMATS)
    except InputError as error:
        raise ApiError(422, "undecodable", str(error)) from error
