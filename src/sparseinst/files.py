"""Files: written so that nothing is ever half there, read to a result or an InputError, whatever is in them."""

import glob
import hashlib
import json
import logging
import os
import shlex
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml

from sparseinst.disk import known_as_full
from sparseinst.errors import InputError, brief

_LOGGER = logging.getLogger(__name__)
CACHE = "SPARSEINST_CACHE"
"""Environment variable that names the folder of what can be made again."""
UNFINISHED = ".unfinished"
"""Before the suffix of a file that can be used, and is not done."""
_FEW = 1000
"""Files that are asked for one by one."""
_LONGEST_NAME = 255
"""Bytes of a file's name on nearly all file systems."""
_MOST_NODES = 1_000_000
"""Values of a YAML file, those that its aliases repeat counted each time; a data set's list of files is shorter."""


@contextmanager
def readable(source: object, *, expected: str, hint: str) -> Iterator[None]:
    """Turns whatever a reader raises within the block into an InputError, so that no bytes end in a traceback.

    Args:
        source: the file, for messages.
        expected: what it should be: "a whole image file".
        hint: what to do about it: "replace it".

    Raises:
        InputError: of the block, as it is, or for anything else that it raised.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{shown(source)}: expected {expected}, cannot read it ({_reason(error)}): {hint}") from error


def shown(source: object) -> str:
    """The name of a file as messages show it: cut where it is longer than file systems allow."""
    text = str(source)
    return text if len(text) <= 4 * _LONGEST_NAME and text.isprintable() else brief(text, most=200)


def typed(path: object) -> str:
    """The name of a file as it is typed in a shell, for commands that messages advise.

    >>> typed("my data/run 1")
    "'my data/run 1'"
    """
    return shlex.quote(str(path))


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
    path = path.expanduser().resolve()
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


def read_bytes(path: Path, *, expected: str) -> bytes:
    """The content of a file.

    Args:
        path: the file.
        expected: what it should be, for messages: "a list of images".

    Raises:
        InputError: there is no such file, or it may not be read.
    """
    if not is_file(path):
        raise InputError(f"{shown(path)}: expected {expected}, found none: check the path")
    with readable(path, expected=expected, hint="allow it"):
        return path.read_bytes()


def read_json(path: Path, *, expected: str) -> Any:
    """The content of a JSON file.

    Args:
        path: the file.
        expected: what it should be, for messages: "a COCO annotation file".

    Raises:
        InputError: there is no such file, or it is no JSON.
    """
    return parse_json(read_bytes(path, expected=expected), source=path)


def parse_json(text: str | bytes, *, source: object, hint: str = "write the file again") -> Any:
    """What a JSON text says.

    Args:
        text: the text.
        source: where it is from, for messages.
        hint: what to do about it.

    Raises:
        InputError: it is no JSON, nests deeper than Python can follow, or has text that is no Unicode.
    """
    try:
        content = json.loads(text)
        if (b"\\u" if isinstance(text, bytes) else "\\u") in text:  # type: ignore[operator]
            json.dumps(content, ensure_ascii=False).encode()  # half a surrogate pair cannot be written again
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: expected JSON, got something else ({_reason(error)}): {hint}") from error
    return content


def read_text(path: Path, *, expected: str) -> str:
    """The content of a text file in UTF-8, without a byte order mark.

    Args:
        path: the file.
        expected: what it should be, for messages: "one class a line".

    Raises:
        InputError: there is no such file, or it is no such text.
    """
    try:
        return read_bytes(path, expected=expected).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{shown(path)}: expected {expected} as text in UTF-8, got something else ({_reason(error)}): save it so"
        ) from error


def read_yaml(path: Path, *, expected: str) -> Any:
    """The content of a YAML file of plain values.

    Args:
        path: the file.
        expected: what it should be, for messages: "a preset".

    Raises:
        InputError: there is no such file, it is no YAML, or its aliases make more of it than it holds.
    """
    return parse_yaml(read_bytes(path, expected=expected), source=path)


def parse_yaml(text: str | bytes, *, source: object, hint: str = "correct the file") -> Any:
    """What a YAML text of plain values says.

    Args:
        text: the text.
        source: where it is from, for messages.
        hint: what to do about it.

    Raises:
        InputError: it is no YAML, or its aliases make more of it than it holds.
    """
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{source}: expected YAML, got something else ({_reason(error)}): {hint}") from error
    if _is_larger(content, _MOST_NODES):
        raise InputError(
            f"{source}: expected at most {_MOST_NODES:,} values, its aliases (*name) make more: write it out"
        )
    return content


def find_named(name: str | Path, folder: Path, *, kind: str, option: str) -> Path:
    """A YAML file that the package brings, by its name, or one of the user's, by its path.

    Args:
        name: as given; what ends in .yaml or .yml is a path.
        folder: of the package's files.
        kind: what they are, for messages: "preset".
        option: what the name was given as: "model".

    Raises:
        InputError: there is none; the message names what is nearest.
    """
    by_user = is_yaml(name)
    path = Path(name) if by_user else folder / f"{name}.yaml"
    known = sorted(file.stem for file in folder.glob("*.yaml"))
    if (by_user and is_file(path)) or str(name) in known:
        return path
    near = get_close_matches(str(name), known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"{kind}s: {', '.join(known)}"
    raise InputError(f"{option} {brief(str(name), most=200)}: no {kind} or file of this name; {hint}")


def is_yaml(name: str | Path) -> bool:
    """Whether a name is that of a YAML file."""
    return str(name).endswith((".yaml", ".yml"))


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


def _reason(error: BaseException) -> str:
    return brief(" ".join(str(error).split()) or type(error).__name__, most=200)[1:-1]


def _is_larger(value: object, most: int) -> bool:
    """Whether a value holds more than so many values, those that it holds several times counted each time."""
    waiting, seen = [value], 0
    while waiting and seen <= most:
        one = waiting.pop()
        seen += 1
        parts: Iterable[object] = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        waiting += parts
        if len(waiting) > most:
            return True
    return seen > most
