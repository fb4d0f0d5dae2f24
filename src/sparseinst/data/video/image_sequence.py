"""Images as the frames of a video: files in a row, the pages of one file, or arrays."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import read_image
from sparseinst.data.pages import read_pages
from sparseinst.data.sources import list_sources
from sparseinst.data.video.frame import VideoFrame
from sparseinst.errors import InputError
from sparseinst.files import is_folder

_LOG = logging.getLogger(__name__)
Read = Callable[[Any], NDArray[np.uint8]]
"""From a path, a page or an array to (H, W, 3) uint8 RGB."""

_NUMBER = re.compile(r"%(0\d+)?d")
PAGED = frozenset({".tif", ".tiff"})
"""Suffixes of files with one image a page."""


class ImageFrames:
    """A `VideoSource` of images, each read when its turn comes.

    Args:
        images: what `read` takes, in order.
        name: what the user calls it.
        length: how many there are, if known.
        rate: images a second.
        read: brings one to RGB.
        lenient: what cannot be read is left out, counted, and warned of, as of a file that is decoded.
    """

    def __init__(
        self, images: Iterable[Any], *, name: str, length: int | None, rate: Fraction, read: Read,
        lenient: bool = False,
    ) -> None:  # fmt: skip
        self._images, self._read, self._lenient = images, read, lenient
        self.name, self.rate, self.time_base = name, rate, 1 / rate
        self.duration = None if length is None else float(length / rate)
        self.live, self.broken, self.start = False, 0, Fraction(0)
        self.aspect: Fraction | None = None
        self.sound: str | None = None

    def __iter__(self) -> Iterator[VideoFrame]:
        """The frames."""
        for index, image in enumerate(self._images):
            try:
                picture = self._read(image)
            except InputError as error:
                if not self._lenient:
                    raise
                if not self.broken:
                    _LOG.warning("%s; it and others like it are left out", error, extra={"left_out": True})
                self.broken += 1
                continue
            yield VideoFrame(picture, index, index * self.time_base)

    def close(self) -> None:
        """Nothing is held open."""


def is_pattern(source: str) -> bool:
    """Whether this is a printf pattern of numbered files, such as frames/%04d.png."""
    return len(_NUMBER.findall(source)) == 1


def open_images(source: str, *, rate: Fraction, intensity: IntensityConfig) -> ImageFrames:
    """A folder, a glob, a list file, a printf pattern, or a file of several pages as a video.

    Pages are read as `predict` reads them, under an intensity policy; one that is damaged is left out.

    Raises:
        InputError: there is no such image.
    """
    paths = _numbered(source) if is_pattern(source) else list_sources(source)
    if len(paths) == 1 and paths[0].suffix.lower() in PAGED:
        return _pages(paths[0], rate=rate, intensity=intensity)
    read = partial(read_image, intensity=intensity)
    return ImageFrames(paths, name=source, length=len(paths), rate=rate, read=read)


def _pages(path: Path, *, rate: Fraction, intensity: IntensityConfig) -> ImageFrames:
    pages = read_pages(path, intensity)
    first = next(pages)
    return ImageFrames(
        chain([first], pages), name=str(path), length=first.pages, rate=rate, read=lambda page: page.read(),
        lenient=first.pages > 1,
    )  # fmt: skip


def _numbered(pattern: str) -> list[Path]:
    """The files of a pattern, by their number."""
    folder, name = Path(pattern).parent, Path(pattern).name
    before, width, after = _NUMBER.split(name) if is_pattern(name) else ("", None, None)
    if after is None:
        raise InputError(f"{pattern}: expected the number in the file's name, got it in a folder's: move it")
    digits = rf"\d{{{int(width)},}}" if width else r"\d+"
    matcher = re.compile(rf"{re.escape(before)}({digits}){re.escape(after)}")
    found = {
        int(match[1]): path
        for path in (folder.iterdir() if is_folder(folder) else ())
        if (match := matcher.fullmatch(path.name))
    }
    if not found:
        raise InputError(f"{pattern}: expected a pattern that matches numbered images, found none: check the path")
    return [found[number] for number in sorted(found)]
