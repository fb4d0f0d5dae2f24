"""COCO files of any size, read in a stream of typed records: in a third of the time and memory of JSON's own objects.

What is not plain (a field of another type, an unknown id, a mask of another size) is left to `records.parse_records`,
which says what is wrong; what is read here is what that would give.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparseinst.collection import collection_paused
from sparseinst.data.outlines import Outlines, is_surely_seen
from sparseinst.data.packed import Blobs, Masks, starts
from sparseinst.data.record_fields import LONGEST_PX, categories_of, placeholder
from sparseinst.data.records import LeftOut, Records
from sparseinst.data.segmentation import encode_rle
from sparseinst.errors import InputError
from sparseinst.masks import rle
from sparseinst.masks.runs import decode_runs

_CHUNK = 16384
"""Annotations whose masks are looked at together."""


class _Image(msgspec.Struct, gc=False):
    id: int
    file_name: str
    height: int
    width: int


class _Annotation(msgspec.Struct, gc=False):
    image_id: int
    category_id: int
    segmentation: msgspec.Raw
    id: int | None = None
    iscrowd: int | None = None


class _Rle(msgspec.Struct, gc=False):
    size: list[int]
    counts: str | list[int]


class _File(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[dict[str, Any]]


class _NotPlain(Exception):
    """Something that `parse_records` is to judge."""


class _Chunk(NamedTuple):
    """Masks of some annotations; those that cover no pixel have neither outlines nor an encoding."""

    encoded: list[bytes]
    outlines: Outlines
    keep: NDArray[np.bool_]


_SEGMENTATIONS = msgspec.json.Decoder(list[list[list[float]] | _Rle])


@collection_paused()
def read_quickly(path: Path) -> Records | None:
    """What `parse_records` gives of a COCO file; None where that has to look at it.

    Polygons stay outlines, checked and drawn only where it is not certain that they cover a pixel. No warning is given.
    """
    try:
        with path.open("rb") as file:
            # closed by the last of those that look into it
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _records(path, content)
    except (OSError, ValueError, _NotPlain, InputError, msgspec.MsgspecError, OverflowError, RecursionError):
        return None


def _records(path: Path, content: mmap.mmap) -> Records:
    data = msgspec.json.decode(content, type=_File)
    classes = categories_of(path, data.categories)
    if not data.images or placeholder({"categories": data.categories}) is not None:
        raise _NotPlain
    ids = np.array([image.id for image in data.images], np.int64)
    sizes = np.array([(image.height, image.width) for image in data.images], np.int64)
    names = Blobs.pack([image.file_name.encode() for image in data.images])
    _require(len(np.unique(ids)) == len(ids), sizes.min() >= 1, sizes.max() <= LONGEST_PX)
    own = [annotation.id for annotation in data.annotations if annotation.id is not None]
    _require(len(set(own)) == len(own), max(map(abs, own), default=0) < 2**63)
    owners = _rows(ids, np.array([annotation.image_id for annotation in data.annotations], np.int64))
    labels = _rows(np.array(list(classes), np.int64), np.array([a.category_id for a in data.annotations], np.int64))
    crowds = np.array([bool(annotation.iscrowd) for annotation in data.annotations], np.bool_)
    encoded: list[bytes] = []
    outlines: list[Outlines] = []
    keeps = [np.zeros(0, np.bool_)]
    for chunk in _chunks(path, data.annotations, sizes[owners]):
        encoded += chunk.encoded
        outlines.append(chunk.outlines)
        keeps.append(chunk.keep)
        if hasattr(mmap, "MADV_DONTNEED"):
            content.madvise(mmap.MADV_DONTNEED)  # what was looked at needs no memory
    seen = np.concatenate(keeps)
    empty = [
        f"annotation number {row}" if (key := data.annotations[row].id) is None else f"annotation {key}"
        for row in np.flatnonzero(~seen).tolist()
    ]
    del data
    rows = np.flatnonzero(seen & ~crowds)
    rows = rows[np.argsort(owners[rows], kind="stable")]
    masks = Masks(Blobs.pack([encoded[row] for row in rows.tolist()]), *Outlines.joined(outlines, rows))
    return Records(
        tuple(classes.values()), tuple(classes), ids, sizes, names,
        starts(np.bincount(owners[rows], minlength=len(ids))), labels[rows], masks, LeftOut.among(empty, len(seen)),
    )  # fmt: skip


def _chunks(path: Path, annotations: list[_Annotation], sizes_hw: NDArray[np.int64]) -> Iterator[_Chunk]:
    for start in range(0, len(annotations), _CHUNK):
        part = annotations[start : start + _CHUNK]
        text = b"[" + b",".join([annotation.segmentation for annotation in part]) + b"]"
        for annotation in part:
            annotation.segmentation = msgspec.Raw()
        yield _chunk(str(path), _SEGMENTATIONS.decode(text), sizes_hw[start : start + _CHUNK])


def _chunk(where: str, items: list[list[list[float]] | _Rle], sizes_hw: NDArray[np.int64]) -> _Chunk:
    outlines = Outlines.of([item if isinstance(item, list) else [] for item in items], sizes_hw)
    if outlines is None:
        raise _NotPlain
    encoded = [b""] * len(items)
    for row in np.flatnonzero(~is_surely_seen(outlines, sizes_hw)).tolist():
        item, size_hw = items[row], (int(sizes_hw[row, 0]), int(sizes_hw[row, 1]))
        if isinstance(item, _Rle):
            encoded[row] = encode_rle(where, {"size": item.size, "counts": item.counts}, size_hw)
        elif parts := outlines.parts(row):
            encoded[row] = rle.from_polygons(parts, size_hw)
    drawn = np.array([row for row, item in enumerate(encoded) if item], np.int64)
    runs = decode_runs([encoded[row] for row in drawn.tolist()])
    _require(np.array_equal(runs.totals, sizes_hw[drawn].prod(axis=1)))
    keep = np.diff(outlines.first) > 0
    keep[drawn] = runs.areas > 0
    stay = keep.copy()
    stay[drawn] = False
    return _Chunk(encoded, outlines.only(stay).shortened(), keep)


def _rows(known: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each id is among the known ones."""
    order = np.argsort(known)
    places = np.searchsorted(known, asked, sorter=order).clip(max=len(known) - 1)
    rows: NDArray[np.int64] = order[places]
    _require(np.array_equal(known[rows], asked))
    return rows


def _require(*conditions: object) -> None:
    if not all(conditions):
        raise _NotPlain
