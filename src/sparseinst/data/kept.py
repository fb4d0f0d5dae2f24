"""What was read of a large annotation file, kept as an Arrow file that the next opening maps into memory."""

import hashlib
import json
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.packed import Blobs, Masks
from sparseinst.data.quick import read_quickly
from sparseinst.data.records import LeftOut, Records
from sparseinst.files import atomic, cache_folder, keep_newest

_LOGGER = logging.getLogger(__name__)
_FORMAT = "sparseinst-records-1"
_LARGE_BYTES = 20 * 10**6
"""Smaller files are read again sooner than they are missed."""
_MOST_BYTES = 5 * 10**9
"""Of all that is kept, together."""
_FOLDER = "annotations"


def open_records(path: Path) -> Records | None:
    """The records of a COCO file as they were kept, or read now; None where `parse_records` has to look at it.

    Kept is what was read of a file of 20 MB or more, as long as its size and its times of change stay the same. That
    needs pyarrow; without it the file is read each time.
    """
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    if state.st_size < _LARGE_BYTES:
        return read_quickly(path)
    if find_spec("pyarrow") is None:
        _LOGGER.warning(
            "%s: read again each time, as pyarrow is missing: pip install 'sparseinst[scale]' keeps what was read, and "
            "opens it in less than a second", path,
        )  # fmt: skip
        return read_quickly(path)
    mark = f"{_FORMAT} {path.resolve()} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}"
    kept = cache_folder() / _FOLDER / f"{path.stem}-{hashlib.sha256(mark.encode()).hexdigest()[:16]}.arrow"
    if (records := read_kept(kept)) is not None:
        return records
    records = read_quickly(path)
    if records is not None:
        _keep(records, kept)
    return records


def read_kept(path: Path) -> Records | None:
    """Records that `write_kept` wrote, mapped into memory; None where there are none, or not whole."""
    import pyarrow as pa

    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        facts = json.loads(table.schema.metadata[b"sparseinst"])
        column = {name: table.column(name).chunk(0).values.to_numpy(zero_copy_only=True) for name in table.column_names}
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None
    left_out = facts["left_out"]
    return Records(
        tuple(facts["classes"]), tuple(facts["category_ids"]), column["image_ids"],
        column["sizes_hw"].reshape(-1, 2), Blobs(column["names"], column["name_offsets"]), column["first"],
        column["labels"],
        Masks(
            Blobs(column["encoded"], column["encoded_offsets"]), column["corners"], column["outlines"],
            column["outlines_first"],
        ),
        None if left_out is None else LeftOut(tuple(left_out[0]), *left_out[1:]),
    )  # fmt: skip


def write_kept(path: Path, records: Records) -> None:
    """Writes records as one row of lists, whole or not at all."""
    import pyarrow as pa

    masks, left_out = records.masks, records.left_out
    columns: dict[str, NDArray[Any]] = {
        "image_ids": records.image_ids, "sizes_hw": records.sizes_hw.ravel(), "names": records.file_names.data,
        "name_offsets": records.file_names.offsets, "first": records.first, "labels": records.labels,
        "encoded": masks.encoded.data, "encoded_offsets": masks.encoded.offsets, "corners": masks.corners,
        "outlines": masks.outlines, "outlines_first": masks.first,
    }  # fmt: skip
    facts = {
        "classes": records.classes, "category_ids": records.category_ids,
        "left_out": None if left_out is None else list(left_out),
    }  # fmt: skip
    lists = {}
    for name, values in columns.items():
        ends, buffer = pa.array([0, len(values)], pa.int64()), pa.py_buffer(np.ascontiguousarray(values))
        flat = pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, buffer])
        lists[name] = pa.LargeListArray.from_arrays(ends, flat)
    batch = pa.record_batch(lists).replace_schema_metadata({"sparseinst": json.dumps(facts)})
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary, pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, batch.schema) as out:
        out.write_batch(batch)


def _keep(records: Records, path: Path) -> None:
    try:
        write_kept(path, records)
        keep_newest(path.parent, "*.arrow", most_bytes=_MOST_BYTES, but=path)
    except OSError as error:
        _LOGGER.warning("%s: cannot keep what was read (%s): it is read again next time", path, error)
