"""Charts as inline SVG. Colours come from the page's style: series 1, 2, 3 have the classes s1, s2, s3."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from sparseinst.evaluation.calibration import ScoreBin
from sparseinst.evaluation.confusion import Confusion

_LEFT, _TOP, _WIDTH, _HEIGHT = 46, 10, 360, 240
"""The plotting area, in units of the picture."""
_TICKS = tuple((i / 5, f"{i / 5:.1f}") for i in range(6))
_FEW_CLASSES = 12
"""Up to this many classes there is room for numbers in a matrix."""


class Line(NamedTuple):
    """Points of one line, each in 0..1."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


class Mark(NamedTuple):
    """A vertical line at `x`."""

    label: str
    x: float


def line_chart(title: str, lines: Sequence[Line], *, x_label: str, y_label: str, marks: Sequence[Mark] = ()) -> str:
    """Lines over 0..1 on both axes, with a legend."""
    parts = _axes(x_label, y_label)
    for number, mark in enumerate(marks):
        x, right = _x(mark.x), mark.x > 0.6
        parts.append(f'<path class="mark" d="M{x} {_y(0)}V{_y(1)}"/>')
        place = f'x="{x + (-5 if right else 5)}" y="{_y(0) - 8 - 16 * number}"'
        parts.append(f'<text {place} class="ink {"end" if right else ""}">{escape(mark.label)}</text>')
    for number, line in enumerate(lines, 1):
        points = " ".join(f"{_x(x)},{_y(y)}" for x, y in _corners(line))
        parts.append(
            f'<polyline class="line s{number}" points="{points}"><title>{escape(line.label)}</title></polyline>'
        )
    keys = "".join(f'<span><i class="s{i}"></i>{escape(line.label)}</span>' for i, line in enumerate(lines, 1))
    return f'{_svg(title, parts)}<p class="legend">{keys}</p>'


def reliability_chart(title: str, bins: Sequence[ScoreBin]) -> str:
    """Precision in each score bin as a bar, the mean score as a dash: where scores are probabilities they meet."""
    parts = _axes("score", "precision")
    parts.append(f'<path class="mark" d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}"/>')
    for item in bins:
        if item.score is None or item.precision is None:
            continue
        tip = f"{item.detections} detections, mean score {item.score:.3f}, precision {item.precision:.3f}"
        parts.append(_bar(item, item.precision, tip))
        parts.append(f'<path class="line s2" d="M{_x(item.low) + 2} {_y(item.score)}H{_x(item.high) - 2}"/>')
    keys = '<span><i class="s1"></i>precision</span><span><i class="s2"></i>mean score</span>'
    return f'{_svg(title, parts)}<p class="legend">{keys}</p>'


def histogram(title: str, bins: Sequence[ScoreBin]) -> str:
    """Detections in each score bin, on a logarithmic axis from 1 on."""
    decades = max(1, int(np.ceil(np.log10(max([10, *(item.detections for item in bins)])))))
    ticks = [(decade / decades, f"{10**decade:,}") for decade in range(decades + 1)]
    parts = _axes("score", "detections", ticks)
    parts += [
        _bar(item, float(np.log10(item.detections)) / decades, f"{item.detections} detections")
        for item in bins
        if item.detections
    ]
    return _svg(title, parts)


def heat_map(title: str, confusion: Confusion) -> str:
    """A confusion matrix: right on the diagonal, wrong elsewhere, each row's share as the strength of the colour."""
    counts = np.array(confusion.counts)
    names = list(confusion.classes)
    few = len(names) <= _FEW_CLASSES
    cell, font = (52, 13) if few else (12, 9)
    margin = 24 + round(0.62 * font * min(20, max(len(name) for name in [*names, "background"])))
    side = margin + cell * len(counts)
    parts = []
    for i, (row, column) in enumerate(zip([*names, "background"], [*names, "missed"], strict=True)):
        at = margin + cell * i + cell / 2
        parts.append(f'<text class="end" x="{margin - 6}" y="{at + font / 3:.1f}">{_short(row)}</text>')
        turn = f'transform="translate({at + font / 3:.1f} {margin - 6}) rotate(-90)"'
        parts.append(f"<text {turn}>{_short(column)}</text>")
    parts.append(f'<rect class="frame" x="{margin}" y="{margin}" width="{side - margin}" height="{side - margin}"/>')
    for row, column in np.argwhere(counts):
        count, total = counts[row, column], counts[row].sum()
        x, y = margin + cell * column, margin + cell * row
        kind = "right" if row == column else "wrong"
        tip = f"{[*names, 'background'][row]} \N{RIGHTWARDS ARROW} {[*names, 'missed'][column]}: {count}"
        parts.append(
            f'<rect class="{kind}" style="fill-opacity:{0.12 + 0.88 * count / total:.2f}" x="{x}" y="{y}" '
            f'width="{cell}" height="{cell}"><title>{escape(tip)}</title></rect>'
        )
        if few:
            strong = " strong" if count / total > 0.5 else ""
            parts.append(f'<text class="middle{strong}" x="{x + cell / 2}" y="{y + cell / 2 + 5}">{count}</text>')
    style = f'style="width:{side + 2}px;font-size:{font}px"'
    label = f'role="img" aria-label="{escape(title)}"'
    return f'<svg {label} viewBox="0 0 {side + 2} {side + 2}" {style}>{"".join(parts)}</svg>'


def _short(name: str) -> str:
    return escape(name if len(name) <= 20 else f"{name[:19]}…")


def _axes(x_label: str, y_label: str, y_ticks: Sequence[tuple[float, str]] = _TICKS) -> list[str]:
    parts = []
    for place, text in y_ticks:
        parts.append(f'<path class="grid" d="M{_x(0)} {_y(place)}H{_x(1)}"/>')
        parts.append(f'<text class="end" x="{_LEFT - 6}" y="{_y(place) + 4}">{text}</text>')
    for place, text in _TICKS:
        parts.append(f'<text class="middle" x="{_x(place)}" y="{_y(0) + 16}">{text}</text>')
    parts.append(f'<text class="middle ink" x="{_x(0.5)}" y="{_y(0) + 33}">{escape(x_label)}</text>')
    turn = f'transform="translate(11 {_y(0.5)}) rotate(-90)"'
    parts.append(f'<text class="middle ink" {turn}>{escape(y_label)}</text>')
    return parts


def _bar(item: ScoreBin, height: float, tip: str) -> str:
    x, width, top = _x(item.low) + 1.5, _x(item.high) - _x(item.low) - 3, _y(height)
    size = f'width="{width:.1f}" height="{max(1.0, _y(0) - top):.1f}"'
    return f'<rect class="bar" x="{x:.1f}" y="{min(top, _y(0) - 1):.1f}" {size}><title>{escape(tip)}</title></rect>'


def _corners(line: Line) -> list[tuple[float, float]]:
    """The points without those amid a level stretch."""
    points = list(zip(line.x, line.y, strict=True))
    middle = zip(points, points[1:], points[2:], strict=False)
    return [*points[:1], *(b for a, b, c in middle if not a[1] == b[1] == c[1]), *points[1:][-1:]]


def _svg(title: str, parts: Sequence[str]) -> str:
    size = f"0 0 {_LEFT + _WIDTH + 14} {_TOP + _HEIGHT + 38}"
    return f'<svg class="chart" role="img" aria-label="{escape(title)}" viewBox="{size}">{"".join(parts)}</svg>'


def _x(value: float) -> float:
    return round(_LEFT + _WIDTH * value, 1)


def _y(value: float) -> float:
    return round(_TOP + _HEIGHT * (1 - value), 1)
