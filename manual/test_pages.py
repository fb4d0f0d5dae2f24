"""Every block of every page is run, and every command and figure is looked at: `make test-docs`."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

import sparseinst
from blocks import ROOT, RUN, SHOWN, blocks, commands, files_of, pages, read
from figures import problems
from page_runs import end_served, fits, free_port, run_block
from prepared import prepare
from sparseinst.cli import app

PAGES = pages()
WITH_CODE = [page for page in PAGES if any(block.reason is None and block.language in RUN for block in blocks(page))]
WITH_COMMANDS = [page for page in PAGES if commands(page)]


@pytest.mark.parametrize("page", WITH_CODE)
def test_blocks_of_a_page_run_in_order_in_one_folder(page: str, tmp_path: Path) -> None:
    """They end without an error and print what the page says they print."""
    prepare(tmp_path, files_of(page))
    port, printed = free_port(), ""
    try:
        for block in blocks(page):
            if block.prints:
                assert fits(block.text, printed), f"{page}, line {block.line} is not what was printed:\n{printed}"
            elif block.reason is None and block.language in RUN:
                printed = run_block(block, tmp_path, port)
    finally:
        end_served(tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_names_its_language(page: str) -> None:
    """Whatever is not run says why, or is only read."""
    unknown = [block.line for block in blocks(page) if block.reason is None and block.language not in (*RUN, *SHOWN)]
    assert not unknown, (
        f"{page}, lines {unknown}: expected one of {RUN + SHOWN}, or a line *Not run by the tests: why.*"
    )


@pytest.mark.parametrize("page", PAGES)
def test_figures_are_those_of_the_files_they_come_from(page: str) -> None:
    """Whatever looks measured is in a file of results that is named beside it."""
    assert not problems(read(page))


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_blocks_exist(page: str) -> None:
    """Known before any of them is run, and also of those that are not."""
    typed = [
        line
        for block in blocks(page)
        if block.language == "sh"
        for line in block.text.replace("\\\n", " ").splitlines()
    ]
    for line in typed:
        if line.startswith("sparseinst "):
            problem = _unknown_option(shlex.split(line, comments=True)[1:])
            assert problem is None, f"{page}: `{line}`: {problem}"


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_commands_in_sentences_exist(page: str) -> None:
    """Commands, options, targets of make, files of Python."""
    for command in commands(page):
        problem = _problem(command)
        assert problem is None, f"{page}: `{command}`: {problem}"


def test_every_public_name_is_in_the_reference() -> None:
    """What `from sparseinst import` gives."""
    listed = set(re.findall(r"^::: sparseinst\.(\w+)$", read("docs/reference/python.md"), re.M))
    assert listed == set(sparseinst.__all__) - {"__version__"}


def _problem(command: str) -> str | None:
    """What is wrong with a command, if anything is."""
    program, *words = shlex.split(command)
    if program == "make":
        known = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
        return None if words[0] in known else "no such target"
    if program == "python":
        script = ROOT / words[0]
        if not script.is_file():
            return None if words[0] in ("-m", "-c") else "no such file"
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        text = "".join(path.read_text(encoding="utf-8") for path in (script, *script.parent.glob("*.py")))
        unknown = [
            option for option in options if f'"{option}"' not in text and option[2:].replace("-", "_") not in text
        ]
        return f"no such options: {unknown}" if unknown else None
    return _unknown_option(words) if program == "sparseinst" else None


def _unknown_option(words: list[str]) -> str | None:
    """The first word that no command or option of `sparseinst` is called."""
    command: Any = typer.main.get_command(app)
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        if words[0] in command.commands:
            command, words = command.commands[words[0]], words[1:]
        elif "run" in command.commands:  # what a group does unless told otherwise
            command = command.commands["run"]
        else:
            return f"no such command: {words[0]}"
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    return next((f"no such option: {word}" for word in words if re.match("--?[a-z]", word) and word not in known), None)
