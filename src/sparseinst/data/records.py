"""Checks every record of COCO annotations, and packs what training needs into a few arrays."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.packed import Blobs, Masks
from sparseinst.data.segmentation import encode_segmentation
from sparseinst.errors import InputError, brief
from sparseinst.masks.runs import decode_runs

_LOGGER = logging.getLogger(__name__)
LONGEST_PX = 1_000_000
"""Longer sides are damage, not images."""
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
    classes = categories_of(path, _field(path, "the file", data, "categories", list))
    if (parent := placeholder(data)) is not None:
        _LOGGER.warning("%s: category %r left out: it is the parent that Roboflow adds", path, classes.pop(parent))
    images = _images(path, _field(path, "the file", data, "images", list))
    masks = _Found(
        path, _field(path, "the file", data, "annotations", list), images, {i: k for k, i in enumerate(classes)}
    )
    order = np.argsort(np.array(masks.owners, np.int64), kind="stable")
    counts = np.bincount(np.array(masks.owners, np.int64), minlength=len(images))
    return Records(
        tuple(classes.values()),
        tuple(classes),
        np.array(list(images), np.int64),
        np.array([record.size_hw for record in images.values()], np.int64).reshape(-1, 2),
        Blobs.pack([record.file_name.encode("utf-8", "surrogatepass") for record in images.values()]),
        np.concatenate([[0], np.cumsum(counts)]),
        np.array(masks.labels, np.int64)[order],
        Masks.of([masks.counts[i] for i in order]),
        masks.left_out,
    )


@dataclass(frozen=True)
class _Image:
    row: int
    file_name: str
    size_hw: tuple[int, int]


@dataclass
class _Found:
    """The usable masks of a file, in the file's order."""

    path: Path
    annotations: list[Any]
    images: dict[int, _Image]
    classes: dict[int, int]
    owners: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    crowds: list[bool] = field(default_factory=list)
    counts: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        skipped: list[str] = []
        names: list[str] = []
        seen: set[object] = set()
        for number, annotation in enumerate(self.annotations):
            name = _name("annotation", number, annotation)
            if (key := _identity(self.path, name, annotation)) is not None and key in seen:
                raise InputError(
                    f"{self.path}: {name}: expected a unique id, got {key} twice: renumber the annotations"
                )
            seen.add(key)
            image = self._look_up(name, annotation, "image_id", self.images, "image")
            label = self._look_up(name, annotation, "category_id", self.classes, "category")
            where = f"{self.path}: {name} (image {image.file_name})"
            encoded = encode_segmentation(where, annotation.get("segmentation"), image.size_hw)
            if encoded is None:
                skipped.append(name)
                continue
            names.append(name)
            self.owners.append(image.row)
            self.labels.append(label)
            self.crowds.append(bool(annotation.get("iscrowd")))
            self.counts.append(encoded)
        skipped += self._drop_empty(names)
        self.left_out = LeftOut.among(skipped, len(self.annotations))
        if self.left_out is not None:
            self.left_out.tell(self.path)

    def _look_up(self, name: str, record: Mapping[str, Any], key: str, table: Mapping[int, Any], kind: str) -> Any:
        number = _field(self.path, name, record, key, int)
        if number not in table:
            raise InputError(
                f"{self.path}: {name}: expected {key} to be that of one of the {len(table)} {kind} records, "
                f"got {number}: add the {kind} or remove the annotation"
            )
        return table[number]

    def _drop_empty(self, names: list[str]) -> list[str]:
        """Checks that masks decode to their images' sizes; drops crowds and masks without a pixel, and names these."""
        sizes = {image.row: image.size_hw[0] * image.size_hw[1] for image in self.images.values()}
        keep: list[int] = []
        for start in range(0, len(names), _CHUNK):
            chunk = range(start, min(start + _CHUNK, len(names)))
            expected = np.array([sizes[self.owners[i]] for i in chunk])
            try:
                runs = decode_runs([self.counts[i] for i in chunk])
            except ValueError:
                self._report_damage([names[i] for i in chunk], [self.counts[i] for i in chunk])
                raise
            for offset in np.flatnonzero(runs.totals != expected)[:1]:
                raise InputError(
                    f"{self.path}: {names[start + offset]}: expected the runs of its mask to add up to the image's "
                    f"{expected[offset]} pixels, got {runs.totals[offset]}: write the annotation again"
                )
            keep += [start + int(i) for i in np.flatnonzero(runs.areas)]
        kept = set(keep)
        keep = [i for i in keep if not self.crowds[i]]  # a crowd is never a target
        self.owners = [self.owners[i] for i in keep]
        self.labels = [self.labels[i] for i in keep]
        self.counts = [self.counts[i] for i in keep]
        return [name for i, name in enumerate(names) if i not in kept]

    def _report_damage(self, names: list[str], counts: list[bytes]) -> None:
        for name, item in zip(names, counts, strict=True):
            try:
                decode_runs([item])
            except ValueError as error:
                raise InputError(f"{self.path}: {name}: segmentation: {error}: write the annotation again") from error


def placeholder(data: Mapping[str, Any]) -> int | None:
    """The id of the category that Roboflow puts above the others in its COCO files; None where there is none.

    It has no annotation, no parent (`supercategory` none), and is named as the parent of all the others.
    """
    categories = [item for item in data["categories"] if isinstance(item, Mapping)]
    parents = [item for item in categories if item.get("supercategory") == "none"]
    if len(parents) != 1 or len(categories) < 2:
        return None
    name, key = parents[0].get("name"), parents[0].get("id")
    others = [item for item in categories if item.get("id") != key]
    annotations = data.get("annotations")
    listed = annotations if isinstance(annotations, list) else ()
    used = any(isinstance(item, Mapping) and item.get("category_id") == key for item in listed)
    if used or any(item.get("supercategory") != name for item in others):
        return None
    return int(key) if isinstance(key, int) else None


def categories_of(path: Path, records: list[Any]) -> dict[int, str]:
    """Names by id, in the order of ids, of checked category records."""
    classes: dict[int, str] = {}
    titles: set[str] = set()
    for number, record in enumerate(records):
        name = _name("category", number, record)
        key = _field(path, name, record, "id", int)
        if key in classes:
            raise InputError(f"{path}: {name}: expected a unique id, got {key} twice: renumber the categories")
        title = _field(path, name, record, "name", str)
        if title in titles:
            raise InputError(f"{path}: {name}: expected a unique name, got {brief(title)} twice: rename or merge them")
        classes[key] = title
        titles.add(title)
    if not classes:
        raise InputError(f"{path}: expected at least one category, got none: add the categories")
    return dict(sorted(classes.items()))


def _images(path: Path, records: list[Any]) -> dict[int, _Image]:
    images: dict[int, _Image] = {}
    for number, record in enumerate(records):
        name = _name("image", number, record)
        key = _field(path, name, record, "id", int)
        if key in images:
            raise InputError(f"{path}: {name}: expected a unique id, got {key} twice: renumber the images")
        size = (_field(path, name, record, "height", int), _field(path, name, record, "width", int))
        if min(size) < 1 or max(size) > LONGEST_PX:
            raise InputError(
                f"{path}: {name}: expected a height and width in 1..{LONGEST_PX} pixels, got {size}: correct the record"
            )
        images[key] = _Image(number, _field(path, name, record, "file_name", str), size)
    if not images:
        raise InputError(f"{path}: expected at least one image, got none: add the images")
    return images


def _field(path: Path, name: str, record: object, key: str, kind: type) -> Any:
    words = {int: "a whole number", str: "text", list: "a list"}
    if not isinstance(record, Mapping):
        raise InputError(f"{path}: {name}: expected an object, got {brief(record)}: write the file again")
    if key not in record:
        raise InputError(f"{path}: {name}: expected the field {key!r}, found none: is this a COCO annotation file?")
    value = record[key]
    if type(value) is not kind or (isinstance(value, int) and abs(value) >= 2**63):
        raise InputError(f"{path}: {name}: expected {key} to be {words[kind]}, got {brief(value)}: correct the record")
    return value


def _identity(path: Path, name: str, annotation: object) -> int | None:
    """The annotation's id; a file without ids is fine."""
    if isinstance(annotation, Mapping) and annotation.get("id") is None:
        return None
    return int(_field(path, name, annotation, "id", int))


def _name(kind: str, number: int, record: object) -> str:
    key = record.get("id") if isinstance(record, Mapping) else None
    return f"{kind} number {number}" if key is None else f"{kind} {brief(key)}"
