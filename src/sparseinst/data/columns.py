"""Which columns of a Parquet file hold images, and what they are called."""

from typing import TYPE_CHECKING

from sparseinst.errors import InputError, brief

if TYPE_CHECKING:
    import pyarrow as pa

_IMAGES = ("image", "img", "jpg", "jpeg", "png", "webp", "bytes", "content", "path", "file_name", "file", "url")
LARGEST_FILE, LARGEST_GROUP = 2**30, 2**32
"""Bytes of an image file in an archive, and of a row group; of packed ones the archive's own size says nothing."""
_KEYS = ("key", "__key__", "file_name", "path", "name", "id", "image_id", "url")


def image_column(schema: "pa.Schema", name: str | None, where: str) -> str:
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
    there = brief(", ".join(schema.names), most=200)[1:-1]
    raise InputError(
        f"{where}: expected a column {' or '.join(candidates)} of bytes or paths, got {there}: name it with --column"
    )


def key_column(schema: "pa.Schema", image: str) -> str | None:
    """The column with the names of the images in the column `image`; None where there is none."""
    return next((name for name in _KEYS if name in schema.names and name != image), None)


def check_unpacked(size: int, most: int, *, what: str) -> None:
    """Refuses what is larger unpacked than it may be.

    Args:
        size: in bytes, unpacked.
        most: of it.
        what: for the message: "a.tar: expected an image file".

    Raises:
        InputError: it is larger.
    """
    if size > most:
        raise InputError(f"{what} of at most {most / 1e6:,.0f} MB, got {size / 1e6:,.0f}: leave it out, or divide it")


def _holds_images(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    checks = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_string, pa.types.is_large_string)
    return any(check(kind) for check in checks)
