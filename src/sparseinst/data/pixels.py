"""From an opened image file to its pixels at full depth, and from what decoders raise to errors that name the file."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from sparseinst.data.heif import know_heif
from sparseinst.data.orientation import oriented
from sparseinst.errors import InputError

_BITS_PER_SAMPLE, _ORIENTATION, _PLANAR_CONFIGURATION = 258, 274, 284

UNREADABLE = (Exception,)
"""What decoders raise on damaged files: anything; their own list has never been complete."""
MOST_BYTES = 2**29
"""Most bytes of decoded pixels of an image that is read whole: 178 million pixels of 8-bit RGB, half as many of 16."""


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turns what decoders raise within the block into an InputError that begins with the image's name."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{name}: expected at most {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels ({error}): cut it into tiles first"
        ) from error
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"{name}: expected an image file, found none: check the path") from error
    except UNREADABLE as error:
        raise InputError(f"{name}: expected a whole image file, could not decode it ({error}): replace it") from error


def pixels_of(image: Image.Image, file: Path | io.BytesIO) -> NDArray[np.generic]:
    """The page or frame that an opened image stands at, at the depth of the file: (H, W), or (H, W, 3) RGB.

    Args:
        image: what Pillow opened, not loaded yet.
        file: what it was opened from.

    Raises:
        InputError: its pixels would take more than `MOST_BYTES`; found before any is decoded.
    """
    check_bytes(image.width * image.height, decoded_bytes(image), f"{image.width} x {image.height}")
    return _read_deep(file, image) if _is_deep_color(image) else array_of(image)


def check_bytes(pixels: int, needed: int, told: str) -> None:
    """Refuses what would take too much memory, before any of it is decoded.

    Args:
        pixels: of an image.
        needed: bytes of memory.
        told: its width and height.

    Raises:
        InputError: these are more than `MOST_BYTES`.
    """
    if needed > MOST_BYTES:
        raise InputError(
            f"expected at most {MOST_BYTES / 1e6:,.0f} MB of decoded pixels, got {told} of {needed // pixels} bytes: "
            "cut it into parts, or write it as a TIFF in tiles and give --tile"
        )


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image file for Pillow, which will decode no more than `MOST_BYTES`; errors of the block name the file.

    Raises:
        InputError: it is absent, no image, damaged, or too large.
    """
    with decoding(str(path)):
        know_heif(path)
        with Image.open(path) as image:
            check_bytes(image.width * image.height, decoded_bytes(image), f"{image.width} x {image.height}")
            yield image


def decoded_bytes(image: Image.Image) -> int:
    """Memory of the pixels of an image that has been opened and not been loaded."""
    samples = max(1, len(image.getbands()))
    each = 4 if image.mode in ("I", "F") else 2 if image.mode.startswith("I;16") or _is_deep_color(image) else 1
    if isinstance(image, TiffImageFile):
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (1,))
        samples, each = max(samples, len(bits)), max(each, -(-max(bits) // 8))
    return image.width * image.height * samples * each


def array_of(image: Image.Image) -> NDArray[np.generic]:
    """A Pillow image as (H, W), or (H, W, 3) RGB; EXIF orientation applied, a palette resolved, alpha dropped."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")) or image.mode in ("L", "RGB"):
        return np.asarray(image)
    # Palettes may carry alpha, "1" is 0/1, and CMYK, YCbCr, HSV and LAB are colour spaces: Pillow knows how.
    return np.asarray(image.convert("L" if image.mode in ("1", "LA") else "RGB"))


def _is_deep_color(image: Image.Image) -> bool:
    """Whether this is a colour image (or grey with alpha) of 16 bits a channel, which Pillow would cut to 8."""
    if image.mode not in ("RGB", "RGBA", "RGBX", "LA"):
        return False
    if isinstance(image, TiffImageFile):
        return bool(max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,))) > 8)
    return any(
        ";16" in str(argument)
        for tile in getattr(image, "tile", ())
        for argument in (tile[3] if isinstance(tile[3], tuple) else (tile[3],))
    )


def _read_deep(file: Path | io.BytesIO, image: Image.Image) -> NDArray[np.generic]:
    """(H, W, 3) RGB at full depth through OpenCV, which reads BGR, or tifffile: OpenCV mixes planes up."""
    orientation = image.getexif().get(_ORIENTATION, 1)
    if isinstance(image, TiffImageFile) and image.tag_v2.get(_PLANAR_CONFIGURATION) == 2:
        from tifffile import imread

        planes = imread(file if isinstance(file, Path) else io.BytesIO(file.getvalue()), key=image.tell())
        return oriented(np.moveaxis(planes, 0, 2)[:, :, :3], orientation)
    # Mapping the file rather than naming it to OpenCV keeps non-ASCII paths working everywhere, and many pages cheap.
    content = np.memmap(file, np.uint8, "r") if isinstance(file, Path) else np.frombuffer(file.getvalue(), np.uint8)
    array = _decode_deep(content, image.tell())
    if array is None:
        raise OSError("OpenCV cannot decode this 16-bit colour image")
    if array.ndim == 3:
        array = array[:, :, 2::-1] if array.shape[2] >= 3 else array[:, :, :1]
    return oriented(array, orientation) if image.format == "PNG" else array


def _decode_deep(content: NDArray[np.uint8], page: int) -> NDArray[np.generic] | None:
    if not page:
        return cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    _, pages = cv2.imdecodemulti(content, cv2.IMREAD_UNCHANGED, range=(page, page + 1))
    return pages[0] if pages else None
