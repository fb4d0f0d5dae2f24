"""LabelMe: a JSON file beside each image, with polygons, rectangles, circles and masks.

Shapes of one label and `group_id` are one object (LabelMe's own rule). An object with holes is written as a mask shape,
which LabelMe draws but does not reshape; one in pieces as polygons of one group.
"""

import base64
import io
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image

from sparseinst.data.formats.content import Content, Maker, Notes, by_stem, image_hw, images_in, is_image, read_object
from sparseinst.data.formats.places import inner
from sparseinst.data.formats.source import PART_NAMES, DataSource, Split
from sparseinst.data.picture_files import open_image
from sparseinst.data.pixels import decoding
from sparseinst.data.segmentation import encode_segmentation
from sparseinst.errors import InputError, brief
from sparseinst.files import atomic, is_folder
from sparseinst.masks import rle
from sparseinst.masks.outline import outline

_VERSION = "5.5.0"
"""Of the files that are written: the first with mask shapes as they are today."""
_NO_OBJECT = ("__ignore__", "_background_")
"""Labels that LabelMe's own converters leave out."""
_AREAS = ("polygon", "rectangle", "circle", "mask")
_CORNERS = 64
"""Of the polygon that stands for a circle."""


def find(path: Path) -> DataSource | None:
    """The parts of a folder with LabelMe files: its own, or those of subfolders train, val, test; None without any."""
    if not is_folder(path):
        return None
    splits = {}
    for part, folders in PART_NAMES.items():
        found = next((split for name in folders if (split := _split(path / name)) is not None), None)
        if found is not None:
            splits[part] = found
    alone = None if splits else _split(path)
    if alone is not None:
        splits["train"] = alone
    return DataSource(name=path.resolve().name, **splits) if splits else None


def read(split: Split, notes: Notes | None) -> Content:
    """The shapes of a folder's files.

    Raises:
        InputError: without notes, if a file or its image cannot be read.
    """
    maker = Maker(split.images, split.classes, notes)
    there = by_stem(images_in(split.images))
    files = _taken(split)
    split.parsed.clear()
    for file, content in files.items():
        try:
            if isinstance(content, InputError):
                raise content
            image, size_hw = _image(file, content, there)
            image_id = maker.image(image, size_hw)
            for label, counts in _objects(file, content["shapes"], size_hw, maker.notes):
                maker.add_mask(image_id, maker.category(label), counts, size_hw)
        except InputError as error:
            maker.refuse(file, error)
    unlabelled = sorted(there.keys() - {file.stem for file in files})
    for stem in unlabelled:
        maker.notes.leave_out("images without a LabelMe file", there[stem].name)
    return maker.content()


def names(split: Split) -> tuple[list[str], set[str]]:
    """Class names: no list, and those of the shapes that are objects."""
    shapes = [
        shape
        for content in _taken(split).values()
        if not isinstance(content, InputError)
        for shape in content["shapes"]
        if isinstance(shape, dict) and isinstance(shape.get("label"), str)
    ]
    return [], {
        shape["label"] for shape in shapes if shape["label"] not in _NO_OBJECT and _kind(shape) in _AREAS
    }  # fmt: skip


def is_labelled(folder: Path) -> bool:
    """Whether a folder holds a LabelMe file."""
    return is_folder(folder) and any(isinstance(_parse(file), dict) for file in folder.glob("*.json"))


def write(dataset: Any, folder: Path) -> None:
    """Writes a JSON file for each image of a `CocoDataset`, beside the image, which is copied unless it is there."""
    for index in range(len(dataset)):
        source = dataset.path(index)
        target = folder / inner(dataset.name(index))
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.resolve() != target.resolve():
            shutil.copyfile(source, target)
        height, width = dataset.size_hw(index)
        shapes: list[dict[str, Any]] = []
        for number, (counts, label) in enumerate(zip(dataset.rles(index), dataset.labels(index), strict=True)):
            shapes += _shapes(counts, dataset.classes[label], number, (height, width))
        content = {
            "version": _VERSION, "flags": {}, "shapes": shapes, "imagePath": target.name, "imageData": None,
            "imageHeight": height, "imageWidth": width,
        }  # fmt: skip
        with atomic(target.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def _shapes(counts: bytes, label: str, number: int, size_hw: tuple[int, int]) -> Iterator[dict[str, Any]]:
    pieces = outline(counts, size_hw)
    shape: dict[str, Any] = {"label": label, "group_id": None, "description": "", "flags": {}, "mask": None}
    if any(len(piece) > 1 for piece in pieces):
        mask, (x, y) = rle.cutout(counts, size_hw)
        content = io.BytesIO()
        Image.fromarray(mask).save(content, "PNG")
        corners = [[x, y], [x + mask.shape[1] - 1, y + mask.shape[0] - 1]]
        text = base64.b64encode(content.getvalue()).decode("ascii")
        yield {**shape, "points": corners, "shape_type": "mask", "mask": text}
        return
    for piece in pieces:
        group = number if len(pieces) > 1 else None
        yield {**shape, "points": piece[0].tolist(), "shape_type": "polygon", "group_id": group}


def _split(folder: Path) -> Split | None:
    if not is_folder(folder):
        return None
    split = Split(images=folder, annotations=folder, kind="labelme")
    return split if any(isinstance(content, dict) for content in _taken(split).values()) else None


def _taken(split: Split) -> dict[Path, dict[str, Any] | InputError]:
    """The LabelMe files of a part, sorted, each opened once until `read` took it; or what is wrong with one."""
    if not split.parsed:
        there = by_stem(images_in(split.images))
        for file in sorted(split.annotations.glob("*.json")):
            content = _parse(file)
            if isinstance(content, dict) or (isinstance(content, InputError) and file.stem in there):
                split.parsed[file] = content
    return dict(split.parsed)


def _parse(file: Path) -> dict[str, Any] | InputError | None:
    """What a LabelMe file holds, but for its copy of the image; None of another JSON file."""
    try:
        content = read_object(file, expected="a LabelMe file")
    except InputError as error:
        return error
    if not isinstance(content.get("shapes"), list) or "imagePath" not in content:
        return None
    return {**content, "imageData": bool(content.get("imageData"))}


def _image(file: Path, content: Mapping[str, Any], there: Mapping[str, Path]) -> tuple[Path, tuple[int, int]]:
    """The image that a file is about, by its path, or its name, or the file's own name; and its size."""
    name = PureWindowsPath(str(content["imagePath"])).name
    image = next((path for path in (file.parent / name, there.get(file.stem)) if path and is_image(path)), None)
    if image is None:
        aside = " (the file itself holds a copy: LabelMe can save it)" if content.get("imageData") else ""
        raise InputError(f"{file}: expected its image {brief(name)} beside it, found none{aside}: put it there")
    size_hw = image_hw(image)
    stated = (content.get("imageHeight"), content.get("imageWidth"))
    if all(isinstance(side, int) for side in stated) and stated != size_hw:
        raise InputError(
            f"{file}: expected an image of {stated} (height, width) as it states, {image.name} has {size_hw} (EXIF "
            "orientation applied): correct one of the two"
        )
    return image, size_hw


def _objects(file: Path, shapes: list[Any], size_hw: tuple[int, int], notes: Notes) -> Iterator[tuple[str, bytes]]:
    """Label and mask of each object, shapes of a group united."""
    groups: dict[tuple[str, object], list[bytes]] = {}
    for number, shape in enumerate(shapes):
        where = f"{file}: shape number {number}"
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
            raise InputError(f"{where}: expected a shape with a label, got {brief(shape)}: correct the file")
        label = shape["label"]
        if label in _NO_OBJECT:
            notes.leave_out(f"shapes labelled {label}", file.name)
            continue
        counts = _mask(where, shape, size_hw, notes, file.name)
        if counts is None:
            continue
        group = shape.get("group_id")
        if not isinstance(group, int | str | None):
            raise InputError(f"{where}: expected a number as group_id, got {brief(group)}: correct the file")
        groups.setdefault((label, ("alone", number) if group is None else group), []).append(counts)
    for (label, _), parts in groups.items():
        whole = parts[0] if len(parts) == 1 else rle.encode(np.any(rle.decode(parts, size_hw), axis=0)[None])[0]
        yield label, whole


def _kind(shape: Mapping[str, Any]) -> object:
    return shape.get("shape_type") or "polygon"


def _mask(where: str, shape: dict[str, Any], size_hw: tuple[int, int], notes: Notes, name: str) -> bytes | None:
    kind = _kind(shape)
    try:
        points = np.array(shape.get("points"), np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: expected points x y, got {brief(shape.get('points'))}: correct the file") from error
    if kind == "mask":
        return _bitmap(where, shape.get("mask"), points, size_hw)
    if kind in ("rectangle", "circle") and len(points) != 2:
        raise InputError(f"{where}: expected a {kind} of 2 points, got {len(points)}: correct the file")
    if kind == "rectangle":
        (x0, y0), (x1, y1) = points
        points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    elif kind == "circle":
        turns = np.linspace(0, 2 * math.pi, _CORNERS, endpoint=False)
        points = points[0] + math.dist(*points) * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    elif kind not in _AREAS:
        notes.leave_out(f"shapes without an area ({kind})", name)
        return None
    return encode_segmentation(where, [points.ravel().tolist()], size_hw)


def _bitmap(where: str, text: object, points: np.ndarray[Any, Any], size_hw: tuple[int, int]) -> bytes:
    try:
        x, y = (int(value) for value in points[0])
        with decoding(where), open_image(io.BytesIO(base64.b64decode(str(text), validate=True))) as image:
            if image.width > size_hw[1] or image.height > size_hw[0]:
                raise InputError(f"expected a mask within {size_hw} (height, width), got one that is larger: cut it")
            cut = np.asarray(image.convert("L")) > 0
    except (ValueError, OverflowError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{where}: expected a mask as a PNG in base64 and its corners, got other: correct it"
        ) from error
    mask = np.zeros(size_hw, bool)
    top, left = max(y, 0), max(x, 0)
    inside = mask[top : y + cut.shape[0], left : x + cut.shape[1]]
    inside[:] = cut[top - y :, left - x :][: inside.shape[0], : inside.shape[1]]
    return rle.encode(mask[None])[0]
