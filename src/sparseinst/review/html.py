"""Pages about data: pictures, bars and histograms beside what `drawing.html` has."""

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sparseinst.drawing import html

_STYLE = Path(__file__).with_name("page.css")
_QUALITY = 82
_BINS = 24
_WIDTH, _HEIGHT = 360, 160
"""Of the drawing area of a histogram, in units of the picture."""


class Cell(NamedTuple):
    """One picture of a contact sheet, with text below it (plain, the second line fainter)."""

    picture: NDArray[np.uint8]
    text: str
    note: str = ""


def document(title: str, sections: Iterable[str]) -> str:
    """A whole page about data; sections are HTML."""
    return html.document(title, sections, style=_STYLE.read_text(encoding="utf-8"))


def bars(rows: Sequence[tuple[str, int]]) -> str:
    """Names with counts, and a bar for each."""
    most = max((count for _, count in rows), default=1) or 1
    lines = "".join(
        f'<tr><td class="text">{escape(name)}</td><td>{count}</td>'
        f'<td class="text"><i class="length" style="width:{300 * count / most:.0f}px"></i></td></tr>'
        for name, count in rows
    )
    return f'<div class="wide"><table class="bars">{lines}</table></div>'


def histogram(
    title: str, values: NDArray[np.float64], *, unit: str, mark: float | None = None, whole: bool = False
) -> str:
    """How often values are how large, from 0 to what 99.5 of 100 do not exceed.

    Args:
        title: above it.
        values: (n,) from 0 on.
        unit: of the values.
        mark: where a line with its value stands.
        whole: values are whole numbers, and so are the borders of bars.
    """
    if not len(values):
        return ""
    high = max(float(np.percentile(values, 99.5)), 1e-9, mark or 0.0)
    bins = _BINS
    if whole:
        width = math.ceil((high + 1) / _BINS)
        bins = math.ceil((high + 1) / width)
        high = float(bins * width)
    counts, edges = np.histogram(np.minimum(values, high), bins=bins, range=(0.0, high))
    most, step = int(counts.max()), _WIDTH / bins
    parts = []
    for place, count in enumerate(counts.tolist()):
        height = _HEIGHT * count / most
        tip = f"{edges[place]:.3g} to {edges[place + 1]:.3g} {unit}: {count}"
        parts.append(
            f'<rect class="bar" x="{8 + place * step + 1:.1f}" y="{_HEIGHT + 10 - height:.1f}" '
            f'width="{step - 2:.1f}" height="{height:.1f}"><title>{escape(tip)}</title></rect>'
        )
    if mark is not None:
        at = 8 + _WIDTH * mark / high
        parts.append(f'<path class="mark" d="M{at:.1f} 10V{_HEIGHT + 10}"/>')
        side = ' class="ink end"' if mark > 0.6 * high else ' class="ink"'
        shift = -5 if mark > 0.6 * high else 5
        parts.append(f'<text{side} x="{at + shift:.1f}" y="22">{mark:.0f}</text>')
    for share in (0, 0.5, 1):
        at, anchor = 8 + _WIDTH * share, ("start", "middle", "end")[int(2 * share)]
        parts.append(f'<text x="{at:.1f}" y="{_HEIGHT + 26}" style="text-anchor:{anchor}">{high * share:.3g}</text>')
    box = f"0 0 {_WIDTH + 16} {_HEIGHT + 32}"
    drawing = f'<svg class="chart" role="img" aria-label="{escape(title)}" viewBox="{box}">{"".join(parts)}</svg>'
    return f"<div><h3>{escape(title)} ({escape(unit)})</h3>{drawing}</div>"


def sheet(cells: Iterable[Cell]) -> str:
    """A contact sheet."""
    figures = "".join(
        f'<figure><img src="{_embedded(cell.picture)}" alt="{escape(cell.text)}">'
        f"<figcaption>{escape(cell.text)}<br><span>{escape(cell.note)}</span></figcaption></figure>"
        for cell in cells
    )
    return f'<div class="gallery">{figures}</div>'


def _embedded(picture: NDArray[np.uint8]) -> str:
    """A picture (H, W, 3) RGB as a data URL."""
    done, content = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise OSError(f"OpenCV could not encode a picture of {picture.shape}")
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode("ascii")
