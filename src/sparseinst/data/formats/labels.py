"""Label images: `images/` beside `masks/` or `labels/`, or NAME_masks beside NAME as Cellpose has them; one number for
each object, of 8, 16 or 32 bits.

They know no classes; `labels.csv` beside the folders (file, number, class), which is written with them, tells. Its rows
without a file name the classes in their order, also those that no object has; other classes follow by name. A pixel
belongs to one object: of objects that overlap, smaller ones lie on top.
"""

import csv
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from sparseinst.data.formats.content import Content, Maker, Notes, by_stem, image_hw, images_in
from sparseinst.data.formats.places import inner
from sparseinst.data.formats.source import PART_NAMES, DataSource, Split
from sparseinst.data.large.segments import check_segments
from sparseinst.data.picture_files import check_bytes
from sparseinst.data.pixels import decoding, opened
from sparseinst.data.sources import ARRAY_SUFFIX
from sparseinst.data.stacks.channels import load_array
from sparseinst.errors import InputError
from sparseinst.files import atomic, is_file, is_folder
from sparseinst.masks.numbered import encode_numbered
from sparseinst.masks.runs import decode_runs
from sparseinst.parsing import read_text, readable

CLASS = "object"
"""Where files know no classes."""
CLASSES_FILE = "labels.csv"
_MASK_FOLDERS = ("masks", "labels")
_ENDINGS = ("", "_masks", "_mask", "_labels", "_label", "_cp_masks")
"""What the name of a label image may have after that of its image."""
_BESIDE = ("_masks", "_cp_masks", "_mask")
"""The same of one in the folder of its image. (NAME_labels is what prediction writes.)"""
_IMAGE_ENDING = "_img"
"""What Cellpose's own data have after the name of an image."""
_PICKLED = "_seg.npy"
_FOREGROUND = 255
"""The only value of a mask that tells foreground from background, and no objects apart."""


def find(path: Path) -> DataSource | None:
    """The parts of a folder with label images, or of subfolders train, val, test; None without any."""
    if not is_folder(path):
        return None
    splits = {}
    for part, names in PART_NAMES.items():
        found = next((split for name in names if (split := _split(path / name)) is not None), None)
        if found is not None:
            splits[part] = found
    alone = _split(path)
    if not splits and alone is not None:
        splits["train"] = alone
    return DataSource(name=path.resolve().name, **splits) if splits else None


def read(split: Split, notes: Notes | None) -> Content:
    """The objects of all label images.

    Raises:
        InputError: without notes, if a label image cannot be read, has another size than its image, or none at all.
    """
    classes = read_classes(split.annotations.parent / CLASSES_FILE)
    maker = Maker(split.images, split.classes, notes)
    for image, mask in pairs(split):
        if mask is None:
            maker.notes.leave_out("images without a label image", image.name)
            continue
        try:
            size_hw, labels = image_hw(image), read_labels(mask)
            check_size(mask, labels, image, size_hw)
        except InputError as error:
            maker.refuse(mask, error)
            continue
        image_id = maker.image(image, size_hw)
        if set(np.unique(labels).tolist()) == {0, _FOREGROUND}:
            maker.notes.leave_out("masks of 0 and 255 alone taken in pieces, one object each", mask.name)
            labels = np.asarray(cv2.connectedComponents((labels > 0).astype(np.uint8), connectivity=8)[1], np.int64)
        for number, counts in zip(*encode_numbered(labels), strict=True):
            name = classes.get((mask.name, int(number)), CLASS)
            maker.add_mask(image_id, maker.category(name), counts, size_hw)
    return maker.content()


def names(split: Split) -> tuple[list[str], set[str]]:
    """Class names: those that labels.csv lists, in their order, and others that objects have.

    Raises:
        InputError: labels.csv has other columns.
    """
    classes = read_classes(split.annotations.parent / CLASSES_FILE)
    told = {file for file, _ in classes}
    untold = any(mask is not None and mask.name not in told for _, mask in pairs(split))
    listed = [name for (file, _), name in classes.items() if not file]
    return listed, {*classes.values(), *([CLASS] if untold else [])}


def pairs(split: Split) -> list[tuple[Path, Path | None]]:
    """The images, each with its label image; None where there is none."""
    if split.images == split.annotations:
        masks = _beside(split.images)
        taken = set(masks.values())
        return [(image, masks.get(image)) for image in images_in(split.images) if image not in taken]
    by_name = by_stem(images_in(split.annotations))
    return [
        (image, next((by_name[image.stem + ending] for ending in _ENDINGS if image.stem + ending in by_name), None))
        for image in images_in(split.images)
    ]


def refuse_pickled(folder: Path) -> None:
    """Raises InputError where a folder has nothing but Cellpose's _seg.npy files, which could run code."""
    found = next(iter(sorted(folder.glob(f"*{_PICKLED}")) + sorted(folder.glob(f"*/*{_PICKLED}"))), None)
    if found is not None:
        raise InputError(
            f"{found}: expected label images, got a file of Cellpose that may run code when it is opened: save the "
            "masks from Cellpose as PNG or TIFF (File, Save masks as PNG/tif; --save_png or --save_tif on the command "
            "line), as NAME_cp_masks.png beside the images"
        )


def write(dataset: Any, folder: Path) -> list[str]:
    """Writes images/, masks/ (16 bits; TIFF of 32 from 65,536 objects on) and labels.csv of a `CocoDataset`.

    Returns:
        What is lost to objects on top of others, in words.
    """
    rows = [("", number, name) for number, name in enumerate(dataset.classes, 1)]
    hidden = covered = 0
    for index in range(len(dataset)):
        source = dataset.path(index)
        name = inner(dataset.name(index))
        numbers, kept = _numbered(dataset.rles(index), dataset.size_hw(index))
        deep = numbers.max(initial=0) >= 2**16
        mask = folder / "masks" / name.with_suffix(".tif" if deep else ".png")
        for target in (folder / "images" / name, mask):
            target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / "images" / name)
        with atomic(mask) as temporary:
            if deep:
                tifffile.imwrite(temporary, numbers, compression="zlib")
            else:
                Image.fromarray(numbers.astype(np.uint16)).save(temporary)
        hidden += int((kept == 0).sum())
        covered += int(((kept > 0) & (kept < _WHOLE)).sum())
        names = [dataset.classes[label] for label in dataset.labels(index)]
        rows += [(mask.name, i + 1, text) for i, text in enumerate(names) if kept[i] > 0]
    write_classes(folder / CLASSES_FILE, rows)
    told = [f"{hidden} objects vanish under others"] if hidden else []
    told += [f"{covered} objects lose more than 1 % to smaller ones on top of them"] if covered else []
    return told


_WHOLE = 0.99
_NARROW = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}
"""Bytes of a pixel by Pillow's modes; of all others 4."""


def read_labels(path: Path) -> NDArray[np.int64]:
    """(H, W) numbers of a label image of any depth; of a colour image each colour is a number.

    Raises:
        InputError: it cannot be read, or holds what is no whole number.
    """
    with decoding(str(path)):
        values: NDArray[Any]
        if path.suffix.lower() == ARRAY_SUFFIX:
            values = np.asarray(load_array(path))
        elif path.suffix.lower() in (".tif", ".tiff"):
            values = _first_page(path)
        else:
            with opened(path) as image:
                _check(image.width, image.height, _NARROW.get(image.mode, 4))
                values = np.asarray(image)
        planes = np.moveaxis(values[:, :, :3], 2, 0) if values.ndim == 3 and values.shape[2] in (3, 4) else values[None]
        if planes.ndim != 3:
            raise InputError(f"expected a label image (height, width), got {values.shape}: give one plane")
        if values.dtype.kind == "f" and not (np.isfinite(values).all() and np.array_equal(np.trunc(values), values)):
            raise InputError("expected whole numbers, got fractions: save the label image as integers")
        whole: NDArray[np.int64] = planes[0].astype(np.int64)
        if any(not np.array_equal(plane, planes[0]) for plane in planes[1:]):
            for plane in planes[1:]:  # a colour, as one number
                whole *= 2**8
                whole += plane.astype(np.int64)
        if whole.min(initial=0) < 0:
            raise InputError(f"expected numbers from 0 on, got {whole.min()}: save the label image without signs")
    return whole


def _first_page(path: Path) -> NDArray[Any]:
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        check_segments(page)
        _check(page.imagewidth, page.imagelength, -(-page.nbytes // max(1, page.imagewidth * page.imagelength)))
        return np.asarray(page.asarray())


def _check(width: int, height: int, own: int) -> None:
    """Refuses what would take too much memory as numbers of 64 bits, with copies of the `own` bytes of a pixel."""
    check_bytes(width * height, width * height * (8 + 3 * own), f"{width} x {height}")


def check_size(mask: Path, labels: NDArray[Any], image: Path, size_hw: tuple[int, int]) -> None:
    """Raises InputError where a mask has another size than its image."""
    if labels.shape != size_hw:
        raise InputError(
            f"{mask}: expected the {size_hw} (height, width) of {image.name} (EXIF orientation applied), got "
            f"{labels.shape}: correct one of the two"
        )


def _split(folder: Path) -> Split | None:
    if images_in(folder / "images"):
        for name in _MASK_FOLDERS:
            if images_in(folder / name):
                return Split(images=folder / "images", annotations=folder / name, kind="labels")
    return Split(images=folder, annotations=folder, kind="labels") if _beside(folder) else None


def _beside(folder: Path) -> dict[Path, Path]:
    """The label images in the folder of their images, by image."""
    named = by_stem(images_in(folder))
    found = {}
    for stem, mask in named.items():
        for ending in _BESIDE:
            name = stem.removesuffix(ending)
            image = named.get(name) or named.get(name + _IMAGE_ENDING)
            if name != stem and image is not None:
                found[image] = mask
    return found


def _numbered(rles: tuple[bytes, ...], size_hw: tuple[int, int]) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """(H, W) label image, and (n,) part of each object that is to be seen in it."""
    pixels, owners = decode_runs(rles).pixels()
    areas = np.bincount(owners, minlength=len(rles))
    order = np.argsort(-areas, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    last_on_top = np.argsort(rank[owners], kind="stable")
    columns = np.zeros(size_hw[0] * size_hw[1], np.uint32)
    columns[pixels[last_on_top]] = owners[last_on_top] + 1
    seen = np.bincount(columns, minlength=len(rles) + 1)[1:]
    return np.ascontiguousarray(columns.reshape(size_hw[::-1]).T), seen / np.maximum(areas, 1)


def read_classes(path: Path) -> dict[tuple[str, int], str]:
    """The classes that labels.csv tells, by the name of a label image and the number in it; none where it is absent.

    Under no name of an image stand all classes there may be, numbered from 1 in their order.

    Raises:
        InputError: it has other columns.
    """
    if not is_file(path):
        return {}
    expected = "a table with the columns file, number, class"
    rows = csv.DictReader(read_text(path, expected=expected).splitlines())
    with readable(path, expected=expected, hint="correct the file"):
        return {(row["file"], int(row["number"])): str(row["class"]) for row in rows}


def write_classes(path: Path, rows: list[tuple[str, int, str]]) -> None:
    """Writes labels.csv: the name of a label image, a number in it, and its class, as `read_classes` gives them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "number", "class"))
        writer.writerows(rows)
