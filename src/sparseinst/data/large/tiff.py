"""TIFF and BigTIFF files, tiled or in strips, of any compression that tifffile knows: the first page by its blocks."""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.large.raster import BLOCK_PX, LARGEST_BLOCK, Layout, Load, Raster, Source
from sparseinst.data.large.segments import Plain, Segments, is_plain_deflate, spooled
from sparseinst.data.orientation import seen_hw
from sparseinst.errors import InputError, raised
from sparseinst.files import is_file

if TYPE_CHECKING:
    from tifffile import TiffPage

_LOGGER = logging.getLogger(__name__)

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_ORIENTATION = 274
_BAND_PX = 2048
"""Rows that the tiles of a network and their overlaps take at most, of which strips have to stay in the cache."""


def is_tiff(path: Path) -> bool:
    """Whether a file begins as TIFF or BigTIFF files do."""
    if not is_file(path):  # a pipe would be waited for
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) in _MAGIC
    except OSError:
        return False


def tiff_size_hw(path: Path) -> tuple[int, int]:
    """Height and width of the first page as it is to be seen, by its header alone.

    Raises:
        InputError: the header is damaged.
    """
    with ExitStack() as stack:
        page = _first_page(path, stack)
        return seen_hw((page.imagelength, page.imagewidth), _orientation(page))


def open_tiff(path: Path, cache_bytes: int, number: int | None = None) -> Source:
    """Opens a page of a TIFF file; without a number the first, and further ones are warned of.

    Tiles and strips are decoded when they are asked for. Where that would take too much memory, for they are larger
    than `LARGEST_BLOCK` or a row of windows takes more strips than the cache holds, the page is decoded once into a
    temporary file that is gone when the source is closed.

    Raises:
        InputError: the file is damaged, or has other pixels than grey, RGB or RGBA ones or those of a palette, or a
            compression that needs another package.
    """
    with ExitStack() as stack:
        page = _first_page(path, stack) if number is None else _page(path, stack, number)
        try:
            _check(path, page)
            base = _raster(path, page, _load(path, page, cache_bytes, stack), cache_bytes)
        except InputError:
            raise
        except Exception as error:  # whatever a damaged header leads to
            raise InputError(
                f"{path}: expected a whole TIFF file, could not open it ({raised(error)}): replace it"
            ) from error

        def reduced() -> Sequence[Raster]:
            return _reduced(path, page, cache_bytes)

        if number is None:
            _tell_of_more(path, page)
        return Source(base, reduced, stack.pop_all().close, _orientation(page))


def _tell_of_more(path: Path, page: "TiffPage") -> None:
    """Warns of further pages that are as the first: a smaller one is a level of a pyramid, these are planes."""
    more = 0
    try:
        for other in page.parent.pages[1:]:
            more += other.shape == page.shape
    except Exception:  # noqa: BLE001  whatever a torn chain of pages leads to; the first one is whole
        more += 1
    if more:
        _LOGGER.warning(f"{path}: of a file this large the first page is read, {more} more are not: split it")


def _first_page(path: Path, stack: ExitStack) -> "TiffPage":
    return _page(path, stack, 0)


def _page(path: Path, stack: ExitStack, number: int) -> "TiffPage":
    from tifffile import TiffFile

    try:
        pages = stack.enter_context(TiffFile(path)).pages
        page: TiffPage = pages.first if not number else pages[number].aspage()
        shape = (page.imagelength, page.imagewidth)
        if not all(isinstance(side, int) and side > 0 for side in shape):
            raise ValueError(f"height and width are {shape}")
    except Exception as error:  # whatever a damaged header leads to
        raise InputError(
            f"{path}: expected a TIFF file, could not read its header ({raised(error)}): replace it"
        ) from error
    return page


def _check(path: Path, page: "TiffPage") -> None:
    """Raises an InputError where the pixels are not those of an image that can be seen in red, green and blue."""
    from tifffile import TIFF

    bits, samples = page.bitspersample, page.samplesperpixel
    kinds = {
        _WHITE_IS_ZERO: samples in (1, 2),
        _BLACK_IS_ZERO: samples in (1, 2, 3, 4),
        _RGB: samples in (3, 4),
        _PALETTE: samples == 1 and bits in (1, 2, 4, 8),
        _YCBCR: samples == 3 and page.compression in (6, 7),
    }
    known = page.dtype is not None and page.dtype.kind in "buif" and bits in (1, 8, 16, 32, 64)
    if not (known or page.photometric == _PALETTE) or not kinds.get(page.photometric) or page.imagedepth != 1:
        raise InputError(
            f"{path}: expected grey, RGB, RGBA or palette pixels of 1, 8, 16, 32 or 64 bits in one plane, got "
            f"{page.photometric!r} of {samples} samples, {bits} bits, {page.imagedepth} planes: convert the image"
        )
    uncompressed = page.compression == 1 and page.predictor in (1, 2) and bits in (8, 16, 32, 64)
    if not (uncompressed or is_plain_deflate(page)) and find_spec("imagecodecs") is None:
        raise InputError(
            f"{path}: expected the package imagecodecs for {page.compression!r} of {bits} bits with predictor "
            f"{page.predictor!r}, found none: pip install 'sparseinst[large]'"
        )
    if page.compression not in TIFF.DECOMPRESSORS:
        raise InputError(
            f"{path}: expected a compression that tifffile and imagecodecs know, got {page.compression!r}: "
            "write it with another, deflate for example"
        )


def _load(path: Path, page: "TiffPage", cache_bytes: int, stack: ExitStack) -> Load:
    """The cheapest way to the values of a window."""
    if page.is_memmappable:
        return Plain.of_page(page, stack.enter_context(path.open("rb")))
    segments = Segments(page)
    band = _BAND_PX * page.imagewidth * segments.pixel_bytes
    if segments.block_bytes > LARGEST_BLOCK or (not page.is_tiled and band > cache_bytes):
        return spooled(str(path), segments, stack)
    return segments


def _raster(path: Path, page: "TiffPage", load: Load, cache_bytes: int) -> Raster:
    """The values of a page as grey, RGB or RGBA, as Pillow gives them."""
    block_hw = load.block_hw if isinstance(load, Segments) else (BLOCK_PX, BLOCK_PX)
    channels, dtype = page.samplesperpixel, np.dtype(page.dtype)
    seen = load
    if page.photometric == _PALETTE:
        channels, dtype = 3, np.dtype(np.uint8)
        table = (np.asarray(page.colormap) >> 8).astype(np.uint8).T  # (entries, 3)
        seen = _then(load, lambda values: table[values[:, :, 0].astype(np.uint8)])
    elif channels == 2:  # grey and alpha
        channels = 1
        seen = _then(load, lambda values: values[:, :, :1])
    if page.photometric == _WHITE_IS_ZERO and dtype.itemsize == 1:
        seen = _then(seen, np.invert)
    return Raster(str(path), Layout((page.imagelength, page.imagewidth), block_hw, channels, dtype), seen, cache_bytes)


def _then(load: Load, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Load:
    return lambda window: change(load(window))


def _reduced(path: Path, page: "TiffPage", cache_bytes: int) -> list[Raster]:
    """The smaller versions of a page that can be read tile by tile; none where the file's order is not understood."""
    height, width = page.imagelength, page.imagewidth
    rasters = []
    try:
        len(page.parent.pages)  # notices a chain that leads back to a page before, which the next line would follow
        series = page.parent.series[0]
        levels = series.levels[1:] if series.keyframe.index == page.index else []
        for level in (level.keyframe.aspage() for level in levels):
            same = (level.photometric, level.samplesperpixel, level.dtype) == (
                page.photometric, page.samplesperpixel, page.dtype,
            )  # fmt: skip
            alike = abs(level.imagelength * width - level.imagewidth * height) <= 2 * max(height, width)
            if same and alike and Segments(level).block_bytes <= LARGEST_BLOCK:
                rasters.append(_raster(path, level, Segments(level), cache_bytes))
    except Exception:  # noqa: BLE001  the image itself can be read: without them it is averaged
        return []
    return rasters


def _orientation(page: "TiffPage") -> int:
    value = page.tags.valueof(_ORIENTATION)
    return value if isinstance(value, int) else 1
