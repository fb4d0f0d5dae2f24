"""Parquet files of images: their bytes, or where they are."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sparseinst.errors import InputError

_IMAGES = ("image", "img", "jpg", "jpeg", "png", "webp", "bytes", "content", "path", "file_name", "file", "url")
_KEYS = ("key", "__key__", "file_name", "path", "name", "id", "image_id", "url")


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
        key = next((name for name in _KEYS if name in file.schema_arrow.names and name != image), None)
        row = sum(file.metadata.row_group(group).num_rows for group in range(row_group))
        columns = [image] if key is None else [image, key]
        for batch in file.iter_batches(batch_size=at_once, row_groups=[row_group], columns=columns):
            keys = [None] * len(batch) if key is None else batch.column(key).to_pylist()
            for value, named in zip(batch.column(image).to_pylist(), keys, strict=True):
                yield row, _cell(value, None if named is None else str(named))
                row += 1


def image_column(schema: pa.Schema, name: str | None, where: str) -> str:
    """The column with images: bytes, paths or URLs, or a struct of bytes and path.

    Args:
        schema: of the file.
        name: the column asked for; None looks for it.
        where: the file, for messages.

    Raises:
        InputError: there is none, or not the one asked for.
    """
    candidates = _IMAGES if name is None else (name,)
    for candidate in candidates:
        if candidate in schema.names and _holds_images(schema.field(candidate).type):
            return candidate
    raise InputError(
        f"{where}: expected a column {' or '.join(candidates)} of bytes or paths, got {', '.join(schema.names)}: name "
        "it with --column"
    )


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    checks = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_string, pa.types.is_large_string)
    return any(check(kind) for check in checks)


def _cell(value: Any, key: str | None) -> Cell:
    if isinstance(value, dict):
        content, path = value.get("bytes"), value.get("path")
        return Cell(key or path, content, path if content is None else None)
    if isinstance(value, str):
        return Cell(key or value, None, value)
    return Cell(key, value, None)
