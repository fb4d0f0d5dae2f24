"""YOLO's polygons: a text file for each image, a line for each object, coordinates as parts of the image's sides.

`data.yaml` says where images lie and what classes are called: as Ultralytics and Roboflow write it, with `path`, with
folders, lists of folders, or text files of names. A line holds one polygon: an object in pieces or with holes is
written as one polygon with seams of no width, which cancel when it is filled.
"""

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from sparseinst.config.model import MOST_CLASSES
from sparseinst.data.formats.content import Content, Maker, Notes, image_hw, images_in, is_image
from sparseinst.data.formats.places import inner
from sparseinst.data.formats.source import PART_NAMES, DataSource, Split
from sparseinst.data.sources import read_list
from sparseinst.errors import InputError, brief, listed, shown
from sparseinst.files import atomic, is_file, is_folder
from sparseinst.masks.outline import outline, seamed
from sparseinst.parsing import read_text, read_yaml, readable

_FILE = "a data.yaml of YOLO"
_NAME_FILES = ("classes.txt", "obj.names", "labels.txt")
_DIGITS = 6


def find(path: Path) -> DataSource | None:
    """The parts that a data.yaml names, or those of a folder with one or with images/ and labels/; None if neither."""
    if is_file(path):
        return _from_yaml(path) if path.suffix.lower() in (".yaml", ".yml") and is_data_yaml(path) else None
    for file in sorted([*path.glob("*.yaml"), *path.glob("*.yml")], key=lambda file: (file.stem != "data", file.name)):
        if is_data_yaml(file):
            return _from_yaml(file)
    return _without_yaml(path)


def is_data_yaml(path: Path) -> bool:
    """Whether a YAML file is YOLO's: it names classes, and where images lie by paths."""
    try:
        data = read_yaml(path, expected=_FILE)
    except InputError:
        return False
    if not isinstance(data, dict) or not isinstance(data.get("names"), list | dict):
        return False
    return any(isinstance(data.get(key), str | list) for names in PART_NAMES.values() for key in names)


def read(split: Split, notes: Notes | None) -> Content:
    """The polygons of one part.

    Raises:
        InputError: without notes, if a label file or an image cannot be read; if there are boxes alone.
    """
    names, files = parts_of(split)
    maker = Maker(split.images, names, notes)
    boxes = polygons = 0
    for file in files:
        try:
            size_hw = image_hw(file)
            lines = list(_lines(label_file(file), len(names)))
        except InputError as error:
            maker.refuse(file, error)
            continue
        image_id, (height, width) = maker.image(file, size_hw), size_hw
        for label, numbers in lines:
            if len(numbers) < 6:
                boxes += 1
                maker.notes.leave_out("boxes without a polygon", label_file(file).name)
                continue
            polygons += 1
            sides = (width, height)
            maker.add(image_id, label + 1, [[round(v * sides[i % 2], 3) for i, v in enumerate(numbers)]])
    if boxes and not polygons:
        raise InputError(
            f"{split.annotations}: expected polygons (a class and at least three points a line), got {boxes} boxes: "
            "SparseInst learns from masks, boxes are not enough"
        )
    return maker.content()


def write(dataset: Any, folder: Path, part: str) -> None:
    """Writes images/PART and labels/PART.

    Args:
        dataset: a `CocoDataset`.
        folder: of the data set.
        part: train, val or test.
    """
    for index in range(len(dataset)):
        source = dataset.path(index)
        name = inner(dataset.name(index))
        image, text = folder / "images" / part / name, folder / "labels" / part / name.with_suffix(".txt")
        for target in (image, text):
            target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, image)
        lines = [
            line(counts, int(label), dataset.size_hw(index))
            for counts, label in zip(dataset.rles(index), dataset.labels(index), strict=True)
        ]
        with atomic(text) as temporary:
            temporary.write_text("".join(lines), encoding="ascii")


def write_yaml(folder: Path, parts: Sequence[str], classes: Sequence[str]) -> None:
    """Writes data.yaml, whose paths are relative to its folder."""
    places = {part: f"images/{part}" for part in parts}
    # both are asked for where a network is trained
    content = {"train": places.get("train", next(iter(places.values()))), **places}
    content.setdefault("val", content["train"])
    content["names"] = dict(enumerate(classes))  # type: ignore[assignment]
    with atomic(folder / "data.yaml") as temporary:
        temporary.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def line(counts: bytes, label: int, size_hw: tuple[int, int]) -> str:
    """One object as a line of a label file."""
    ring = seamed(outline(counts, size_hw)) / (size_hw[1], size_hw[0])
    return " ".join([str(label), *(f"{value:.{_DIGITS}f}" for value in ring.ravel())]) + "\n"


def label_file(image: Path) -> Path:
    """Where the labels of an image lie: in labels/ in place of the last images/, else beside it."""
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _lines(file: Path, classes: int) -> Iterator[tuple[int, list[float]]]:
    """Class and coordinates of each line; a last number that is half of no pair is a confidence."""
    if not is_file(file):
        return  # no object is no file
    for number, text in enumerate(read_text(file, expected="labels").splitlines(), 1):
        if not text.strip():
            continue
        where = f"{file}: line {number}"
        try:
            values = [float(word) for word in text.split()]
        except ValueError:
            values = [math.nan]
        if not all(map(math.isfinite, values)):
            raise InputError(f"{where}: expected numbers, got {brief(text)}: correct the line")
        label, numbers = values[0], values[1:]
        if label != int(label) or not 0 <= label < classes:
            raise InputError(
                f"{where}: expected a class in 0..{classes - 1}, got {label:g}: correct it, or name it in data.yaml"
            )
        if len(numbers) < 4:
            raise InputError(f"{where}: expected a class and points x y, got {len(numbers)} numbers: correct the line")
        yield int(label), numbers[: len(numbers) - len(numbers) % 2]


def _from_yaml(path: Path) -> DataSource:
    data = read_yaml(path, expected=_FILE)
    splits: dict[str, Split] = {}
    for part, names in PART_NAMES.items():
        key = next((name for name in names if data.get(name)), None)
        if key is None:
            continue
        files = _files(path, data, key)
        root = Path(os.path.commonpath([file.parent for file in files]))
        splits[part] = Split(images=root, annotations=path, kind="yolo", part=key)
    name = path.parent.resolve().name if path.stem == "data" else path.stem
    return DataSource(name=name, **splits)


def _without_yaml(path: Path) -> DataSource | None:
    if not next((path / "labels").rglob("*.txt"), None) or not is_folder(path / "images"):
        return None
    splits = {}
    for part, names in PART_NAMES.items():
        key = next((name for name in names if images_in(path / "images" / name)), None)
        if key is not None:
            splits[part] = Split(images=path / "images" / key, annotations=path, kind="yolo", part=key)
    if not splits:
        splits["train"] = Split(images=path / "images", annotations=path, kind="yolo")
    _names_of(path)  # says what is missing
    return DataSource(name=path.resolve().name, **splits)


def parts_of(split: Split) -> tuple[list[str], list[Path]]:
    """Class names and image files of a part."""
    if is_folder(split.annotations):
        return _names_of(split.annotations), images_in(split.images)
    data = read_yaml(split.annotations, expected=_FILE)
    names = data["names"]
    if isinstance(names, dict):
        names = _in_order(split.annotations, names)
    return [str(name) for name in names], _files(split.annotations, data, split.part or "train")


def _in_order(path: Path, names: dict[Any, Any]) -> list[str]:
    """Class names by their numbers, those that are left out under a name of their own."""
    with readable(path, expected="names by their numbers, from 0 on", hint="correct the names"):
        numbered = {int(key): str(name) for key, name in names.items()}
        if not 0 <= min(numbered) <= max(numbered) < MOST_CLASSES:
            raise ValueError(f"{brief(min(numbered))} to {brief(max(numbered))}")
    return [numbered.get(key, f"class {key}") for key in range(max(numbered) + 1)]


def _names_of(folder: Path) -> list[str]:
    for name in _NAME_FILES:
        if is_file(folder / name):
            lines = read_text(folder / name, expected="one class a line").splitlines()
            return [text.strip() for text in lines if text.strip()]
    raise InputError(
        f"{folder}: expected a data.yaml or classes.txt with the names of the classes of the YOLO labels, found none: "
        "add one name a line, in the order of their numbers"
    )


def _files(path: Path, data: dict[str, Any], key: str) -> list[Path]:
    """The image files of a part, sorted within each of its places."""
    places = data[key] if isinstance(data[key], list) else [data[key]]
    files: list[Path] = []
    for place in map(str, places):
        found = _place(path, data.get("path"), place)
        if is_folder(found):
            files += sorted(file for file in found.rglob("*") if is_image(file))
        else:
            files += [Path(os.path.normpath(image)) for image in read_list(found)]
    if not files:
        there = listed([brief(str(place)) for place in places])
        raise InputError(f"{path}: {key}: expected images in {there}, found none: check the path")
    return files


def _place(file: Path, root: object, place: str) -> Path:
    """A folder or list that a data.yaml names.

    Ultralytics takes places relative to `path`, Roboflow writes ../train/images for the folder beside the file, and
    either may have been moved.
    """
    roots = [file.parent / str(root), file.parent] if root else [file.parent]
    tried = [base / name for name in (place, place.removeprefix("../")) for base in roots]
    for candidate in tried:
        if is_file(candidate) or is_folder(candidate):
            return Path(os.path.normpath(candidate))
    places = " or ".join(map(shown, roots))
    raise InputError(f"{file}: expected {shown(place)} (in {places}), found none: correct the path in the file")
