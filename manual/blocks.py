"""The code of a page: its fenced blocks in order, and the commands within its sentences."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
RUN = ("sh", "python", "sql")
"""Languages of blocks that are run."""
SHOWN = ("text", "yaml", "json")
"""Languages of blocks that are only read; `text` with the title Prints is what the block before it prints."""
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```[ ]*$",
    re.M | re.S,
)
_NOT_RUN = re.compile(r"\*Not run by the tests: (?P<reason>[^*]+)\.\*\s*\Z")
_FILES = re.compile(r"\A<!-- files: (?P<names>[^>]*) -->")
_INLINE = re.compile(r"(?<!`)`(?P<code>(?:sparseinst|python|make|pip) [^`]+)`(?!`)")


class Block(NamedTuple):
    """One fenced block of a page.

    Attributes:
        page: path of the page in the repository.
        line: of the page, of the opening fence, from 1.
        language: first word behind the fence.
        text: what stands between the fences, without the indentation of the fence.
        reason: why it is not run, as the page says; None if it is run.
        prints: whether it is what the block before it prints.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str | None
    prints: bool


def pages() -> list[str]:
    """Paths in the repository of all pages that people read."""
    found = [*ROOT.glob("docs/**/*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"))]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def read(page: str) -> str:
    """The Markdown of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def files_of(page: str) -> list[str]:
    """Names of the prepared files that a page works with: the comment in its first line lists them."""
    match = _FILES.match(read(page)) if (ROOT / page).is_file() else None
    return match["names"].split() if match else []


def blocks(page: str) -> Iterator[Block]:
    """Fenced blocks of a page, in order."""
    markdown = read(page)
    for match in FENCE.finditer(markdown):
        language, _, rest = match["info"].strip().partition(" ")
        reason = _NOT_RUN.search(markdown[: match.start()])
        indent = len(match["indent"])
        text = "".join(line[indent:] if line.strip() else "\n" for line in match["text"].splitlines(keepends=True))
        line = markdown[: match.start()].count("\n") + 1
        yield Block(page, line, language, text, reason["reason"] if reason else None, 'title="Prints"' in rest)


def commands(page: str) -> list[str]:
    """Commands within the sentences of a page, each once."""
    return sorted({" ".join(match["code"].split()) for match in _INLINE.finditer(FENCE.sub("", read(page)))})
