"""Parquet files of images: their bytes, or where they are."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sparseinst.data.columns import image_column, key_column


class Cell(NamedTuple):
    """The image of a row."""

    key: str | None
    """What the row calls it; None where nothing does."""
    content: bytes | None
    path: str | None
    """Where it is, in place of its content."""


def row_groups(fs: Any, path: str, column: str | None) -> list[int] | None:
    """How many rows each row group of a file has; None for a file that cannot be read, which reading it tells.

    Raises:
        InputError: it has no column of images.
    """
    try:
        with fs.open(path, "rb") as opened:
            file = pq.ParquetFile(opened)
            schema, metadata = file.schema_arrow, file.metadata
    except (OSError, ValueError, pa.ArrowException):  # a server without ranges of files is a ValueError
        return None
    image_column(schema, column, path)
    return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]


def cells(fs: Any, path: str, *, column: str | None, row_group: int, at_once: int) -> Iterator[tuple[int, Cell]]:
    """The images of a row group, each with its place in the file; `at_once` rows are held."""
    with fs.open(path, "rb") as opened:
        file = pq.ParquetFile(opened)
        image = image_column(file.schema_arrow, column, path)
        key = key_column(file.schema_arrow, image)
        row = sum(file.metadata.row_group(group).num_rows for group in range(row_group))
        columns = [image] if key is None else [image, key]
        for batch in file.iter_batches(batch_size=at_once, row_groups=[row_group], columns=columns):
            keys = [None] * len(batch) if key is None else batch.column(key).to_pylist()
            for value, named in zip(batch.column(image).to_pylist(), keys, strict=True):
                yield row, _cell(value, None if named is None else str(named))
                row += 1


def _cell(value: Any, key: str | None) -> Cell:
    if isinstance(value, dict):
        content, path = value.get("bytes"), value.get("path")
        return Cell(key or path, content, path if content is None else None)
    if isinstance(value, str):
        return Cell(key or value, None, value)
    return Cell(key, value, None)
