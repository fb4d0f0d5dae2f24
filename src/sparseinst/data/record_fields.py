"""Fields of the records of COCO annotations, each checked: its images, categories and ids."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparseinst.errors import InputError, brief

LONGEST_PX = 1_000_000
"""Longer sides are damage, not images."""


@dataclass(frozen=True)
class ImageRecord:
    """An image of an annotation file: its place among all, its name and its size."""

    row: int
    file_name: str
    size_hw: tuple[int, int]


def images_of(path: Path, records: list[Any]) -> dict[int, ImageRecord]:
    """Images by id, in the order of the file, of checked image records."""
    images: dict[int, ImageRecord] = {}
    for number, record in enumerate(records):
        name = name_of("image", number, record)
        key = field_of(path, name, record, "id", int)
        if key in images:
            raise InputError(f"{path}: {name}: expected a unique id, got {key} twice: renumber the images")
        size = (field_of(path, name, record, "height", int), field_of(path, name, record, "width", int))
        if min(size) < 1 or max(size) > LONGEST_PX:
            raise InputError(
                f"{path}: {name}: expected a height and width in 1..{LONGEST_PX} pixels, got {size}: correct the record"
            )
        images[key] = ImageRecord(number, field_of(path, name, record, "file_name", str), size)
    if not images:
        raise InputError(f"{path}: expected at least one image, got none: add the images")
    return images


def categories_of(path: Path, records: list[Any]) -> dict[int, str]:
    """Names by id, in the order of ids, of checked category records."""
    classes: dict[int, str] = {}
    titles: set[str] = set()
    for number, record in enumerate(records):
        name = name_of("category", number, record)
        key = field_of(path, name, record, "id", int)
        if key in classes:
            raise InputError(f"{path}: {name}: expected a unique id, got {key} twice: renumber the categories")
        title = field_of(path, name, record, "name", str)
        if title in titles:
            raise InputError(f"{path}: {name}: expected a unique name, got {brief(title)} twice: rename or merge them")
        classes[key] = title
        titles.add(title)
    if not classes:
        raise InputError(f"{path}: expected at least one category, got none: add the categories")
    return dict(sorted(classes.items()))


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


def field_of(path: Path, name: str, record: object, key: str, kind: type) -> Any:
    """A field of a record, which has to be of that type: a whole number, text or a list."""
    words = {int: "a whole number", str: "text", list: "a list"}
    if not isinstance(record, Mapping):
        raise InputError(f"{path}: {name}: expected an object, got {brief(record)}: write the file again")
    if key not in record:
        raise InputError(f"{path}: {name}: expected the field {key!r}, found none: is this a COCO annotation file?")
    value = record[key]
    if type(value) is not kind or (isinstance(value, int) and abs(value) >= 2**63):
        raise InputError(f"{path}: {name}: expected {key} to be {words[kind]}, got {brief(value)}: correct the record")
    return value


def identity_of(path: Path, name: str, annotation: object) -> int | None:
    """The annotation's id; a file without ids is fine."""
    if isinstance(annotation, Mapping) and annotation.get("id") is None:
        return None
    return int(field_of(path, name, annotation, "id", int))


def name_of(kind: str, number: int, record: object) -> str:
    """What a message calls a record: by its id, or by its place in the file."""
    key = record.get("id") if isinstance(record, Mapping) else None
    return f"{kind} number {number}" if key is None else f"{kind} {brief(key)}"
