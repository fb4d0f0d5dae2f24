"""The pages of a TIFF file and the frames of an animated picture, one after the other."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import to_rgb8
from sparseinst.data.picture_files import open_image
from sparseinst.data.pixels import UNREADABLE, decoding, pixels_of
from sparseinst.errors import InputError

_ANIMATED = frozenset({"GIF", "PNG", "WEBP"})
"""Formats, by Pillow's names, whose frames are images of their own; a second image of JPEG is a preview."""
_NEW_SUBFILE_TYPE, _SUBFILE_TYPE = 254, 255
_FRAME_BYTES = 38
"""Least that a frame of an animated PNG file takes: its control chunk."""
_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2


class Page(NamedTuple):
    """One image of a file.

    Args:
        number: its place in the file from 0, as Pillow's `seek` and `tifffile.TiffFile.pages` count; None where it is
            the only one.
        pages: how many there are.
        read: gives (H, W, 3) uint8 RGB, until the next page is asked for, or raises InputError.
    """

    number: int | None
    pages: int
    read: Callable[[], NDArray[np.uint8]]


def page_name(name: str, number: int | None) -> str:
    """What a page of a file is called.

    Example:
        >>> page_name("stack.tif", 3), page_name("cells.png", None)
        ('stack.tif[3]', 'cells.png')
    """
    return name if number is None else f"{name}[{number}]"


def read_pages(path: Path, intensity: IntensityConfig) -> Iterator[Page]:
    """The pages of a TIFF file and the frames of a GIF, WebP or PNG file; of any other its one image, as `read_image`.

    No page of TIFF are thumbnails, the levels of a pyramid and masks: what the file marks as made from another page.
    Where the chain of pages is torn, what lies beyond is one page that cannot be read, so that it is not missed.

    Args:
        path: the file; only the page at hand is held in memory.
        intensity: what to do with values of more than 8 bits, page by page.

    Returns:
        At least one page: that of a file which is no image raises when it is read.
    """
    with ExitStack() as opened:
        try:
            with decoding(str(path)):
                image = opened.enter_context(open_image(path))
                numbers = image_numbers(image)
        except InputError as error:
            yield Page(None, 1, partial(_refuse, error))
            return
        for number in numbers:
            shown = None if len(numbers) == 1 else number
            yield Page(shown, len(numbers), partial(_read, image, path, number, page_name(str(path), shown), intensity))


def _refuse(error: InputError) -> NDArray[np.uint8]:
    raise error


def _read(image: Image.Image, path: Path, number: int, name: str, intensity: IntensityConfig) -> NDArray[np.uint8]:
    with decoding(name):
        image.seek(number)
        return to_rgb8(pixels_of(image, path), intensity)


def image_numbers(image: Image.Image) -> Sequence[int]:
    """Places of the images in an opened file, which stands at the first again.

    Raises:
        InputError: the file claims more than it has room for.
    """
    if image.format != "TIFF":
        frames = getattr(image, "n_frames", 1) if image.format in _ANIMATED else 1
        if image.format == "PNG":  # counted by the file itself, not by Pillow
            _check_frames(image, frames)
        return range(frames)
    found = []
    for number in count():
        try:
            image.seek(number)
        except EOFError:
            break
        except UNREADABLE:
            found.append(number)
            if image.tell() != number:  # it is not known where the next one begins
                break
        else:
            if not _is_made_from_another(image):
                found.append(number)
    image.seek(0)
    return found or [0]


def _check_frames(image: Image.Image, frames: int) -> None:
    assert isinstance(image, ImageFile) and image.fp is not None
    place = image.fp.tell()
    most = image.fp.seek(0, io.SEEK_END) // _FRAME_BYTES
    image.fp.seek(place)
    if frames > max(1, most):
        raise InputError(f"expected at most the {most:,} frames that it has room for, got {frames:,}: replace the file")


def _is_made_from_another(image: Image.Image) -> bool:
    tags = image.tag_v2  # type: ignore[attr-defined]
    kind = tags.get(_NEW_SUBFILE_TYPE, 0)
    return bool(kind & (_REDUCED | _MASK)) or tags.get(_SUBFILE_TYPE) == _OLD_REDUCED
