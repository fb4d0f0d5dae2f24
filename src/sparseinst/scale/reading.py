"""From a piece of the input to the content of its images, a few at once."""

import re
import tarfile
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa

from sparseinst.data.columns import LARGEST_FILE, check_unpacked
from sparseinst.errors import InputError
from sparseinst.scale.listing import file_system, location
from sparseinst.scale.pieces import Piece
from sparseinst.scale.tables import Cell, cells
from sparseinst.scale.tars import images_of

Wanted = Callable[[int], bool]
"""Whether the image of this number in its piece is to be read."""


class Item(NamedTuple):
    """One image before it is decoded."""

    image: str
    """Its path or key."""
    content: bytes | None
    error: str | None = None
    end: int | None = None
    """Where in its tar file it ends."""


class Group(NamedTuple):
    """Consecutive images of a piece that are predicted together; several make up the file of a chunk."""

    piece: int
    chunk: int
    place: int
    """Of the group in its chunk."""
    items: tuple[Item, ...]
    ends_chunk: bool
    last: bool
    """Whether the piece ends with it."""
    extent: int
    """How much of the piece is read by now, in images; of a tar file in bytes."""
    source: str | None
    """The tar or Parquet file that they are in."""
    row_group: int | None


def read_groups(piece: Piece, *, rows: int, size: int, done: frozenset[int]) -> Iterator[Group]:
    """The images of a piece in groups.

    Args:
        piece: what to read.
        rows: images of a chunk.
        size: of a group at most, images.
        done: chunks that are left out.
    """
    items = islice(_READERS[piece.kind](piece, lambda number: number // rows not in done, size), piece.most)
    source = None if piece.kind == "images" else piece.names[0]
    held: list[Item] = []
    number, following = 0, next(items, _END)
    while following is not _END:
        item, following = following, next(items, _END)
        chunk, place = divmod(number, rows)
        number += 1
        if item is None:  # of a chunk that is done
            continue
        held.append(item)
        last, ends = following is _END, place == rows - 1 or following is _END
        if ends or len(held) == size:
            extent = number if item.end is None else item.end
            part = place // size
            yield Group(piece.number, chunk, part, tuple(held), ends, last, extent, source, piece.row_group)
            held = []
    if not number:  # a tar file without images: a file without rows says that it has been seen
        yield Group(piece.number, 0, 0, (), True, True, piece.extent, source, piece.row_group)


_END: Any = object()


def _images(piece: Piece, wanted: Wanted, size: int) -> Iterator[Item | None]:
    """Files of one image, those of a group at once, which from a network is much sooner."""
    for start in range(0, len(piece.names), size):
        names = piece.names[start : start + size]
        if wanted(start):
            yield from _fetched(names, piece.root)
        else:
            yield from [None] * len(names)


def _fetched(names: tuple[str, ...], root: str) -> Iterator[Item]:
    located = [file_system(location(root, name)) for name in names]
    if len({id(fs) for fs, _ in located}) == 1:
        paths = [path for _, path in located]
        contents = located[0][0].cat_ranges(paths, [None] * len(paths), [None] * len(paths), on_error="return")
    else:
        contents = [fs.cat_ranges([path], [None], [None], on_error="return")[0] for fs, path in located]
    for name, content in zip(names, contents, strict=True):
        yield Item(name, None, reason(content)) if isinstance(content, BaseException) else Item(name, content)


def _tar(piece: Piece, wanted: Wanted, size: int) -> Iterator[Item | None]:
    (name,) = piece.names
    end = 0
    try:
        for number, member in enumerate(images_of(*file_system(location(piece.root, name)))):
            end = member.end
            named = f"{name}/{member.name}"
            try:
                check_unpacked(member.size, LARGEST_FILE, what="expected an image file")
            except InputError as error:
                yield Item(named, None, str(error), end=end)
            else:
                yield Item(named, member.read(), end=end) if wanted(number) else None
    except (tarfile.TarError, OSError, EOFError) as error:
        yield Item(name, None, f"the tar file cannot be read on from here: {reason(error)}", piece.extent)


def _parquet(piece: Piece, wanted: Wanted, size: int) -> Iterator[Item | None]:
    (name,) = piece.names
    url = location(piece.root, name)
    found = cells(*file_system(url), column=piece.column, row_group=piece.row_group or 0, at_once=size)
    try:
        for number, (row, cell) in enumerate(found):
            yield _of_cell(cell, f"{name}[{row}]", url.rpartition("/")[0]) if wanted(number) else None
    except (OSError, ValueError, pa.ArrowException) as error:
        yield Item(name, None, f"the Parquet file cannot be read on from here: {reason(error)}")


def _of_cell(cell: Cell, place: str, folder: str) -> Item:
    named = cell.key or place
    if cell.path is not None:
        (item,) = _fetched((cell.path,), folder)
        return item._replace(image=named)
    return Item(named, cell.content, None if cell.content is not None else "there is no image in this row")


_READERS: dict[str, Callable[[Piece, Wanted, int], Iterator[Item | None]]] = {
    "images": _images,
    "tar": _tar,
    "parquet": _parquet,
}


_ADDRESS = re.compile(r" ?<[^<>]* at 0x[0-9a-f]+>")
"""Objects as Python shows them, different in every run."""


def reason(error: BaseException) -> str:
    """Why something failed, in one line."""
    text = _ADDRESS.sub("", " ".join(str(error).split()))
    if isinstance(error, InputError):
        return text
    if isinstance(error, FileNotFoundError):
        return f"there is no such file: {error.filename or text}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
