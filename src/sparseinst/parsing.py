"""Contents of files, read to a value or to an InputError, whatever is in them: bytes, text, JSON, YAML."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from sparseinst.errors import InputError, brief, shown
from sparseinst.files import is_file

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
