"""Which image files a source means."""

import glob
from collections.abc import Iterable
from pathlib import Path

from sparseinst.errors import InputError

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp"})
"""Suffixes (in lower case) taken from folders and globs; a file named outright may have any."""


def list_sources(source: str | Path) -> list[Path]:
    """Image files of a source, sorted.

    Args:
        source: an image file, a folder (its own images, none of its subfolders), a glob ("scans/**/*.png"), or a list
            file (.txt, one path a line, relative to the list; its order is kept).

    Returns:
        At least one path. Files named in a list are not looked at here: a missing one is found when it is read.

    Raises:
        InputError: there is no such file or folder, or no image in it.
    """
    path = Path(source)
    if path.is_dir():
        return _images(path.iterdir(), f"{path}: expected a folder with images")
    if path.is_file():
        return _listed(path) if path.suffix.lower() == ".txt" else [path]
    if glob.has_magic(str(source)):
        found = glob.glob(str(source), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
        return _images(map(Path, found), f"{source}: expected a pattern that matches images")
    raise InputError(f"{source}: expected an image, a folder, a glob or a list file (.txt), found none: check the path")


def _images(paths: Iterable[Path], expected: str) -> list[Path]:
    images = sorted(path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not images:
        raise InputError(f"{expected}, found none ending in {', '.join(sorted(IMAGE_SUFFIXES))}: check the path")
    return images


def _listed(path: Path) -> list[Path]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a text file in UTF-8, one image path a line: {error}") from error
    images = [path.parent / line.strip() for line in lines if line.strip()]
    if not images:
        raise InputError(f"{path}: expected one image path a line, found none: fill the list")
    return images
