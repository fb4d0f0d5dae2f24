"""Picture files of kinds that are decoded without running anything, and what memory reading them takes."""

import io
from pathlib import Path

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from sparseinst.data.heif import HEIF, know_heif
from sparseinst.errors import InputError
from sparseinst.files import is_file

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "DIB", "GIF", "PPM", "AVIF", "JPEG2000", "TGA", "QOI")
"""Kinds that are read, by Pillow's names: pixels alone. Pillow would also give PostScript to an interpreter, and files
of weather and stars to other libraries, whatever the suffix says."""
MOST_BYTES = 2**30
"""Most memory that reading an image whole may take, by its header: 134 million pixels of 8-bit RGB."""

_BITS_PER_SAMPLE, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_LENGTH = 258, 278, 322, 323
_COLOURS = 8
_BYTES = {"1": 5, "L": 5, "P": 5, "LA": 8, "I": 13, "F": 13, "I;16": 9, "I;16L": 9, "I;16B": 9, "I;16N": 9}
"""Memory of a pixel by Pillow's modes: its own copy of the image, an array of that, and 8-bit RGB; of colours 8.
This and what follows is more than was measured, for files of each kind."""
_MORE = {"WEBP": 10, "AVIF": 5, HEIF: 6, "JPEG2000": 18}
"""What decoders hold of a pixel beside that."""
_FRAMES = 13
"""What Pillow keeps of the frame before, and of what is to be put back after the one at hand."""


def open_image(file: str | Path | io.BytesIO, *, formats: tuple[str, ...] | None = None) -> Image.Image:
    """Opens a picture file, of which nothing is decoded yet.

    Args:
        file: its path, or its content.
        formats: the only kinds to take, by Pillow's names; None takes `FORMATS`, and HEIC where Pillow has learnt it.

    Raises:
        InputError: what reads HEIC or AVIF is missing.
        OSError: there is no such file, or it is none of these; and whatever else Pillow raises (see `pixels.decoding`).
    """
    if isinstance(file, str | Path):
        if not is_file(file):  # a pipe or a device is waited for without end
            raise FileNotFoundError(str(file))
        know_heif(Path(file))
    known = (*FORMATS, HEIF) if HEIF in Image.OPEN else FORMATS
    return Image.open(file, formats=known if formats is None else formats)


def check_bytes(pixels: int, needed: int, told: str) -> None:
    """Refuses what would take too much memory, before any of it is decoded.

    Args:
        pixels: of an image.
        needed: bytes of memory while it is read.
        told: its width and height.

    Raises:
        InputError: these are more than `MOST_BYTES`.
    """
    if needed > MOST_BYTES:
        raise InputError(
            f"expected an image that is read in at most {MOST_BYTES / 1e6:,.0f} MB of memory, got {told} pixels that "
            f"take {needed // max(1, pixels)} bytes each: cut it into parts, or write it as a TIFF in tiles and give "
            "--tile"
        )


def check_image(image: Image.Image) -> None:
    """Refuses an image that has been opened and not been loaded, as `check_bytes` does."""
    check_bytes(image.width * image.height, reading_bytes(image), f"{image.width} x {image.height}")


def reading_bytes(image: Image.Image) -> int:
    """Memory that it takes at most to read an image, which has not been loaded, as 8-bit RGB."""
    each = _BYTES.get(image.mode, _COLOURS) + _MORE.get(image.format or "", 0)
    samples = len(image.getbands())
    if is_deep_color(image):
        each = 6 * samples + 1  # 16 bits a sample, as the file has it, as its decoder has it, and as an array
    if getattr(image, "is_animated", False) and image.format in ("GIF", "PNG"):
        each += _FRAMES
    if "progressive" in image.info:
        each += 2 * samples  # of all coefficients
    block = _block_bytes(image) if isinstance(image, TiffImageFile) else 0
    return image.width * image.height * each + block


def is_deep_color(image: Image.Image) -> bool:
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


def _block_bytes(image: TiffImageFile) -> int:
    """Of a tile or strip of a TIFF file, which its decoder holds whole."""
    tags = image.tag_v2
    bits = tags.get(_BITS_PER_SAMPLE, (1,))
    rows = min(int(tags.get(_ROWS_PER_STRIP, image.height)), image.height)
    pixels: int = int(tags.get(_TILE_WIDTH, image.width)) * int(tags.get(_TILE_LENGTH, rows))
    return pixels * len(bits) * -(-int(max(bits)) // 8)
