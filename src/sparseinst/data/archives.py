"""Images in tar shards (as of WebDataset) or Parquet files, found by their names and read in any order.

So a data set gives the same samples in the same order whether its images are files or lie in a few archives.
"""

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.columns import LARGEST_GROUP, check_unpacked, image_column, key_column
from sparseinst.errors import InputError, brief
from sparseinst.files import is_folder
from sparseinst.parsing import readable

_KINDS = (".tar", ".parquet")
_GROUPS_HELD = 4
"""Row groups of Parquet files that a process holds."""


class _Span(NamedTuple):
    """Where an image is: bytes from..to of a tar file, or a row of a row group."""

    file: int
    first: int
    second: int


@dataclass(frozen=True)
class Stored:
    """Images of a data set that lie in archives.

    Args:
        files: the archives.
        places: (n, 3) of each image its archive and, in a tar file, its first byte and size, in a Parquet file its row
            group and row; -1 where no archive has it.
    """

    files: tuple[Path, ...]
    places: NDArray[np.int64]

    @classmethod
    def find(cls, folder: Path, names: Sequence[str]) -> Self | None:
        """The images of a folder of archives, by their names or, where that finds none, the last parts of these.

        Args:
            folder: with .tar or .parquet files.
            names: of the images.

        Returns:
            Where they are; None if there is no archive.

        Raises:
            InputError: an archive cannot be read, or two hold an image of the same name.
        """
        files = archives_in(folder)
        if not files:
            return None
        whole: dict[str, _Span] = {}
        for number, file in enumerate(files):
            for name, first, second in (_tar_members if file.suffix == ".tar" else _parquet_rows)(file):
                if name in whole:
                    raise InputError(
                        f"{file}: expected each image once in {folder}, got {brief(name)} twice: rename or remove one"
                    )
                whole[name] = _Span(number, first, second)
        by_last = {PurePosixPath(name).name: place for name, place in whole.items()}
        nowhere = _Span(-1, -1, -1)
        found = [whole.get(name) or by_last.get(PurePosixPath(name).name, nowhere) for name in names]
        return cls(tuple(files), np.array(found, np.int64).reshape(-1, 3))

    @property
    def missing(self) -> NDArray[np.int64]:
        """Images that no archive has."""
        return np.flatnonzero(self.places[:, 0] < 0)

    def read(self, index: int) -> bytes:
        """The content of an image file.

        Raises:
            InputError: its archive has changed or is damaged.
        """
        number, first, second = self.places[index].tolist()
        file = self.files[number]
        with readable(file, expected="the archive as it was when it was opened", hint="start again"):
            if file.suffix == ".tar":
                with file.open("rb") as opened:
                    opened.seek(first)
                    return bytes(opened.read(second))
            value = _row_group(file, first)[second].as_py()
            return bytes(value["bytes"] if isinstance(value, dict) else value)

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Some of the images, in this order."""
        return type(self)(self.files, self.places[rows])


def archives_in(folder: Path) -> list[Path]:
    """The tar and Parquet files of a folder, sorted."""
    if not is_folder(folder):
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in _KINDS and not path.name.startswith("."))


def _tar_members(path: Path) -> Iterator[tuple[str, int, int]]:
    with readable(path, expected="a tar file", hint="replace it"), tarfile.open(path, "r:") as archive:
        for member in archive:
            if member.isfile():
                yield member.name.removeprefix("./"), member.offset_data, member.size
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all


def _parquet_rows(path: Path) -> Iterator[tuple[str, int, int]]:
    parquet = _parquet()
    with readable(path, expected="a Parquet file of images", hint="replace it"):
        file = parquet.ParquetFile(path)
        image = image_column(file.schema_arrow, None, str(path))
        key = key_column(file.schema_arrow, image)
        for group in range(file.metadata.num_row_groups):
            size = file.metadata.row_group(group).total_byte_size
            check_unpacked(size, LARGEST_GROUP, what=f"{path}: expected row groups")
            names: list[Any]
            if key is None:
                names = file.read_row_group(group, columns=[f"{image}.path"], use_threads=False).column(0).to_pylist()
                names = [value["path"] for value in names]
            else:
                names = file.read_row_group(group, columns=[key], use_threads=False).column(0).to_pylist()
            for row, name in enumerate(names):
                yield str(name), group, row


@lru_cache(maxsize=_GROUPS_HELD)
def _row_group(path: Path, group: int) -> Any:
    """The images of a row group; without threads, which a process that was forked has not got."""
    schema = _parquet().read_schema(path)
    column = image_column(schema, None, str(path))
    # an image that is stored once for many rows is held once
    once = [f"{column}.bytes" if schema.field(column).type.num_fields else column]
    file = _parquet().ParquetFile(path, memory_map=True, pre_buffer=False, read_dictionary=once)
    return file.read_row_group(group, columns=[column], use_threads=False).column(0)


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise InputError("images in Parquet files need pyarrow: pip install 'sparseinst[scale]'") from error
    return pyarrow.parquet
