"""Pieces of Markdown, in which text from outside stays text."""

import html
import re
from collections.abc import Iterable


def headed(title: str, body: str) -> str:
    """A section; nothing where it would be empty."""
    return f"## {title}\n\n{body}" if body else ""


def fold(title: str, body: str) -> str:
    """A part that is opened by a click."""
    return f"<details>\n<summary>{html.escape(title)}</summary>\n\n{body}\n\n</details>"


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; bars within cells do not end them."""
    head = [*columns]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def text(value: object) -> str:
    r"""Any value as text of one line that is no markup.

    Example:
        >>> text("a *b* <c>\n[d]")
        'a \\*b\\* &lt;c&gt; \\[d\\]'
    """
    return re.sub(r"([\\`*_\[\]#])", r"\\\1", html.escape(" ".join(str(value).split()), quote=False))


def code(name: str) -> str:
    """A name as code of one line."""
    line = " ".join(name.split())
    return f"`` {line} ``" if "`" in line else f"`{line}`"


def slug(name: str) -> str:
    """A name as an identifier.

    Example:
        >>> slug("COCO val2017")
        'coco-val2017'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unnamed"
