"""What the annotations of a part are like, once each has a mask."""

from collections import Counter

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

from sparseinst.data.check.findings import Findings
from sparseinst.data.check.polygons import crosses_itself, reaches_out
from sparseinst.data.check.records import Tidy
from sparseinst.masks import rle

_TINY_PX = 10
"""Pixels: 3 x 3 and less."""
_SAME_IOU = 0.9
_RARE = 10
"""Objects of a class below which a network learns next to nothing of it."""
_UNEVEN = 100
"""Times that the most frequent class may have the objects of the rarest."""


def check_masks(kept: Tidy, findings: Findings) -> Tidy:
    """Tells of masks that are odd.

    Returns:
        What is left without second annotations of one object.
    """
    sizes, keep = kept.sizes(), [True] * len(kept.annotations)
    names = {item["id"]: item["file_name"] for item in kept.images}
    for key, places in kept.by_image().items():
        rles = [kept.masks[place] for place in places]
        for place, area in zip(places, rle.areas(rles, sizes[key]), strict=True):
            if area < _TINY_PX:
                findings.add("tiny mask", names[key], f"{area:.0f} pixels", [kept.masks[place]])
        for one, other in _same(rles, sizes[key]):
            pair = [rles[one], rles[other]]
            a, b = (kept.annotations[places[i]] for i in (one, other))
            if a["category_id"] != b["category_id"]:
                findings.add("one mask, two classes", names[key], _names_of(kept, a, b), pair)
            elif keep[places[one]]:
                findings.add("object annotated twice", names[key], _names_of(kept, a), pair)
                keep[places[other]] = False
    for item, counts in zip(kept.annotations, kept.masks, strict=True):
        if item.get("iscrowd"):
            findings.add("crowd region", names[item["image_id"]], "", [counts])
        polygons = item["segmentation"] if isinstance(item["segmentation"], list) else []
        if any(crosses_itself(polygon) for polygon in polygons):
            findings.add("polygon that crosses itself", names[item["image_id"]], _names_of(kept, item), [counts])
        if any(reaches_out(polygon, sizes[item["image_id"]]) for polygon in polygons):
            where = names[item["image_id"]]
            findings.add("mask that reaches out of the image", where, _names_of(kept, item), [counts])
    return kept.kept(keep)


def check_classes(kept: Tidy, findings: Findings, *, trained_on: bool) -> None:
    """Tells of classes without objects, and where networks are trained of rare ones and of imbalance."""
    counts = Counter(item["category_id"] for item in kept.annotations if not item.get("iscrowd"))
    for item in kept.categories:
        if not counts[item["id"]]:
            findings.add("unused category", "", item["name"])
        elif trained_on and counts[item["id"]] < _RARE:
            findings.add("rare class", "", f"{item['name']}: {counts[item['id']]}")
    names = {item["id"]: item["name"] for item in kept.categories}
    if trained_on and len(counts) > 1:
        (most, high), (least, low) = counts.most_common()[0], counts.most_common()[-1]
        if high >= _UNEVEN * low:
            findings.add("class imbalance", "", f"{names[most]}: {high}, {names[least]}: {low}")
    for key, places in kept.by_image().items():
        if not places:
            findings.add("image without objects", next(i["file_name"] for i in kept.images if i["id"] == key))


def _same(rles: list[bytes], size_hw: tuple[int, int]) -> NDArray[np.int64]:
    """(k, 2) pairs of masks of one image that are nearly equal, each pair once."""
    if len(rles) < 2:
        return np.zeros((0, 2), np.int64)
    records = [{"size": list(size_hw), "counts": counts} for counts in rles]
    ious = np.asarray(coco_mask.iou(records, records, [0] * len(records)), np.float64)
    return np.argwhere(np.triu(ious >= _SAME_IOU, 1))


def _names_of(kept: Tidy, *items: dict[str, object]) -> str:
    names = {item["id"]: item["name"] for item in kept.categories}
    return " and ".join(names[item["category_id"]] for item in items)
