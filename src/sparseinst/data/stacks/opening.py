"""Opens image files by their axes."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sparseinst.data.large.ome_zarr import is_zarr
from sparseinst.data.pages import image_numbers
from sparseinst.data.physical import PixelSize
from sparseinst.data.picture_files import open_image
from sparseinst.data.pixels import decoding, pixels_of
from sparseinst.data.stacks.makers.opening import MAKER_SUFFIXES, open_maker_stack
from sparseinst.data.stacks.ome_zarr import open_zarr_stack
from sparseinst.data.stacks.stack import COLOURS, Stack
from sparseinst.data.stacks.tiff import open_tiff_stack, plain_tiff_size
from sparseinst.errors import InputError


@contextmanager
def open_stack(path: Path, series: str | None = None) -> Iterator[Stack]:
    """Opens an image file by its axes: OME-TIFF, ImageJ's TIFF, zarr folders, CZI, LIF, ND2, and any other image.

    Pages of a TIFF file that does not say what they are count as planes, frames of an animated picture as time points.

    Args:
        path: the file.
        series: name or number of the image in a CZI, LIF or ND2 file with several; of others the first is taken.

    Raises:
        InputError: the file is absent, damaged or no image, or holds several images and none was chosen.
    """
    with ExitStack() as opened:
        if is_zarr(path):
            yield open_zarr_stack(path)
            return
        if path.suffix.lower() in MAKER_SUFFIXES:
            yield open_maker_stack(path, series, opened)
            return
        found = open_tiff_stack(path, opened)
        yield _pictures(path, opened) if found is None else found


def pixel_size_of(path: Path) -> PixelSize | None:
    """How large a pixel of a file is; None where it does not say so, or cannot be read."""
    try:
        with open_stack(path) as stack:
            return stack.pixel
    except InputError:
        return None


def _pictures(path: Path, opened: ExitStack) -> Stack:
    """What Pillow reads."""
    with decoding(str(path)):
        image = opened.enter_context(open_image(path))
        numbers = image_numbers(image)
        size = plain_tiff_size(path) if image.format == "TIFF" else None
        colours = pixels_of(image, path).ndim == 3
    held: dict[int, NDArray[Any]] = {}

    def load(time: int, plane: int, channel: int) -> NDArray[Any]:
        number = numbers[max(time, plane)]
        if number not in held:
            image.seek(number)
            held.clear()
            held[number] = pixels_of(image, path)
        pixels = held[number]
        return pixels[:, :, channel] if pixels.ndim == 3 else pixels

    is_tiff = image.format == "TIFF"
    times, depth = (1, len(numbers)) if is_tiff else (len(numbers), 1)
    return Stack(path, times, depth, COLOURS if colours else ("0",), colours, size, load)
