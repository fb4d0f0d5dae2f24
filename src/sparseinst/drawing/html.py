"""Pages that are one file and open from disk: the frame of all of them, tables and rows of large figures."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

_STYLE = Path(__file__).with_name("page.css")


def document(title: str, sections: Iterable[str], *, style: str = "", head: str = "") -> str:
    """A whole page that refers to nothing outside it.

    Args:
        title: plain text, also the headline.
        sections: HTML, one after the other.
        style: CSS after that of all pages.
        head: HTML for the end of the head.
    """
    own = _STYLE.read_text(encoding="utf-8") + style
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{own}</style>\n{head}</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )


def tiles(figures: Sequence[tuple[str, str]]) -> str:
    """Large figures (value, what it is) in a row."""
    cells = "".join(f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for value, label in figures)
    return f'<div class="tiles">{cells}</div>'


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, texts: Iterable[int] = (0,)) -> str:
    """A table of plain text.

    Args:
        columns: their heads.
        rows: of as many cells.
        texts: which columns are texts, from 0; the others are numbers.
    """
    left = set(texts)
    kinds = [' class="text"' if number in left else "" for number in range(len(columns))]

    def line(tag: str, cells: Sequence[str]) -> str:
        return "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{line("th", columns)}</tr>{body}</table></div>'
