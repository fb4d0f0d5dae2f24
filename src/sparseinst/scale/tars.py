"""Tar files of images, gone through once from the first member to the last, as they come from a network."""

import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from fsspec.implementations.local import LocalFileSystem

from sparseinst.data.sources import PICTURE_SUFFIXES

_BLOCK = 2**20
"""Bytes asked of a network at once."""


class Member(NamedTuple):
    """An image in a tar file."""

    name: str
    size: int
    """Bytes, unpacked."""
    read: Callable[[], bytes]
    """Its content, until the next member is asked for."""
    end: int
    """Where in the file it ends, in bytes."""


def images_of(fs: Any, path: str) -> Iterator[Member]:
    """The images of a tar file, by the suffixes of their names; other members (labels, texts) are passed over.

    Raises:
        tarfile.TarError: the file is no tar file, or torn.
        OSError: it cannot be read.
    """
    with _opened(fs, path) as archive:
        for member in _members(archive):
            if member.isfile() and PurePosixPath(member.name).suffix.lower() in PICTURE_SUFFIXES:
                end = member.offset_data + member.size
                yield Member(member.name, member.size, partial(_content, archive, member), end)
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    try:
        yield from archive
    except (ValueError, OverflowError) as error:  # a damaged size leads beyond what files can have
        raise tarfile.ReadError(str(error)) from error


def count_images(fs: Any, path: str, *, most: int | None = None) -> int:
    """How many images a tar file holds, counted up to `most`; those before the place where it is torn."""
    number = 0
    try:
        for number, _ in enumerate(images_of(fs, path), 1):
            if number == most:
                break
    except (tarfile.TarError, OSError):
        return number + 1  # the row that tells of it
    return number


@contextmanager
def _opened(fs: Any, path: str) -> Iterator[tarfile.TarFile]:
    """Local files are gone through by seeking, all others in one stream."""
    local = isinstance(fs, LocalFileSystem)
    with (
        fs.open(path, "rb") as file,
        tarfile.open(fileobj=file, mode="r:*")
        if local
        else tarfile.open(fileobj=file, mode="r|*", bufsize=_BLOCK) as archive,
    ):
        yield archive


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    content = b"" if file is None else file.read()
    if len(content) != member.size:
        raise tarfile.ReadError(f"{member.name} is cut off after {len(content)} of {member.size} bytes")
    return content
