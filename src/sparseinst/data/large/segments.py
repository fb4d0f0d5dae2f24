"""The tiles and strips of a TIFF page, decoded one by one, and pages whose pixels lie in a file as they are."""

import math
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.errors import InputError
from sparseinst.masks.grid import Window

if TYPE_CHECKING:
    from tifffile import TiffPage

_DEFLATE = (8, 32946)
_AT_ONCE = 2**22
"""Bytes that a deflated strip is read and inflated by."""
_LARGEST_SEGMENT = 2**29
"""Bytes of a decoded tile or strip that is never split: 512 MiB, once, while the file is opened."""


def is_plain_deflate(page: "TiffPage") -> bool:
    """Whether the segments of a page are deflated pixels of whole bytes, which needs no other package."""
    return (
        page.compression in _DEFLATE
        and page.predictor in (1, 2)
        and page.bitspersample in (8, 16, 32, 64)
        and page.fillorder == 1
    )


def check_segments(page: "TiffPage") -> None:
    """Refuses a page that is to have other tiles or strips than its header places in the file.

    A damaged size would otherwise cost time and memory for millions of segments that no file of its length can hold.

    Raises:
        ValueError: there are too few.
    """
    needed, placed = math.prod(page.chunked), len(page.dataoffsets)
    if placed < needed and not page.is_contiguous:
        raise ValueError(f"{placed:,} tiles or strips for an image of {needed:,}")


class Segments:
    """The values of a page by its tiles or strips; a window given to it is that of one of them.

    Raises:
        ValueError: the page has too few of them.
    """

    def __init__(self, page: "TiffPage") -> None:
        check_segments(page)
        _, _, height, width, self.contig = page.shaped
        self.page, self.size_hw = page, (height, width)
        self.block_hw = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, width)
        self.planes = page.samplesperpixel if page.planarconfig == 2 else 1
        itemsize = np.dtype(page.dtype).itemsize
        self.dtype = np.dtype(page.parent.byteorder + np.dtype(page.dtype).char)
        """As in the file."""
        self.pixel_bytes = self.planes * self.contig * itemsize
        self.block_bytes = math.prod(self.block_hw) * self.pixel_bytes

    def __call__(self, window: Window) -> NDArray[Any]:
        """(h, w, channels)."""
        rows, columns = window
        parts = [self.plane(window, plane) for plane in range(self.planes)]
        values = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        return values[: rows.stop - rows.start, : columns.stop - columns.start]

    def plane(self, window: Window, plane: int) -> NDArray[Any]:
        """(h, w, samples) one plane's tile or strip, tiles with what lies outside the image."""
        index, rows = self._index(window, plane), self._rows(window)
        offset, count = self._place(index)
        if not count:
            return np.full((rows, self.block_hw[1], self.contig), self.page.nodata, self.page.dtype)
        if is_plain_deflate(self.page):
            size = rows * self.block_hw[1] * self.pixel_bytes // self.planes
            return self._values(b"".join(_inflated(self.page.parent.filehandle, offset, count, size)))
        if count > 2 * self.block_bytes + _AT_ONCE:
            raise ValueError(f"{count:,} bytes for {self.block_bytes:,} of pixels")
        self.page.parent.filehandle.seek(offset)
        data = self.page.parent.filehandle.read(count)
        tables = {"jpegtables": self.page.jpegtables, "jpegheader": self.page.jpegheader}
        values: NDArray[Any] = np.asarray(self.page.decode(data, index, **tables)[0])[0]
        return values

    def stream(self, window: Window, plane: int) -> Iterator[NDArray[Any]]:
        """The same of a deflated strip, (h, w, samples) some rows at a time."""
        row_bytes = self.size_hw[1] * self.pixel_bytes // self.planes
        offset, count = self._place(self._index(window, plane))
        held = b""
        for piece in _inflated(self.page.parent.filehandle, offset, count, self._rows(window) * row_bytes):
            held += piece
            whole = len(held) // row_bytes * row_bytes
            if whole:
                yield self._values(held[:whole])
                held = held[whole:]

    def windows(self) -> Iterator[Window]:
        """Those of all tiles or strips, row by row."""
        for row in range(0, self.size_hw[0], self.block_hw[0]):
            for column in range(0, self.size_hw[1], self.block_hw[1]):
                yield (
                    slice(row, min(row + self.block_hw[0], self.size_hw[0])),
                    slice(column, min(column + self.block_hw[1], self.size_hw[1])),
                )

    def _index(self, window: Window, plane: int) -> int:
        down, across = (math.ceil(side / block) for side, block in zip(self.size_hw, self.block_hw, strict=True))
        row, column = (int(side.start) // block for side, block in zip(window, self.block_hw, strict=True))
        return (plane * down + row) * across + column

    def _rows(self, window: Window) -> int:
        """A strip ends with the image, a tile does not."""
        return self.block_hw[0] if self.page.is_tiled else window[0].stop - window[0].start

    def _place(self, index: int) -> tuple[int, int]:
        """Where a segment begins in the file, and its bytes; 0 of one that was never written."""
        offset, count = self.page.dataoffsets[index], self.page.databytecounts[index]
        if count and offset + count > self.page.parent.filehandle.size:
            raise EOFError(f"the file ends at {self.page.parent.filehandle.size:,} bytes, before {offset + count:,}")
        return offset, count if offset else 0

    def _values(self, data: bytes) -> NDArray[Any]:
        """(h, w, samples) from inflated bytes; a predictor wrote the difference to the pixel before."""
        values = np.frombuffer(data, self.dtype).reshape(-1, self.block_hw[1], self.contig)
        values = values.astype(self.dtype.newbyteorder("="))
        if self.page.predictor == 2:
            integers = values.view(f"u{values.itemsize}")
            np.add.accumulate(integers, axis=1, out=integers)
        return values


class Plain:
    """The values of a page that lie in a file as they are, (planes, height, width, samples)."""

    def __init__(self, file: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...], offset: int = 0) -> None:
        self.file, self.dtype, self.shape, self.offset = file, dtype, shape, offset

    @classmethod
    def of_page(cls, page: "TiffPage", file: IO[bytes]) -> "Plain":
        """Those of an uncompressed page whose strips follow each other."""
        planes, _, height, width, contig = page.shaped
        dtype = np.dtype(page.parent.byteorder + np.dtype(page.dtype).char)
        return cls(file, dtype, (planes, height, width, contig), page.dataoffsets[0])

    def __call__(self, window: Window) -> NDArray[Any]:
        """(h, w, channels)."""
        planes, height, width, contig = self._map("r")[:, *window].shape
        part = self._map("r")[:, *window].transpose(1, 2, 0, 3).reshape(height, width, planes * contig)
        return np.array(part, self.dtype.newbyteorder("="))

    def write(self, values: NDArray[Any], plane: int, window: Window) -> None:
        """Puts (h, w, samples) values of one plane in their place."""
        self._map("r+")[plane, *window] = values

    def _map(self, mode: str) -> NDArray[Any]:
        """Mapped anew each time, so that what was touched does not stay in memory."""
        return np.memmap(self.file, self.dtype, mode, self.offset, self.shape)  # type: ignore[call-overload, no-any-return]


def spooled(name: str, segments: Segments, stack: ExitStack) -> Plain:
    """Decodes a page into a temporary file, which goes with the stack.

    Raises:
        InputError: the page is damaged, has tiles or strips too large to be decoded, or the disk has no room for it.
    """
    height, width = segments.size_hw
    needed = height * width * segments.pixel_bytes
    free = shutil.disk_usage(tempfile.gettempdir()).free
    streams = not segments.page.is_tiled and is_plain_deflate(segments.page)
    if needed > free or (segments.block_bytes > _LARGEST_SEGMENT and not streams):
        raise InputError(
            f"{name}: expected tiles or strips of at most {_LARGEST_SEGMENT:,} bytes and {needed:,} free bytes in "
            f"{tempfile.gettempdir()} to decode them to, got {segments.block_bytes:,} and {free:,}: "
            "write the image in tiles of 512 x 512 pixels"
        )
    file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  the stack closes it
    file.truncate(needed)
    plain = Plain(file, segments.dtype, (segments.planes, height, width, segments.contig))
    for window in segments.windows():
        rows, columns = window
        for plane in range(segments.planes):
            if not streams:
                values = segments.plane(window, plane)
                plain.write(values[: rows.stop - rows.start, : columns.stop - columns.start], plane, window)
                continue
            top = rows.start
            for values in segments.stream(window, plane):
                plain.write(values, plane, (slice(top, top + len(values)), columns))
                top += len(values)
    return plain


def _inflated(file: Any, offset: int, count: int, size: int) -> Iterator[bytes]:
    """The first `size` bytes of a deflated segment of `count` bytes, piece by piece, and never more."""
    file.seek(offset)
    inflater, left = zlib.decompressobj(), b""
    while size:
        if not left:
            left = file.read(min(_AT_ONCE, count))
            count = count - len(left) if left else 0
        piece = inflater.decompress(left, min(_AT_ONCE, size))
        if not piece and (inflater.eof or not (left or count)):
            raise EOFError("a deflated tile or strip ends too early")
        left = inflater.unconsumed_tail
        size -= len(piece)
        yield piece
