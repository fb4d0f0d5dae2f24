"""The one exception that means "the input is wrong, and here is what to do", and how its messages are made."""

import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

_QUOTED = re.compile(r"'[^']{200,}'|\"[^\"]{200,}\"")
_LONGEST_QUOTE, _LONGEST = 200, 4000
_LONGEST_PATH = 1020
"""Four times what a file's name may have in bytes on nearly all file systems."""
_ROOTS = ("model", "recipe")
"""Parts of a preset that need not be named: `--set` knows "optim.lr", too."""


class InputError(ValueError):
    """Raised when something the user gave cannot be used.

    The message names the file or setting, says what was expected and what came, and ends with what to do. The command
    line prints it without a traceback; every other exception is a defect of this package and keeps its traceback.

    Whatever a file or a stranger put into it, a message is one line of text that a terminal can show: what cannot be
    printed is escaped, quoted values are cut at 200 characters.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(plain(str(message)))


def misfit(error: "ValidationError", *, each: str = "") -> str:
    """Which settings do not fit, why, and what came, in one line.

    Args:
        error: of pydantic.
        each: goes before each name, such as "setting "; names are then those that `--set` knows.
    """
    return "; ".join(
        f"{each}{_name(problem['loc'], short=bool(each))}: {_complaint(dict(problem))}" for problem in error.errors()
    )


def listed(names: Sequence[object], *, most: int = 5, between: str = ", ") -> str:
    """A few names, cut where they are long, then how many more there are.

    >>> listed(["a.czi", "b.czi"]), listed("abcdefg")
    ('a.czi, b.czi', 'a, b, c, d, e and 2 more')
    """
    more = len(names) - most
    return between.join(map(_cut, names[:most])) + (f" and {more} more" if more > 0 else "")


def _cut(name: object) -> str:
    text = str(name)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:100]}...{text[-97:]}"  # of a path the end tells most


def brief(value: object, *, most: int = 60) -> str:
    """A value as messages show it, cut where it is long.

    >>> brief("a" * 100, most=10)
    "'aaaaaa..."
    """
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def raised(error: BaseException) -> str:
    """Another library's exception as messages show it: its kind and what it says, cut where it quotes a whole file.

    >>> raised(KeyError("axes"))
    "KeyError('axes')"
    """
    return brief(error, most=200)


def shown(source: object) -> str:
    """The name of a file as messages show it: cut where it is longer than file systems allow."""
    text = str(source)
    return text if len(text) <= _LONGEST_PATH and text.isprintable() else brief(text, most=200)


def typed(path: object) -> str:
    """The name of a file as it is typed in a shell, for commands that messages advise.

    >>> typed("my data/run 1")
    "'my data/run 1'"
    """
    return shlex.quote(str(path))


def plain(message: str) -> str:
    r"""A message in one line, with nothing in it that steers a terminal or that no encoding takes, and long quotes cut.

    That of another process comes after its traceback, as PyTorch's loader sends it.

    >>> plain("a.png: expected text,\n got '\x1b[31m'")
    "a.png: expected text,; got '\\x1b[31m'"
    """
    message = message.rpartition("InputError: ")[2]
    if not message.isprintable():
        line = "; ".join(line.strip() for line in message.splitlines() if line.strip())
        message = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    message = _QUOTED.sub(lambda found: f"{found[0][: _LONGEST_QUOTE - 4]}...{found[0][-1]}", message)
    return message if len(message) <= _LONGEST else f"{message[: _LONGEST - 500]} ... {message[-490:]}"


def _name(location: Sequence[object], *, short: bool) -> str:
    parts = [str(part) for part in location if not str(part).startswith("kind=")]
    if short and parts[:1] and parts[0] in _ROOTS:
        parts = parts[1:]
    return ".".join(parts) or "settings"


def _complaint(problem: dict[str, object]) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    given = problem["input"]
    # A whole group of settings, as a dict or as pydantic's model, tells nothing that its message does not.
    got = "" if isinstance(given, dict) or hasattr(given, "model_fields") else f", got {brief(given, most=200)}"
    hint = ": write lists as [416, 448]" if str(problem["type"]).startswith("tuple") else ""
    return f"{message}{got}{hint}"
