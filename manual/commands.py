"""The page of all commands, as `--help` tells of them."""

import io
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

import typer.main
from typer.core import TyperGroup

from sparseinst.cli import app

_HEAD = """# Commands

What `sparseinst COMMAND --help` prints, of version {version}. Commands end with 0; with 1 where something of the data
was left out, after one line that says what; with 2 where what was asked for cannot be done; with 130 after Ctrl-C.
"""


def commands(command: Any = None, name: str = "sparseinst") -> Iterator[tuple[str, Any]]:
    """Names and commands, groups first, as `sparseinst --help` orders them."""
    command = typer.main.get_command(app) if command is None else command
    if isinstance(command, TyperGroup):
        for word, below in command.commands.items():
            yield from commands(below, name if word == "run" else f"{name} {word}")
    else:
        yield name, command


def page(version: str) -> str:
    """The Markdown of the page."""
    return "\n".join([_HEAD.format(version=version), *(_section(name, command) for name, command in commands())])


def _section(name: str, command: Any) -> str:
    context = command.context_class(command, info_name=name)
    with redirect_stdout(io.StringIO()):
        command.format_help(context, context.make_formatter())  # only then are settings described
    records = [one.get_help_record(context) for one in command.params if not getattr(one, "hidden", False)]
    usage = f"{name} {' '.join(command.collect_usage_pieces(context))}"
    rows = [f"| `{_plain(called)}` | {_cell(text)} |" for called, text in filter(None, records)]
    title = name.removeprefix("sparseinst ")
    head = ["| option | what it does |", "|---|---|"] if rows else []
    return "\n".join([f"## {title}", "", f"`{usage}`", "", _text(command.help or ""), "", *head, *rows, ""])


def _text(text: str) -> str:
    """Help as paragraphs."""
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text.replace("\b", "")))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _plain(called: str) -> str:
    """An option as it is called, its type as a word: `--lr FLOAT`."""
    return re.sub(r"<(\w+)(?: range)?>", lambda match: match[1].upper(), called)
