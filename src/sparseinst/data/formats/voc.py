"""Pascal VOC's instance masks: JPEGImages/, SegmentationObject/ (which object) and SegmentationClass/ (which class).

The palette's 255 (and CVAT's and LabelMe's colour for it) is the rim that belongs to nothing. Classes are named by
labelmap.txt (CVAT: name and colour), class_names.txt (LabelMe: one a line, background first), or are VOC's own.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.formats.content import Content, Maker, Notes, by_stem, image_hw, images_in
from sparseinst.data.formats.labels import check_size, read_labels
from sparseinst.data.formats.source import DataSource, Split
from sparseinst.data.pixels import opened
from sparseinst.data.sources import ARRAY_SUFFIX
from sparseinst.errors import InputError, brief, listed
from sparseinst.files import is_file, is_folder
from sparseinst.masks.numbered import encode_numbered
from sparseinst.parsing import read_text

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_BACKGROUND = ("background", "_background_")
_OBJECTS, _CLASSES = ("SegmentationObject", "SegmentationObjectPNG"), ("SegmentationClass", "SegmentationClassPNG")
_VOID, _VOID_COLOUR = 255, 224 * 2**16 + 224 * 2**8 + 192
_NUMBERS = ("P", "L")
"""Modes of a mask whose values are numbers, not colours."""
_LISTS = {"train": ("train",), "val": ("val",), "test": ("test",)}

_Colours = dict[tuple[int, int, int], str]


def find(path: Path) -> DataSource | None:
    """The parts of a folder with JPEGImages/ and SegmentationObject/, by ImageSets/Segmentation; None without these."""
    if not is_folder(path) or _folder(path, _OBJECTS) is None or not is_folder(path / "JPEGImages"):
        return None
    lists = path / "ImageSets" / "Segmentation"
    splits = {
        part: Split(images=path / "JPEGImages", annotations=path, kind="voc", part=names[0])
        for part, names in _LISTS.items()
        if is_file(lists / f"{names[0]}.txt")
    }
    if not splits:
        splits["train"] = Split(images=path / "JPEGImages", annotations=path, kind="voc")
    return DataSource(name=path.resolve().name, **splits)


def read(split: Split, notes: Notes | None) -> Content:
    """The objects of one part.

    Raises:
        InputError: without notes, if a mask is missing, cannot be read, or its classes have no names.
    """
    root = split.annotations
    names, colours = _names(root)
    maker = Maker(split.images, names, notes)
    images, objects, classes = (by_stem(_pictures(root / place)) for place in _places(root))
    for stem in _stems(split, objects):
        try:
            if stem not in images:
                raise InputError(f"{split.images / stem}: expected the image of {objects[stem]}, found none: add it")
            size_hw = image_hw(images[stem])
            numbers = _objects(objects[stem])
            check_size(objects[stem], numbers, images[stem], size_hw)
            labels = _labels(classes.get(stem), names, colours, size_hw)
        except InputError as error:
            maker.refuse(images.get(stem, split.images / stem), error)
            continue
        image_id = maker.image(images[stem], size_hw)
        for number, counts in zip(*encode_numbered(numbers), strict=True):
            here = np.bincount(labels[numbers == number])
            here[0] = 0
            if not here.any():
                maker.notes.leave_out("objects that SegmentationClass has as background", objects[stem].name)
                continue
            maker.add_mask(image_id, int(here.argmax()), counts, size_hw)
    return maker.content()


def _stems(split: Split, objects: dict[str, Path]) -> list[str]:
    if split.part is None:
        return sorted(objects)
    file = split.annotations / "ImageSets" / "Segmentation" / f"{split.part}.txt"
    stems = [line.split()[0] for line in read_text(file, expected="one name a line").splitlines() if line.strip()]
    missing = [stem for stem in stems if stem not in objects]
    if missing:
        raise InputError(
            f"{split.annotations}: expected a mask in SegmentationObject for each name of {split.part}.txt, "
            f"{len(missing)} are missing: {listed([brief(stem) for stem in missing])}: add them or correct the list"
        )
    return stems


def _places(root: Path) -> tuple[str, str, str]:
    return "JPEGImages", _folder(root, _OBJECTS) or "", _folder(root, _CLASSES) or ""


def _folder(root: Path, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if _pictures(root / name)), None)


def _names(root: Path) -> tuple[list[str], _Colours]:
    """Class names in order, and the colours that a labelmap gives them."""
    named, classes = root / "labelmap.txt", root / "class_names.txt"
    if is_file(named):
        lines = read_text(named, expected="a name and its colour a line").splitlines()
        rows = [line.split(":") for line in lines if line.strip() and not line.startswith("#")]
        colours = {_colour(named, row[1]): row[0] for row in rows if len(row) > 1 and row[0] not in _BACKGROUND}
        return list(colours.values()), colours
    if is_file(classes):
        lines = [line.strip() for line in read_text(classes, expected="one class a line").splitlines()]
        return [line for line in lines if line and line not in _BACKGROUND], {}
    return list(CLASSES), {}


def _colour(file: Path, text: str) -> tuple[int, int, int]:
    numbers = text.split(",")
    if len(numbers) != 3 or not all(number.strip().isdecimal() and len(number) < 9 for number in numbers):
        raise InputError(f"{file}: expected a colour as 224,224,192, got {brief(text)}: correct the line")
    red, green, blue = (int(number) for number in numbers)
    return red, green, blue


def _objects(path: Path) -> NDArray[np.int64]:
    """(H, W) number of each pixel's object; 0 for background and rim."""
    numbers = read_labels(path)
    with opened(path) as image:
        numbers[numbers == (_VOID if image.mode in _NUMBERS else _VOID_COLOUR)] = 0
    return numbers


def _labels(path: Path | None, names: list[str], colours: _Colours, size_hw: tuple[int, int]) -> NDArray[np.int64]:
    """(H, W) class of each pixel from 1 on; 0 for background and rim."""
    if path is None:
        if len(names) != 1:
            raise InputError("expected a mask in SegmentationClass for each in SegmentationObject, found none: add it")
        return np.ones(size_hw, np.int64)
    with opened(path) as image:
        if image.mode in _NUMBERS and not colours:
            labels = _objects(path)
        else:
            rgb = np.asarray(image.convert("RGB"))
            labels = np.zeros(rgb.shape[:2], np.int64)
            for place, colour in enumerate(colours, 1):
                labels[(rgb == np.array(colour)).all(2)] = place
    if labels.max(initial=0) > len(names):
        raise InputError(f"{path}: expected classes 1..{len(names)}, got {labels.max()}: name them in labelmap.txt")
    if labels.shape != size_hw:
        raise InputError(f"{path}: expected {size_hw} (height, width) as its image, got {labels.shape}: correct it")
    return labels


def _pictures(folder: Path) -> list[Path]:
    """The images of a folder without arrays, which LabelMe's converter puts beside them."""
    return [path for path in images_in(folder) if path.suffix.lower() != ARRAY_SUFFIX]
