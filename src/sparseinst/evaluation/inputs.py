"""Annotations and results as COCO's evaluation takes them, checked so that it cannot stumble."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sparseinst.data.segmentation import encode_segmentation
from sparseinst.errors import InputError, brief
from sparseinst.masks import rle
from sparseinst.masks.runs import decode_runs
from sparseinst.parsing import read_json

_CHUNK = 4096
"""Masks decoded at once while checking."""


def ground_truth(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Checked annotations, read from `path`, with what COCO's evaluation needs filled in.

    Annotations are numbered anew, for COCO's evaluation takes a match with id 0 for none and mixes up equal ids. Masks
    that cover no pixel of their image are left out, as in training.
    """
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    names = {image["id"]: str(image.get("file_name", image["id"])) for image in content["images"]}
    annotations: list[dict[str, Any]] = []
    for number, item in enumerate(content["annotations"]):
        size = sizes[item["image_id"]]
        counts = encode_segmentation(f"{path}: annotation number {number}", item.get("segmentation"), size)
        pixels = 0.0 if counts is None else float(rle.areas([counts], size)[0])
        if counts is None or not pixels:
            continue
        area = item.get("area")
        annotations.append(
            {
                "id": len(annotations) + 1,
                "place": number,  # in the file
                "image_id": item["image_id"],
                "category_id": item["category_id"],
                "iscrowd": int(bool(item.get("iscrowd"))),
                # COCO's own areas are those of the polygons, which decide what is small
                "area": pixels if area is None else _number(f"{path}: annotation number {number}", "area", area),
                "segmentation": _record(counts, size),
            }
        )
    return {
        "images": [
            {"id": image_id, "file_name": names[image_id], "height": size[0], "width": size[1]}
            for image_id, size in sizes.items()
        ],
        "annotations": annotations,
        "categories": [{"id": item["id"], "name": item["name"]} for item in content["categories"]],
    }


def detections(
    results: str | Path | Sequence[Mapping[str, Any]], truth: Mapping[str, Any], annotations: Path
) -> list[dict[str, Any]]:
    """A checked copy of a COCO results list, or of the one in a file, with the area of each mask.

    Args:
        results: records with image_id, category_id, score and segmentation.
        truth: from `ground_truth`.
        annotations: its file, for messages.

    Raises:
        InputError: names the record and its field.
    """
    if isinstance(results, str | Path):
        source, records = str(results), _read(Path(results))
    else:
        source, records = "results", list(results)
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    categories = {category["id"] for category in truth["categories"]}
    checked = [
        _plain(record, sizes, categories)
        or _detection(f"{source}: result number {number}", record, sizes, categories, annotations)
        for number, record in enumerate(records)
    ]
    for first in range(0, len(checked), _CHUNK):
        _check_runs(checked[first : first + _CHUNK], source, first)
    return checked


def _check_runs(chunk: Sequence[dict[str, Any]], source: str, first: int) -> None:
    """Adds the areas of masks, or raises InputError unless the runs of all add up to their images."""
    counts = [item["segmentation"]["counts"].encode() for item in chunk]
    sizes = [item["segmentation"]["size"] for item in chunk]
    try:
        runs = decode_runs(counts)
    except ValueError as error:
        if len(chunk) > 1:  # one of them is damaged: which?
            for place, item in enumerate(chunk):
                _check_runs([item], source, first + place)
        raise InputError(f"{source}: result number {first}: segmentation: {error}: write the results again") from error
    for place, (pixels, (height, width)) in enumerate(zip(runs.totals.tolist(), sizes, strict=True)):
        if pixels != height * width:
            raise InputError(
                f"{source}: result number {first + place}: expected the runs of its mask to add up to the image's "
                f"{height * width} pixels, got {pixels}: write the results again"
            )
    for item, area in zip(chunk, runs.areas.tolist(), strict=True):
        item["area"] = area


def _read(path: Path) -> list[Any]:
    content = read_json(path, expected="a COCO results file")
    if not isinstance(content, list):
        raise InputError(
            f"{path}: expected a COCO results list, got {brief(content)}: give a list of "
            "{image_id, category_id, score, segmentation}"
        )
    return content


def _plain(record: Any, sizes: Mapping[int, tuple[int, int]], categories: set[int]) -> dict[str, Any] | None:
    """What `_detection` gives of a record as nearly all are, of which there may be millions; None of any other."""
    try:
        score, mask, category = record["score"], record["segmentation"], record["category_id"]
        size, counts = sizes[record["image_id"]], mask["counts"]
        if (
            type(record) is not dict or type(record["image_id"]) is not int or type(category) is not int
            or category not in categories or type(score) is not float or score - score != 0  # not finite
            or type(counts) is not str or not counts or not counts.isascii() or mask["size"] != [size[0], size[1]]
        ):  # fmt: skip
            return None
    except (KeyError, TypeError, IndexError):
        return None
    return {**record, "segmentation": {"size": [size[0], size[1]], "counts": counts}}


def _detection(
    where: str, record: object, sizes: Mapping[int, tuple[int, int]], categories: set[int], annotations: Path
) -> dict[str, Any]:
    if not isinstance(record, Mapping):
        raise InputError(f"{where}: expected an object, got {brief(record)}: write the results again")
    for key in ("image_id", "category_id", "score", "segmentation"):
        if key not in record:
            raise InputError(f"{where}: expected the field {key!r}, found none: are these COCO results with masks?")
    for key, known in (("image_id", sizes), ("category_id", categories)):
        if type(record[key]) is not int or record[key] not in known:
            raise InputError(
                f"{where}: expected {key} to be one of the {len(known)} in {annotations}, got {brief(record[key])}: "
                "evaluate against the annotations of the images that were predicted"
            )
    score = _number(where, "score", record["score"])
    size = sizes[record["image_id"]]
    segmentation = record["segmentation"]
    if isinstance(segmentation, Mapping) and isinstance(segmentation.get("counts"), bytes):  # as the libraries encode
        segmentation = {**segmentation, "counts": segmentation["counts"].decode("ascii", "replace")}
    counts = encode_segmentation(where, segmentation, size)
    if counts is None:
        raise InputError(f"{where}: expected a polygon of at least three points, got none: leave the result out")
    return {**record, "score": score, "segmentation": _record(counts, size)}


def _number(where: str, name: str, value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if not known or not abs(value) <= sys.float_info.max:  # false for nan, too
        raise InputError(f"{where}: expected {name} to be a finite number, got {brief(value)}: write the file again")
    return float(value)


def _record(counts: bytes, size_hw: tuple[int, int]) -> dict[str, Any]:
    return {"size": list(size_hw), "counts": counts.decode("ascii")}


def groups_of(
    groups: Mapping[int, str], truth: Mapping[str, Any], annotations: Path
) -> Iterator[tuple[str, list[int]]]:
    """The image ids of each group, groups in alphabetical order.

    Raises:
        InputError: an image id is not in the annotations.
    """
    known = {image["id"] for image in truth["images"]}
    unknown = [image_id for image_id in groups if image_id not in known]
    if unknown:
        raise InputError(
            f"groups: expected image ids of {annotations}, got {', '.join(map(repr, unknown[:5]))}: correct the groups"
        )
    for name in sorted(set(groups.values())):
        yield name, sorted(image_id for image_id, group in groups.items() if group == name)
