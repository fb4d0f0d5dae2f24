"""The rows of a result, read back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds

from sparseinst.data.formats.reading import read_content
from sparseinst.data.formats.source import Split
from sparseinst.data.records import parse_records
from sparseinst.errors import InputError, listed
from sparseinst.parsing import read_json, readable
from sparseinst.scale.rows import OK
from sparseinst.structures import Instances

ROWS, JOB = "rows", "job.json"
"""What a result's folder holds: the folder of Parquet files, and what they were made by."""

_WRITTEN, _AGAIN = (
    "rows that `sparseinst batch` wrote",
    "remove the file that is named; the same command makes it again",
)
_AT_ONCE = 1024
"""Rows held at once."""


def read_rows(folder: str | Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a result, as dicts, in the order of the input.

    Args:
        folder: of the result.
        columns: which of them; None is all.

    Raises:
        InputError: it is no such folder.
    """
    rows: list[dict[str, Any]] | None = []
    batches = _dataset(Path(folder)).to_batches(columns=columns, batch_size=_AT_ONCE)
    while rows is not None:
        yield from rows
        with readable(folder, expected=_WRITTEN, hint=_AGAIN):
            rows = next((batch.to_pylist() for batch in batches), None)


def read_job(folder: str | Path) -> dict[str, Any]:
    """What a result was made by: model, settings, version, input.

    Raises:
        InputError: it is no folder of a result.
    """
    job: dict[str, Any] = read_json(Path(folder) / JOB, expected="what `sparseinst batch` wrote about its result")
    return job


def instances_of(row: dict[str, Any], classes: tuple[str, ...]) -> Instances:
    """The instances of a row.

    Args:
        row: of `read_rows`, not a failed one.
        classes: class names by label, at least all that the row names.
    """
    found = row["instances"]
    return Instances(
        np.array([item["score"] for item in found], np.float32),
        np.array([classes.index(item["class"]) for item in found], np.int64),
        tuple(item["rle"].encode() for item in found),
        np.arange(len(found)),
        (row["height"], row["width"]),
        classes=classes,
    )


def coco_results(folder: str | Path, annotations: str | Path) -> list[dict[str, Any]]:
    """A result as a COCO results list; classes that the annotations do not know are left out.

    Args:
        folder: of the result.
        annotations: COCO file, whose images are found in the result by `file_name`: the whole path, or its end.

    Raises:
        InputError: one of its images is not in the result, is there twice, or failed.
    """
    path = Path(annotations)
    records = parse_records(path, read_content(Split(images=path.parent, annotations=path)))
    category_ids = dict(zip(records.classes, records.category_ids, strict=True))
    names = [records.file_names[place].decode() for place in range(len(records.image_ids))]
    ids = {name: int(image_id) for name, image_id in zip(names, records.image_ids, strict=True)}
    ends = {name.rpartition("/")[2]: name for name in names}
    results: list[dict[str, Any]] = []
    seen: set[str] = set()
    for row in read_rows(folder):
        name = row["image"] if row["image"] in ids else ends.get(row["image"].rpartition("/")[2])
        if name is None:
            continue
        if name in seen:
            raise InputError(f"{folder}: expected one row for {name}, got several: name images apart by their paths")
        seen.add(name)
        if row["status"] != OK:
            raise InputError(
                f"{folder}: {name} failed ({row['error']}): mend the image, and predict into another folder"
            )
        results += (
            {
                "image_id": ids[name], "category_id": category_ids[item["class"]], "score": item["score"],
                "segmentation": {"size": [row["height"], row["width"]], "counts": item["rle"]},
            }
            for item in row["instances"] if item["class"] in category_ids
        )  # fmt: skip
    missing = [name for name in names if name not in seen]
    if missing:
        raise InputError(
            f"{folder}: expected rows for all {len(names)} images of {annotations}, {len(missing)} are missing "
            f"({listed(missing)}): finish the batch job, or give its annotations"
        )
    return results


def _dataset(folder: Path) -> Any:
    files = sorted((folder / ROWS).glob("*.parquet"))
    if not files:
        raise InputError(f"{folder}: expected a folder that `sparseinst batch` wrote, found no rows: check the path")
    with readable(folder, expected=_WRITTEN, hint=_AGAIN):
        return ds.dataset([str(file) for file in files], format="parquet")
