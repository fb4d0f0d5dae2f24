"""COCO records looked through one by one, where reading for training stops at the first that is malformed.

What comes out (`Tidy`) is what can be kept: unique ids, records that are whole, masks that have pixels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sparseinst.data.check.findings import Findings
from sparseinst.data.formats.content import Content
from sparseinst.data.record_fields import LONGEST_PX, placeholder
from sparseinst.data.segmentation import encode_segmentation
from sparseinst.errors import InputError, brief
from sparseinst.masks.runs import decode_runs

Record = dict[str, Any]


@dataclass
class Tidy:
    """The records of one part that can be kept.

    Args:
        categories: with unique ids and names.
        images: with unique ids.
        annotations: of these images and categories, each with its mask.
        masks: each annotation's mask, compressed.
    """

    categories: list[Record] = field(default_factory=list)
    images: list[Record] = field(default_factory=list)
    annotations: list[Record] = field(default_factory=list)
    masks: list[bytes] = field(default_factory=list)

    def content(self) -> Content:
        """As COCO records, annotations numbered anew."""
        numbered = [{**item, "id": number} for number, item in enumerate(self.annotations, 1)]
        return {"images": self.images, "annotations": numbered, "categories": self.categories}

    def sizes(self) -> dict[int, tuple[int, int]]:
        """Height and width of each image."""
        return {item["id"]: (item["height"], item["width"]) for item in self.images}

    def without_images(self, names: set[str]) -> "Tidy":
        """The same without the images of these file names."""
        images = [item for item in self.images if item["file_name"] not in names]
        return Tidy(self.categories, images, self.annotations, self.masks).of_images({item["id"] for item in images})

    def of_images(self, keys: set[int]) -> "Tidy":
        """The same with the annotations of these images alone."""
        return self.kept([item["image_id"] in keys for item in self.annotations])

    def kept(self, keep: list[bool]) -> "Tidy":
        """The same with those annotations that are to be kept."""
        pairs = [pair for pair, stay in zip(zip(self.annotations, self.masks, strict=True), keep, strict=True) if stay]
        return Tidy(self.categories, self.images, [a for a, _ in pairs], [m for _, m in pairs])

    def by_image(self) -> dict[int, list[int]]:
        """The places of each image's annotations, crowds left out."""
        places: dict[int, list[int]] = {item["id"]: [] for item in self.images}
        for place, item in enumerate(self.annotations):
            if not item.get("iscrowd"):
                places[item["image_id"]].append(place)
        return places


def tidy(content: Mapping[str, Any], findings: Findings) -> Tidy:
    """Keeps what can be kept of a part's records, and tells of the rest."""
    kept = Tidy()
    listed = isinstance(content, Mapping) and isinstance(content.get("categories"), list)
    parent = placeholder(content) if listed else None
    kept.categories = list(_categories(content, parent, findings))
    kept.images = list(_images(content, findings))
    names = {item["id"]: item["file_name"] for item in kept.images}
    sizes, known = kept.sizes(), {item["id"] for item in kept.categories}
    seen: set[object] = set()
    for number, item in enumerate(_records(content, "annotations", findings)):
        if any(isinstance(item.get(key), list | dict) for key in ("id", "image_id", "category_id")):
            findings.add("malformed record", "", f"annotation {brief(item)}")
            continue
        where = names.get(item.get("image_id", -1), "")
        if item.get("image_id") not in names or item.get("category_id") not in known:
            text = (
                f"annotation {item.get('id', number)}: image {item.get('image_id')}, category {item.get('category_id')}"
            )
            findings.add("annotation of no image or category", where, text)
            continue
        if item.get("id") is not None and item["id"] in seen:
            findings.add("id used twice", where, f"annotation {item['id']}")
        seen.add(item.get("id"))
        counts = _mask(item, number, where, sizes[item["image_id"]], findings)
        if counts is not None:
            kept.annotations.append(item)
            kept.masks.append(counts)
    return kept


def _mask(item: Record, number: int, image: str, size_hw: tuple[int, int], findings: Findings) -> bytes | None:
    """The mask of an annotation; None where there is none, which is told."""
    name = f"annotation {item.get('id', number)}"
    try:
        counts = encode_segmentation(name, item.get("segmentation"), size_hw)
        runs = None if counts is None else decode_runs([counts])
    except (InputError, ValueError) as error:
        findings.add("malformed record", image, str(error))
        return None
    if runs is not None and runs.totals[0] != size_hw[0] * size_hw[1]:
        findings.add("malformed record", image, f"{name}: {runs.totals[0]} pixels, the image has other")
        return None
    if runs is None or not runs.areas[0]:
        findings.add("mask without a pixel", image, name)
        return None
    return counts


def _categories(content: Mapping[str, Any], parent: int | None, findings: Findings) -> Iterator[Record]:
    ids: set[int] = set()
    names: set[str] = set()
    for item in _records(content, "categories", findings):
        key, name = item.get("id"), item.get("name")
        if type(key) is not int or not isinstance(name, str):
            findings.add("malformed record", "", f"category {brief(item)}")
        elif key == parent:
            findings.add("parent class of Roboflow", "", name)
        elif key in ids or name in names:
            findings.add("id used twice", "", f"category {key} {name}")
        else:
            ids.add(key)
            names.add(name)
            yield item


def _images(content: Mapping[str, Any], findings: Findings) -> Iterator[Record]:
    ids: set[int] = set()
    for item in _records(content, "images", findings):
        key, name = item.get("id"), item.get("file_name")
        sides = (item.get("height"), item.get("width"))
        sized = all(type(side) is int and 1 <= side <= LONGEST_PX for side in sides)
        if type(key) is not int or not isinstance(name, str) or not sized:
            findings.add("malformed record", str(name or ""), f"image {brief(item)}")
        elif key in ids:
            findings.add("id used twice", name, f"image {key}")
        else:
            ids.add(key)
            yield item


def _records(content: Mapping[str, Any], key: str, findings: Findings) -> Iterator[Record]:
    values = content.get(key) if isinstance(content, Mapping) else None
    if not isinstance(values, list):
        findings.add("malformed record", "", f"{key}: expected a list, got {brief(values)}")
        return
    for item in values:
        if isinstance(item, dict):
            yield item
        else:
            findings.add("malformed record", "", f"{key}: expected an object, got {brief(item)}")
