"""Files: written so that nothing is ever half there, and what may be kept in a cache."""

import glob
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from sparseinst.disk import known_as_full
from sparseinst.errors import InputError

_LOGGER = logging.getLogger(__name__)
CACHE = "SPARSEINST_CACHE"
"""Environment variable that names the folder of what can be made again."""
UNFINISHED = ".unfinished"
"""Before the suffix of a file that can be used, and is not done."""
_FEW = 1000
"""Files that are asked for one by one."""

LONG_STEM = 200
"""Bytes of a stem above which a file's name may be longer than file systems take."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it once the block has ended well, removed otherwise."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    _sweep(path, stem=path.stem, suffix=path.suffix)
    try:
        with known_as_full(path.parent):
            yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def kept(path: Path) -> Iterator[Path]:
    """As `atomic`, for files that are of use before they are done: the name beside `path` can be seen, and what was
    written stays where the block does not end well. The next run to write there says so, and begins anew.
    """
    unfinished = path.with_name(f"{path.stem}{UNFINISHED}{path.suffix}")
    if unfinished.exists():
        _LOGGER.warning(f"{unfinished}: left by a run that did not finish, is written over")
    try:
        with known_as_full(path.parent):
            yield unfinished
        unfinished.replace(path)
    except BaseException:
        if unfinished.exists() and unfinished.stat().st_size:
            _LOGGER.warning(f"{unfinished}: holds what was done until then")
        else:
            unfinished.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """A temporary folder beside `path`, renamed to it once the block has ended well, removed otherwise.

    Args:
        path: the folder.
        replace: put it in the place of a folder that is there.

    Raises:
        InputError: something is there already (an empty folder may be), or the folder cannot be made.
    """
    path = real(at_home(path))
    if not (replace and path.is_dir()) and path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path}: expected a folder that is not there yet, found one: remove it or name another")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    _sweep(path, stem=path.name, suffix="")
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made ({error}): choose another place") from error
    try:
        with known_as_full(path.parent):
            yield temporary
        if replace:
            shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sweep(path: Path, *, stem: str, suffix: str) -> None:
    """Removes what processes that are no more have left of a file or folder that they did not finish."""
    for left in path.parent.glob(f".{glob.escape(stem)}.*.tmp{glob.escape(suffix)}"):
        number = left.name.removesuffix(f".tmp{suffix}").rpartition(".")[2]
        if not number.isdecimal() or _runs(int(number)):
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    if os.name == "nt":
        return True  # asking would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # of another user
    return True


def cache_folder() -> Path:
    """Where the package keeps what it can make again: `SPARSEINST_CACHE`, else a folder in the user's cache."""
    if CACHE in os.environ:
        return Path(os.environ[CACHE])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparseinst"


def keep_newest(folder: Path, pattern: str, *, most_bytes: int, but: Path) -> None:
    """Removes the oldest files of a folder that are beyond a size, all together; never `but`."""
    kept = sorted(folder.glob(pattern), key=lambda file: file.stat().st_mtime, reverse=True)
    sizes = accumulate(file.stat().st_size for file in kept)
    for file, size in zip(kept, sizes, strict=True):
        if size > most_bytes and file != but:
            file.unlink(missing_ok=True)


def missing_files(folder: Path, names: Sequence[str]) -> list[Path]:
    """Which of many files, named relative to a folder, are not there; a folder is listed once, not asked often."""
    there: dict[str, set[str]] = {}
    missing: list[Path] = []
    for name in names:
        home, _, last = name.rpartition("/")
        if home not in there:
            there[home] = _files_in(folder / home) if len(names) > _FEW else set()
        if last not in there[home] and not is_file(folder / name):
            missing.append(folder / name)
    return missing


def _files_in(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(folder) if entry.is_file()}
    except (OSError, ValueError):
        return set()


def file_hash(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fitting(stem: str) -> str:
    """A name that more can be put behind, for what is written about a file: long ones are cut, and stay different.

    >>> fitting("cells"), len(fitting(250 * "a"))
    ('cells', 189)
    """
    encoded = os.fsencode(stem)
    if len(encoded) <= LONG_STEM:
        return stem
    return f"{encoded[:180].decode('utf-8', 'ignore')}-{hashlib.sha256(encoded).hexdigest()[:8]}"


def real(path: str | Path) -> Path:
    """The absolute path, links followed; where these lead in a circle, as far as that goes (`Path.resolve` fails)."""
    return Path(os.path.realpath(path))


def at_home(path: str | Path) -> Path:
    """A path with ~ and ~NAME replaced by the home they stand for; as it is where there is none of that name."""
    try:
        return Path(path).expanduser()
    except (OSError, ValueError, RuntimeError):
        return Path(path)


def matching(pattern: str | Path) -> list[Path]:
    """What there is that a pattern matches, ** in it any folders; nothing for patterns that no file system takes."""
    try:
        return [Path(name) for name in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207  may be absolute
    except (OSError, ValueError):
        return []


def is_file(path: str | Path) -> bool:
    """Whether there is such a file; no for names that no file system takes."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # longer than any name, or a zero in it
        return False


def is_folder(path: str | Path) -> bool:
    """Whether there is such a folder; no for names that no file system takes."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False
