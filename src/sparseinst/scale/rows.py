"""Rows of a result: one an image, in Parquet files that say what they were made by."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sparseinst.files import atomic
from sparseinst.parsing import readable
from sparseinst.structures import Instances

OK, FAILED = "ok", "failed"
"""The values of `status`."""

_BOX = pa.struct([(name, pa.int32()) for name in ("x0", "y0", "x1", "y1")])
_INSTANCE = pa.struct([
    ("class", pa.string()), ("score", pa.float32()), ("box", _BOX), ("area", pa.int64()), ("rle", pa.string()),
])  # fmt: skip
SCHEMA = pa.schema([
    ("image", pa.string()), ("status", pa.string()), ("width", pa.int32()), ("height", pa.int32()),
    ("seconds", pa.float32()), ("error", pa.string()), ("instances", pa.list_(_INSTANCE)),
])  # fmt: skip
"""Boxes are in pixels, ends exclusive; `rle` is the `counts` of a COCO encoding of size [height, width]."""

_KEY = b"sparseinst"


class Row(NamedTuple):
    """What became of one image; the fields are the columns of `SCHEMA`."""

    image: str
    status: str
    width: int | None
    height: int | None
    seconds: float
    error: str | None
    instances: list[dict[str, Any]]


class FileFacts(NamedTuple):
    """What a file of rows says of itself."""

    identity: dict[str, Any]
    """Of the job: model hash, settings, version, input."""
    images: int
    failed: int
    instances: int
    extent: int
    """How much of the input its rows stand for, in images; of tar files in bytes."""
    last: bool
    """Whether nothing of the same piece comes after it."""
    source: str | None
    """The tar or Parquet file that the images are in."""
    row_group: int | None
    """In the Parquet file."""


def row_of(image: str, instances: Instances, seconds: float) -> Row:
    """The row of an image that was predicted."""
    height, width = instances.size_hw
    found = [
        {
            "class": name, "score": float(score), "area": int(area), "rle": counts.decode("ascii"),
            "box": {"x0": int(box[0]), "y0": int(box[1]), "x1": int(box[2]), "y1": int(box[3])},
        }
        for name, score, box, area, counts in zip(
            instances.names, instances.scores, instances.boxes, instances.areas, instances.rles, strict=True
        )
    ]  # fmt: skip
    return Row(image, OK, width, height, seconds, None, found)


def failed_row(image: str, error: str, seconds: float) -> Row:
    """The row of an image that was not."""
    return Row(image, FAILED, None, None, seconds, error, [])


def write_rows(path: Path, rows: Sequence[Row], facts: FileFacts) -> None:
    """Writes a file of rows under another name and renames it: it is whole, or not there."""
    schema = SCHEMA.with_metadata({_KEY: json.dumps(facts._asdict()).encode()})
    columns = [pa.array([row[place] for row in rows], field.type) for place, field in enumerate(SCHEMA)]
    with atomic(path) as temporary:
        pq.write_table(pa.Table.from_arrays(columns, schema=schema), temporary, compression="zstd")


def read_facts(path: Path) -> FileFacts:
    """What a file of rows says of itself.

    Raises:
        InputError: it is no such file, or damaged.
    """
    hint = "remove the file; the same command makes it again"
    with readable(path, expected="rows that `sparseinst batch` wrote", hint=hint):
        metadata = pq.read_schema(path).metadata or {}
        return FileFacts(**json.loads(metadata[_KEY]))
