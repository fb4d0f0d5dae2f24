"""A COCO annotation file with mistakes made on purpose, and where they are."""

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sparseinst.data.segmentation import encode_segmentation
from sparseinst.masks import rle

WAYS = ("removed", "class", "outline", "added")
"""An object without an annotation; one of another class; a mask moved by a quarter of its sides; one of nothing."""
_MOVED = 4
_APART = 0.1
"""Highest IoU of an added mask with what is annotated."""

Record = dict[str, Any]


class Mistake(NamedTuple):
    """One spoiled annotation.

    Args:
        way: one of `WAYS`.
        image_id: where.
        annotation_id: the annotation that is wrong; None where it was removed.
        counts: its mask; that of the object where it was removed.
    """

    way: str
    image_id: int
    annotation_id: int | None
    counts: bytes


def spoil(content: Mapping[str, Any], *, part: float, seed: int = 0) -> tuple[dict[str, Any], list[Mistake]]:
    """Spoils a part of the annotations, as many in each of the four ways."""
    rng = random.Random(seed)
    content = copy.deepcopy(dict(content))
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    annotations: list[Record] = content["annotations"]
    masks = {item["id"]: _mask(item, sizes[item["image_id"]]) for item in annotations}
    each = round(part * len(annotations) / len(WAYS))
    chosen = rng.sample(annotations, each * len(WAYS))
    categories = [item["id"] for item in content["categories"]]
    spoilers: dict[str, Callable[[Record], Mistake]] = {
        "removed": lambda item: _remove(annotations, item, masks[item["id"]]),
        "class": lambda item: _change_class(item, categories, masks[item["id"]], rng),
        "outline": lambda item: _move(item, masks[item["id"]], sizes[item["image_id"]], rng),
        "added": lambda item: _add(annotations, item, masks, sizes, rng),
    }
    mistakes = [spoilers[WAYS[number // each]](item) for number, item in enumerate(chosen)]
    return content, mistakes


def _mask(item: Record, size_hw: tuple[int, int]) -> bytes:
    counts = encode_segmentation("annotation", item["segmentation"], size_hw)
    assert counts is not None
    return counts


def _remove(annotations: list[Record], item: Record, counts: bytes) -> Mistake:
    annotations.remove(item)
    return Mistake("removed", item["image_id"], None, counts)


def _change_class(item: Record, categories: Sequence[int], counts: bytes, rng: random.Random) -> Mistake:
    item["category_id"] = rng.choice([key for key in categories if key != item["category_id"]])
    return Mistake("class", item["image_id"], item["id"], counts)


def _move(item: Record, counts: bytes, size_hw: tuple[int, int], rng: random.Random) -> Mistake:
    x0, y0, x1, y1 = rle.boxes_xyxy([counts], size_hw)[0].astype(int)
    down, right = (rng.choice((-1, 1)) * max(1, side // _MOVED) for side in (y1 - y0, x1 - x0))
    (mask,) = rle.decode([counts], size_hw)
    moved = np.zeros_like(mask)
    rows, columns = np.nonzero(mask)
    rows, columns = rows + down, columns + right
    inside = (rows >= 0) & (rows < size_hw[0]) & (columns >= 0) & (columns < size_hw[1])
    moved[rows[inside], columns[inside]] = True
    _set(item, moved)
    return Mistake("outline", item["image_id"], item["id"], rle.encode(moved[None])[0])


def _add(
    annotations: list[Record],
    item: Record,
    masks: Mapping[int, bytes],
    sizes: Mapping[int, tuple[int, int]],
    rng: random.Random,
) -> Mistake:
    """The mask of another image's object where nothing is annotated; `item` says in which image."""
    size = sizes[item["image_id"]]
    (there,) = [np.stack([rle.decode([masks[a["id"]]], size)[0] for a in annotations
                          if a["image_id"] == item["image_id"] and a["id"] in masks])]  # fmt: skip
    while True:
        other = rng.choice(annotations)
        if other["id"] not in masks or sizes[other["image_id"]] != size or other["image_id"] == item["image_id"]:
            continue
        (mask,) = rle.decode([masks[other["id"]]], size)
        common = (there & mask).sum((1, 2)) / np.maximum((there | mask).sum((1, 2)), 1)
        if common.max() <= _APART:
            break
    record = {**item, "id": max(a["id"] for a in annotations) + 1, "category_id": other["category_id"]}
    _set(record, mask)
    annotations.append(record)
    return Mistake("added", item["image_id"], record["id"], rle.encode(mask[None])[0])


def _set(item: Record, mask: np.ndarray) -> None:
    item["segmentation"] = {"size": list(mask.shape), "counts": rle.encode(mask[None])[0].decode("ascii")}
    item["area"] = int(mask.sum())
