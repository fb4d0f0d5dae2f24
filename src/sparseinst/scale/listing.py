"""Which images an input means: files of any file system that fsspec knows, tar files and Parquet files of images."""

import glob
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from sparseinst.data.sources import PICTURE_SUFFIXES, find_sources, lines_of
from sparseinst.errors import InputError, listed
from sparseinst.files import is_file, is_folder, matching, real
from sparseinst.parsing import read_bytes

Kind = Literal["images", "tar", "parquet"]
"""What the files of an input hold: one image each, or many."""

_AT_ONCE = 4096
"""Names that are hashed at once."""
_IMAGES: Kind = "images"
_KINDS: dict[str, Kind] = {".tar": "tar", ".parquet": "parquet", **dict.fromkeys(PICTURE_SUFFIXES, _IMAGES)}


class Listing(NamedTuple):
    """The files of an input, in the order in which they are gone through."""

    kind: Kind
    root: str
    """Folder or URL that names are relative to."""
    names: pa.StringArray
    """Relative to the root, or whole paths and URLs."""

    def identity(self) -> dict[str, Any]:
        """What tells this listing from another."""
        digest = hashlib.sha256()
        for start in range(0, len(self.names), _AT_ONCE):
            digest.update("\0".join(self.names.slice(start, _AT_ONCE).to_pylist()).encode() + b"\0")
        return {"kind": self.kind, "files": len(self.names), "sha256": digest.hexdigest(), "root": self.root}


def list_input(source: str, *, out: Path | None = None) -> Listing:
    """The files of an input.

    Args:
        source: an image, a .tar or a .parquet file, a folder (with its subfolders), a glob, or a list file (.txt, one
            path or URL a line, relative to the list); or the URL of one of these.
        out: a folder that is left out of these.

    Raises:
        InputError: there is nothing there, images and files of many images are mixed, or the package for the file
            system is not installed.
    """
    if "://" in source and not source.startswith("file://"):
        return _remote(source)
    path = Path(LocalFileSystem._strip_protocol(source)) if source.startswith("file://") else Path(source)
    if path.suffix.lower() == ".txt" and is_file(path):
        return _of_list(read_bytes(path, expected="a list of images"), source, str(path.parent))
    if is_folder(path):
        many = [file for file in _walk(path, out) if _KINDS.get(file.suffix.lower()) in ("tar", "parquet")]
        root = path
    else:
        found = matching(path)
        many = [file for file in found if _KINDS.get(file.suffix.lower()) in ("tar", "parquet") and file.is_file()]
        root = _fixed(str(path))
    if not many:
        files = find_sources(path, recursive=is_folder(path), out=out).images
        return _listing("images", str(root), (os.path.relpath(file, root) for file in files))
    return _one_kind(source, str(root), sorted(os.path.relpath(file, root) for file in many))


def file_system(url: str) -> tuple[Any, str]:
    """The file system of a path or URL, and the path in it.

    Raises:
        InputError: no such file system, or its package is not installed.
    """
    try:
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        scheme = url.partition("://")[0]
        extra = {"s3": "s3", "gs": "gs", "gcs": "gs"}.get(scheme, "scale")
        raise InputError(
            f"{url}: expected a file system that fsspec can open, got {scheme} ({error}): pip install "
            f"'sparseinst[{extra}]', or what the message names"
        ) from error


def location(root: str, name: str) -> str:
    """Path or URL of a file of a listing."""
    if "://" in name or name.startswith("/") or not root or Path(name).is_absolute():
        return name
    return f"{root.rstrip('/')}/{name}"


def _remote(url: str) -> Listing:
    fs, path = file_system(url)
    suffix = Path(path).suffix.lower()
    try:
        if suffix == ".txt":
            return _of_list(fs.cat_file(path), url, url.rpartition("/")[0])
        if suffix in _KINDS and not glob.has_magic(path):
            return _one_kind(url, url.rpartition("/")[0], [url.rpartition("/")[2]])
        files = fs.glob(path) if glob.has_magic(path) else fs.find(path)
    except OSError as error:
        raise InputError(f"{url}: expected images, cannot look there ({error}): check the URL") from error
    base = str(_fixed(path)) if glob.has_magic(path) else path.rstrip("/")
    base = base.replace(":/", "://", 1) if "://" in path and "://" not in base else base
    found = sorted(file.removeprefix(base).lstrip("/") for file in files if Path(file).suffix.lower() in _KINDS)
    if not found:
        raise InputError(f"{url}: expected images, .tar or .parquet files, found none: check the URL")
    return _one_kind(url, fs.unstrip_protocol(base), found)


def _of_list(content: bytes, source: str, root: str) -> Listing:
    names = lines_of(content, source)
    kinds = {_KINDS.get(Path(name).suffix.lower(), "images") for name in names}
    return _listing(_single(kinds, source, names), root, names)


def _one_kind(source: str, root: str, names: list[str]) -> Listing:
    return _listing(_single({_KINDS[Path(name).suffix.lower()] for name in names}, source, names), root, names)


def _single(kinds: set[Kind], source: str, names: list[str]) -> Kind:
    if len(kinds) > 1:
        raise InputError(
            f"{source}: expected images, .tar or .parquet files, got several of these ({listed(names)}): give a "
            "pattern that takes one kind"
        )
    return next(iter(kinds))


def _listing(kind: Kind, root: str, names: Iterable[str]) -> Listing:
    return Listing(kind, root, pa.array(list(names), pa.string()))


def _walk(folder: Path, out: Path | None) -> Iterable[Path]:
    left_out = None if out is None else real(out)
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and real(Path(parent) / name) != left_out]
        yield from (Path(parent) / name for name in files if not name.startswith("."))


def _fixed(pattern: str) -> Path:
    """The folder before the first wildcard; that of a file without any."""
    parts = Path(pattern).parts[:-1]
    magic = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:magic])
