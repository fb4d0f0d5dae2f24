"""Cut-out objects with an alpha channel: found in category folders, split by object, read at several sizes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sparseinst.data.compositing import OPAQUE, premultiply
from sparseinst.data.pixels import opened
from sparseinst.errors import InputError
from sparseinst.files import is_folder

SUFFIXES = (".png", ".webp")
_VAL_SHARE = 0.25
_SMALLEST_PX = 8


class Cutout(NamedTuple):
    """One object, cropped to what is opaque."""

    name: str
    """CATEGORY/FILE."""
    label: int
    """Index of the category."""
    levels: tuple[NDArray[np.uint8], ...]
    """(h, w, 4) premultiplied RGBA, each half the size of the one before: shrinking a lot from one size flickers."""


def find_cutouts(folder: Path, classes: Sequence[str] | None = None) -> dict[str, tuple[Path, ...]]:
    """The files of each category, from a folder with one folder of PNG or WebP files for each category.

    Args:
        folder: holds `CATEGORY/FILE.png` or `.webp`.
        classes: the categories to take; without it, all.

    Raises:
        InputError: no folder, no category, an unknown category, or one of fewer than two objects.
    """
    if not is_folder(folder):
        raise InputError(f"{folder}: expected a folder of cut-outs, found none: check the path")
    names = sorted(path.name for path in folder.iterdir() if is_folder(path) and not path.name.startswith("."))
    if not names:
        raise InputError(
            f"{folder}: expected a folder of cut-outs (PNG or WebP) for each category, found none: "
            "arrange them as CATEGORY/FILE.png"
        )
    if classes is not None and not classes:
        raise InputError(f"{folder}: expected classes among {', '.join(names)}, got none: name some, or leave them out")
    if missing := sorted(set(classes or ()) - set(names)):
        raise InputError(f"{folder}: expected classes among {', '.join(names)}, got {', '.join(missing)}: correct them")
    found = {name: _files(folder / name, SUFFIXES) for name in names if classes is None or name in classes}
    for name, files in found.items():
        if len(files) < 2:
            raise InputError(
                f"{folder / name}: expected at least two cut-outs (PNG or WebP), one to train on and one to validate "
                f"with, found {len(files)}: add some or leave the category out"
            )
    return found


def find_photographs(folder: Path) -> tuple[Path, ...]:
    """The images (PNG, WebP, JPEG) of a folder.

    Raises:
        InputError: no folder, or fewer than two images in it.
    """
    if not is_folder(folder):
        raise InputError(f"{folder}: expected a folder of photographs, found none: check the path")
    files = _files(folder, (*SUFFIXES, ".jpg", ".jpeg"))
    if len(files) < 2:
        raise InputError(
            f"{folder}: expected at least two photographs (JPEG, PNG or WebP), one to train on and one to validate "
            f"with, found {len(files)}: add some"
        )
    return files


def split_files(name: str, files: Sequence[Path], seed: int) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Splits two or more files into those for training and a quarter, at least one, for validation.

    The name and the seed decide, so that no category changes the split of another.
    """
    random = np.random.default_rng([seed, *name.encode()])
    order = [files[i] for i in random.permutation(len(files))]
    val = max(1, round(_VAL_SHARE * len(files)))
    return tuple(sorted(order[val:])), tuple(sorted(order[:val]))


def read_cutouts(groups: Mapping[str, Sequence[Path]], largest_px: int) -> tuple[tuple[Cutout, ...], ...]:
    """Reads the objects of every category.

    Args:
        groups: files by category; labels follow its order.
        largest_px: longest side that is needed; larger files are shrunk to it.

    Raises:
        InputError: a file is damaged, not transparent anywhere, or nowhere opaque.
    """
    return tuple(
        tuple(Cutout(f"{name}/{path.name}", label, _read(path, largest_px)) for path in files)
        for label, (name, files) in enumerate(groups.items())
    )


def _files(folder: Path, suffixes: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(
        sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith("."))
    )


def _read(path: Path, largest_px: int) -> tuple[NDArray[np.uint8], ...]:
    with opened(path) as image:
        if not image.has_transparency_data:
            raise InputError(f"expected a cut-out with transparency, got {image.mode}: add an alpha channel")
        pixels = np.asarray(image.convert("RGBA"))
    rows, columns = (np.flatnonzero((pixels[..., 3] >= OPAQUE).any(axis)) for axis in (1, 0))
    if not len(rows):
        raise InputError(f"{path}: expected an object, found no pixel that is more than half opaque: replace it")
    pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    alpha = np.ascontiguousarray(pixels[..., 3])
    paint = np.dstack([premultiply(np.ascontiguousarray(pixels[..., :3]), alpha), alpha])
    levels = [_shrink(paint, min(1.0, largest_px / max(alpha.shape)))]
    while max(levels[-1].shape) >= 2 * _SMALLEST_PX:
        levels.append(_shrink(levels[-1], 0.5))
    return tuple(levels)


def _shrink(paint: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale == 1:
        return paint
    height, width = (max(1, round(side * scale)) for side in paint.shape[:2])
    return np.asarray(cv2.resize(paint, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
