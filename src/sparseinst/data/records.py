"""Checks every record of COCO annotations, and packs what training needs into a few arrays."""

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.packed import Blobs, Masks
from sparseinst.data.record_fields import (
    ImageRecord,
    categories_of,
    field_of,
    identity_of,
    images_of,
    name_of,
    placeholder,
)
from sparseinst.data.segmentation import encode_segmentation
from sparseinst.errors import InputError, brief
from sparseinst.masks.runs import decode_runs

_LOGGER = logging.getLogger(__name__)
_T = TypeVar("_T")
_CHUNK = 4096
"""Masks decoded at once while checking."""
_NAMED = 5
"""Annotations that a warning names."""


@dataclass(frozen=True)
class Records:
    """What an annotation file holds, crowds and unusable annotations left out.

    Args:
        classes: C category names in the order of their ids.
        category_ids: C ids.
        image_ids: (n,) ids in the file's order.
        sizes_hw: (n, 2) heights and widths.
        file_names: n names.
        first: (n + 1,) where each image's annotations begin in `labels` and `masks`.
        labels: (a,) class indices.
        masks: of a instances.
        left_out: annotations whose masks cover no pixel.
    """

    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    image_ids: NDArray[np.int64]
    sizes_hw: NDArray[np.int64]
    file_names: Blobs
    first: NDArray[np.int64]
    labels: NDArray[np.int64]
    masks: Masks
    left_out: "LeftOut | None" = None

    def digest(self) -> str:
        """SHA-256 of all of it, as 64 hexadecimal digits."""
        parts = (self.image_ids, self.sizes_hw, self.file_names.data, self.first, self.labels)
        digest = hashlib.sha256("\n".join(self.classes).encode("utf-8", "surrogatepass"))
        for part in parts:
            digest.update(part.tobytes())
        for image, size in enumerate(self.sizes_hw.tolist()):
            for row in range(int(self.first[image]), int(self.first[image + 1])):
                digest.update(self.masks.counts(row, (size[0], size[1])))
        return digest.hexdigest()


class LeftOut(NamedTuple):
    """Annotations of a file whose masks cover no pixel of their image."""

    names: tuple[str, ...]
    """Of the first ones."""
    number: int
    of: int

    @classmethod
    def among(cls, names: Sequence[str], of: int) -> "LeftOut | None":
        """These of so many annotations; None where there are none."""
        return cls(tuple(names[:_NAMED]), len(names), of) if names else None

    def tell(self, path: Path) -> None:
        """Warns of them."""
        _LOGGER.warning(
            "%s: %d of %d annotations left out, whose masks cover no pixel of their image: correct or remove %s",
            path, self.number, self.of, ", ".join([*self.names, *["..."] * (self.number > len(self.names))]),
            extra={"left_out": self.number},
        )  # fmt: skip


def parse_records(path: Path, data: Mapping[str, Any]) -> Records:
    """Checks what an annotation file holds, or what another format was read to.

    Annotations whose mask covers no pixel of the image (too few points, no area, wholly outside) are left out, counted
    and logged in one warning; anything that is not COCO is an error.

    Args:
        path: of the file, for messages.
        data: its content.

    Raises:
        InputError: a record is malformed, naming the record and its field.
    """
    if not isinstance(data, Mapping):
        hint = " (a results list has no images)" if isinstance(data, list) else ""
        raise InputError(
            f"{path}: expected a COCO object with images, annotations and categories, got {brief(data)}{hint}: "
            "give the annotation file"
        )
    classes = categories_of(path, field_of(path, "the file", data, "categories", list))
    if (parent := placeholder(data)) is not None:
        _LOGGER.warning("%s: category %r left out: it is the parent that Roboflow adds", path, classes.pop(parent))
    images = images_of(path, field_of(path, "the file", data, "images", list))
    found, skipped = _annotations(path, data, images, {number: k for k, number in enumerate(classes)})
    found, empty = _seen(path, found)
    left_out = LeftOut.among([*skipped, *empty], len(data["annotations"]))
    if left_out is not None:
        left_out.tell(path)
    targets = [item for item in found if not item.crowd]  # a crowd is never a target
    owners = np.array([item.image.row for item in targets], np.int64)
    order = np.argsort(owners, kind="stable")
    return Records(
        tuple(classes.values()),
        tuple(classes),
        np.array(list(images), np.int64),
        np.array([record.size_hw for record in images.values()], np.int64).reshape(-1, 2),
        Blobs.pack([record.file_name.encode("utf-8", "surrogatepass") for record in images.values()]),
        np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(images)))]),
        np.array([item.label for item in targets], np.int64)[order],
        Masks.of([targets[i].counts for i in order]),
        left_out,
    )


class _Annotation(NamedTuple):
    name: str
    """For messages."""
    image: ImageRecord
    label: int
    crowd: bool
    counts: bytes
    """The encoded runs of its mask."""


def _annotations(
    path: Path, data: Mapping[str, Any], images: Mapping[int, ImageRecord], labels: Mapping[int, int]
) -> tuple[list[_Annotation], list[str]]:
    """Every annotation of a file, and the names of those that have too few points for a mask."""
    found: list[_Annotation] = []
    skipped: list[str] = []
    seen: set[int | None] = set()
    for number, annotation in enumerate(field_of(path, "the file", data, "annotations", list)):
        name = name_of("annotation", number, annotation)
        key = identity_of(path, name, annotation)
        if key is not None and key in seen:
            raise InputError(f"{path}: {name}: expected a unique id, got {key} twice: renumber the annotations")
        seen.add(key)
        image = _look_up(path, name, annotation, "image_id", images, "image")
        label = _look_up(path, name, annotation, "category_id", labels, "category")
        where = f"{path}: {name} (image {image.file_name})"
        encoded = encode_segmentation(where, annotation.get("segmentation"), image.size_hw)
        if encoded is None:
            skipped.append(name)
        else:
            found.append(_Annotation(name, image, label, bool(annotation.get("iscrowd")), encoded))
    return found, skipped


def _look_up(path: Path, name: str, record: Mapping[str, Any], key: str, table: Mapping[int, _T], kind: str) -> _T:
    number = field_of(path, name, record, key, int)
    if number not in table:
        raise InputError(
            f"{path}: {name}: expected {key} to be that of one of the {len(table)} {kind} records, "
            f"got {number}: add the {kind} or remove the annotation"
        )
    return table[number]


def _seen(path: Path, annotations: Sequence[_Annotation]) -> tuple[list[_Annotation], list[str]]:
    """Those whose masks cover a pixel, and the names of the others; each mask has to fit its image."""
    kept: list[_Annotation] = []
    empty: list[str] = []
    for start in range(0, len(annotations), _CHUNK):
        chunk = annotations[start : start + _CHUNK]
        expected = np.array([math.prod(item.image.size_hw) for item in chunk])
        try:
            runs = decode_runs([item.counts for item in chunk])
        except ValueError:
            _report_damage(path, chunk)
            raise
        wrong = runs.totals != expected
        if wrong.any():
            first = int(wrong.argmax())
            raise InputError(
                f"{path}: {chunk[first].name}: expected the runs of its mask to add up to the image's "
                f"{expected[first]} pixels, got {runs.totals[first]}: write the annotation again"
            )
        for item, area in zip(chunk, runs.areas, strict=True):
            if area:
                kept.append(item)
            else:
                empty.append(item.name)
    return kept, empty


def _report_damage(path: Path, annotations: Sequence[_Annotation]) -> None:
    for item in annotations:
        try:
            decode_runs([item.counts])
        except ValueError as error:
            raise InputError(f"{path}: {item.name}: segmentation: {error}: write the annotation again") from error
