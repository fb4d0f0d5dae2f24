"""Which image files a source means, and what in it is none of them."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from sparseinst.data.large.ome_zarr import is_zarr
from sparseinst.data.signature import is_ours
from sparseinst.data.stacks.makers.opening import MAKER_SUFFIXES
from sparseinst.errors import InputError, listed, shown
from sparseinst.files import LONG_STEM, UNFINISHED, fitting, is_file, is_folder, matching, real
from sparseinst.parsing import read_bytes

IMAGE_SUFFIXES = frozenset({
    ".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jpeg", ".jpg", ".npy", ".pgm", ".png",
    ".ppm", ".tif", ".tiff", ".webp",
})  # fmt: skip
"""Suffixes (in lower case) taken from folders and globs; a file named outright may have any."""
ARRAY_SUFFIX = ".npy"
"""Of arrays, which NumPy reads."""
PICTURE_SUFFIXES = IMAGE_SUFFIXES - {ARRAY_SUFFIX}

_FOREIGN = (
    ".arw", ".bif", ".cr2", ".cr3", ".czi", ".dcm", ".dng", ".exr", ".ims", ".j2k", ".jp2",
    ".jpx", ".jxl", ".lif", ".lsm", ".mrc", ".mrxs", ".nd2", ".ndpi", ".nef", ".nii", ".nii.gz", ".oib", ".oif", ".oir",
    ".orf", ".qptiff", ".raf", ".rw2", ".scn", ".stk", ".svs", ".tga", ".vsi", ".zarr", ".zvi",
)  # fmt: skip
_SIDECARS = frozenset({".csv", ".json", ".jsonl", ".txt", ".xml"})
_VIDEOS = ("_overlay.mp4", "_overlay.m4v", "_overlay.mov", "_overlay.mkv")
_SYSTEM = frozenset({"desktop.ini", "thumbs.db"})


class Sources(NamedTuple):
    """The files of a source.

    Args:
        images: what is read, at least one.
        unread: other files of the folder, or that the pattern matches, which somebody may have wanted to be read.
        root: the folder that names are relative to; None where only one level of folders is looked at.
    """

    images: list[Path]
    unread: tuple[Path, ...] = ()
    root: Path | None = None

    @property
    def names(self) -> list[str]:
        """Of each image what results call it: a path in `root`, or the file's name, or its path of several folders."""
        return names_of(self.images, self.root)

    @property
    def stems(self) -> list[str]:
        """What names of files about each image begin with: in a subfolder of `root` with the names of folders."""
        if self.root is None:
            return [fitting(path.stem) for path in self.images]
        long = ["_".join(path.relative_to(self.root).with_suffix("").parts) for path in self.images]
        pairs = zip(self.images, long, strict=True)
        return [stem if len(os.fsencode(stem)) <= LONG_STEM else fitting(path.stem) for path, stem in pairs]


def find_sources(
    source: str | Path, *, recursive: bool = False, out: Path | None = None, stacks: bool = False
) -> Sources:
    """Image files of a source, sorted, and what else there is.

    Of a folder or a pattern, pictures that this program wrote are left out (see `signature.is_ours`), so that a run
    into the folder of its images can be repeated. Of a folder, so is what is hidden. Arrays (.npy) count where there
    are no pictures.

    What else a folder holds or a pattern matches is `unread`, but for what goes with images or comes from this program:
    .txt, .json, .jsonl, .csv and .xml files, and videos with overlays. Whether one of them is an image that was meant
    to be read only its name can tell (see `is_foreign_image`).

    Args:
        source: an image file, a folder, a glob ("scans/**/*.png"), or a list file (.txt, one path a line, relative to
            the list; its order is kept).
        recursive: take the images of a folder's subfolders, too; links to folders are not followed.
        out: a folder that is left out of these: what is written there is not read.
        stacks: take the files of microscopes' makers (CZI, LIF, ND2), too, which can only be opened by their axes.

    Raises:
        InputError: there is no such file or folder, or no image in it, or recursive without a folder.
    """
    path = Path(source)
    if is_zarr(path):
        return Sources([path])
    if is_folder(path):
        files = _files(path, recursive=recursive, out=out)
        return _sorted_out(files, f"{path}: expected a folder with images", path if recursive else None, stacks)
    if recursive:
        raise InputError(f"{source}: expected a folder to be gone through with its subfolders, found none: check the "
                         "path, or leave recursive out; a pattern takes subfolders with **")  # fmt: skip
    if is_file(path):
        return Sources(read_list(path) if path.suffix.lower() == ".txt" else [path])
    if glob.has_magic(str(source)):
        files = (path for path in matching(source) if path.suffix.lower() == ".zarr" or not is_folder(path))
        return _sorted_out(files, f"{source}: expected a pattern that matches images", None, stacks)
    raise InputError(
        f"{shown(source)}: expected an image, a folder, a glob or a list file (.txt), found none: check the path"
    )


def list_sources(source: str | Path) -> list[Path]:
    """Image files of a source (a file, folder, glob or list file), sorted.

    Returns:
        At least one path. Files named in a list are not looked at here: a missing one is found when it is read.
    """
    return find_sources(source).images


def is_foreign_image(path: Path) -> bool:
    """Whether a file that is not read is an image all the same: of a microscope, scanner, clinic or camera.

    Who predicts on a folder that holds such a file meant it, too: leaving it out is a failure, as a broken file is. Of
    any other kind of file that cannot be known, and to name it is enough. Only names are looked at.

    Example:
        >>> is_foreign_image(Path("cells.CZI")), is_foreign_image(Path("notes.docx"))
        (True, False)
    """
    return path.name.lower().endswith(_FOREIGN)


def names_of(paths: Iterable[Path], root: Path | None = None) -> list[str]:
    """Paths relative to a folder; without one the files' names, or the paths as they are where folders differ."""
    paths = list(paths)
    if root is not None:
        return [path.relative_to(root).as_posix() for path in paths]
    one_folder = len({path.parent for path in paths}) == 1
    return [path.name if one_folder else path.as_posix() for path in paths]


def _files(folder: Path, *, recursive: bool, out: Path | None) -> Iterator[Path]:
    """All that is not hidden in a folder; a folder whose suffix makes it an image (.zarr) stands for what it holds."""
    left_out = None if out is None else real(out)
    for parent, folders, files in os.walk(folder, onerror=_refuse):
        here = Path(parent)
        shown = sorted(name for name in folders if not name.startswith("."))
        yield from (here / name for name in files if not name.startswith("."))
        yield from (here / name for name in shown if name.lower().endswith(".zarr"))
        below = [name for name in shown if recursive and not name.lower().endswith(".zarr")]
        folders[:] = [name for name in below if real(here / name) != left_out]


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be looked into ({error}): allow it, or name the images") from error


def _sorted_out(files: Iterable[Path], expected: str, root: Path | None, stacks: bool) -> Sources:
    found = sorted(files)
    others = [path for path in found if not is_ours(path)]
    images = [path for path in others if _is_image(path) or (stacks and path.suffix.lower() in MAKER_SUFFIXES)]
    pictures = [path for path in images if path.suffix.lower() != ARRAY_SUFFIX]
    images = pictures or images  # arrays beside pictures are masks or features, not images
    taken = set(images)
    unread = tuple(path for path in others if path not in taken and not _goes_with_images(path))
    if not images:
        there = [f"there are {listed(names_of(unread, root))}"] if unread else []
        if len(others) < len(found):
            there.append("pictures that sparseinst wrote are left out unless they are named")
        aside = f" ({'; '.join(there)})" if there else ""
        raise InputError(f"{expected}, found none ending in {', '.join(sorted(IMAGE_SUFFIXES))}{aside}: check the path")
    return Sources(images, unread, root)


def has_image_name(path: Path) -> bool:
    """Whether a file's name is that of an image, or a folder's that of a zarr image.

    What Cellpose saves beside images (NAME_seg.npy) is none.
    """
    suffix = path.suffix.lower()
    return suffix == ".zarr" or (suffix in IMAGE_SUFFIXES and not path.name.lower().endswith("_seg.npy"))


def _is_image(path: Path) -> bool:
    return is_zarr(path) if path.suffix.lower() == ".zarr" else has_image_name(path) and is_file(path)


def _goes_with_images(path: Path) -> bool:
    name = path.name.lower().replace(UNFINISHED, "")
    return path.suffix.lower() in _SIDECARS or name.endswith(_VIDEOS) or name in _SYSTEM


def lines_of(content: bytes, source: object) -> list[str]:
    """What a list file names, one image a line; empty lines are left out.

    Args:
        content: of the file, in UTF-8.
        source: where it is from, for messages.

    Raises:
        InputError: it is no such text, or names nothing.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: expected a text file in UTF-8, one image path a line: {error}") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{source}: expected one image path a line, found none: fill the list")
    return lines


def read_list(path: Path) -> list[Path]:
    """The images that a list file names, one path a line, relative to the file's folder.

    Raises:
        InputError: it is no text, or names nothing.
    """
    content = read_bytes(path, expected="a text file in UTF-8, one image path a line")
    return [path.parent / line for line in lines_of(content, path)]
