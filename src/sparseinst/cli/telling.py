"""How the commands talk to the user: how much is told, text, errors, tables."""

from collections.abc import Sequence
from contextvars import ContextVar
from enum import Enum
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparseinst.errors import InputError

if TYPE_CHECKING:
    from sparseinst.data.formats.source import DataSource

_FILE_COLUMNS = 160


class Voice(Enum):
    """How much a command tells."""

    QUIET = "errors"
    USUAL = "a summary"
    VERBOSE = "a line for each image, and a summary"


_voice = ContextVar("voice", default=Voice.USUAL)


def speak(*, quiet: bool = False, verbose: bool = False) -> None:
    """Sets how much this command tells, in all that prints here: `say`, tables, bars.

    Raises:
        InputError: both are asked for.
    """
    if quiet and verbose:
        raise InputError("expected --quiet or --verbose, got both: leave one out")
    _voice.set(Voice.QUIET if quiet else Voice.VERBOSE if verbose else Voice.USUAL)


def tells_each() -> bool:
    """Whether each image gets a line."""
    return _voice.get() is Voice.VERBOSE


def console(*, stderr: bool = False, always: bool = False) -> Console:
    """Where to print; a file, which nobody resizes, gets lines long enough for logs and tables.

    Args:
        stderr: standard error, not standard output.
        always: print also where only errors are wanted.
    """
    quiet = _voice.get() is Voice.QUIET and not always
    found = Console(stderr=stderr, quiet=quiet)
    return found if found.is_terminal else Console(stderr=stderr, quiet=quiet, width=_FILE_COLUMNS)


def say(text: str, *, style: str = "", stderr: bool = False) -> None:
    """Prints text as it is: no markup, no line breaks of our own."""
    console(stderr=stderr).print(Text(text, style=style), soft_wrap=True)


def say_error(text: str) -> None:
    """Prints text in red to standard error, however little is to be told."""
    console(stderr=True, always=True).print(Text(text, style="red"), soft_wrap=True)


def say_found(source: "DataSource") -> None:
    """Tells what a data set was recognised as, and what is taken for what."""
    for line in source.found:
        say(f"found {line}")


def count(number: int, noun: str) -> str:
    """A number with its noun.

    Example:
        >>> count(1, "image"), count(2, "image")
        ('1 image', '2 images')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table; columns whose cells are all numbers are aligned at the right."""
    table = Table()
    for i, column in enumerate(columns):
        numeric = all(row[i].replace(".", "").lstrip("-").isdigit() or row[i] == "-" for row in rows)
        table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console().print(table)
