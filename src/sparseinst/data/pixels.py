"""From an opened image file to its pixels at full depth, and from what decoders raise to errors that name the file."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from sparseinst.data.large.segments import check_segments
from sparseinst.data.orientation import inverse, oriented, seen_hw
from sparseinst.data.picture_files import check_image, is_deep_color, open_image
from sparseinst.errors import InputError

_ORIENTATION, _PLANAR_CONFIGURATION = 274, 284

UNREADABLE = (Exception,)
"""What decoders raise on damaged files: anything; their own list has never been complete."""
_STRIP = 2**18
"""Pixels that Pillow converts and copies at once."""


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
        told = str(error)
        raise InputError(told if told.startswith(f"{name}: ") else f"{name}: {told}") from error
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
        InputError: its pixels would take more than `picture_files.MOST_BYTES`; found before any is decoded.
    """
    check_image(image)
    return _read_deep(file, image) if is_deep_color(image) else array_of(image)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """A picture file for Pillow that it takes no more than `picture_files.MOST_BYTES` to read; errors name the file.

    Raises:
        InputError: it is absent, no image, damaged, or too large.
    """
    with decoding(str(path)), open_image(path) as image:
        check_image(image)
        yield image


def array_of(image: Image.Image) -> NDArray[np.generic]:
    """A Pillow image as (H, W), or (H, W, 3) RGB; EXIF orientation applied, a palette resolved, alpha dropped."""
    if 0 in image.size:
        raise InputError(f"expected an image, got {image.width} x {image.height} pixels: give one that has some")
    image.load()
    # Palettes may carry alpha, "1" is 0/1, and CMYK, YCbCr, HSV and LAB are colour spaces: Pillow knows how.
    plain = image.mode.startswith(("I", "F")) or image.mode in ("L", "RGB")
    mode = image.mode if plain else "L" if image.mode in ("1", "LA") else "RGB"
    orientation, rows = image.getexif().get(_ORIENTATION, 1), max(1, _STRIP // image.width)
    seen = stored = None
    for top in range(0, image.height, rows):  # of what Pillow converts and copies there is never more than a strip
        strip = image.crop((0, top, image.width, min(top + rows, image.height))) if rows < image.height else image
        values = np.asarray(strip if plain else strip.convert(mode))
        if seen is None or stored is None:
            shape = (*seen_hw((image.height, image.width), orientation), *values.shape[2:])
            seen = np.empty(shape, values.dtype)
            stored = oriented(seen, inverse(orientation))
        stored[top : top + rows] = values
    assert seen is not None
    return seen


def _read_deep(file: Path | io.BytesIO, image: Image.Image) -> NDArray[np.generic]:
    """(H, W, 3) RGB at full depth through OpenCV, which reads BGR, or tifffile: OpenCV mixes planes up."""
    orientation = image.getexif().get(_ORIENTATION, 1)
    if isinstance(image, TiffImageFile) and image.tag_v2.get(_PLANAR_CONFIGURATION) == 2:
        from tifffile import TiffFile

        with TiffFile(file if isinstance(file, Path) else io.BytesIO(file.getvalue())) as whole:
            page = whole.pages[image.tell()].aspage()
            check_segments(page)
            planes = page.asarray()
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
