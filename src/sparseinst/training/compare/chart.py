"""Lines of several runs in one chart, as inline SVG."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_LEFT, _TOP, _WIDTH, _HEIGHT = 58, 12, 470, 260
"""The plotting area, in units of the picture."""
_TICKS = 5


class Series(NamedTuple):
    """One line; `color` is the number of its colour in the page's style."""

    label: str
    color: int
    x: Sequence[float]
    y: Sequence[float]


class _Axis(NamedTuple):
    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        ends = (self.low, self.high, value)
        low, high, at = map(math.log10, ends) if self.logarithmic else ends
        return (at - low) / (high - low)


def chart(title: str, series: Sequence[Series], *, x_label: str, logarithmic: bool = False) -> str:
    """A chart of all series that have points; without any it says so.

    Args:
        title: above it.
        series: lines; a single point is a dot. Values must be above 0 where the axis is logarithmic.
        x_label: below it.
        logarithmic: the vertical axis.
    """
    shown = [line for line in series if len(line.x)]
    if not shown:
        return f'<figure><h3>{escape(title)}</h3><p class="note">nothing yet</p></figure>'
    across = _linear([0.0, *(x for line in shown for x in line.x)])
    values = [y for line in shown for y in line.y]
    up = _decades(values) if logarithmic else _linear([0.0, *values])
    parts = [_ticks(across, up), f'<text class="middle ink" x="{_x(0.5)}" y="{_y(0) + 34}">{escape(x_label)}</text>']
    for line in shown:
        points = [
            (_x(across.place(x)), _y(up.place(y))) for x, y in zip(line.x, line.y, strict=True)
        ]  # fmt: skip
        tip = f"<title>{escape(line.label)}</title>"
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="line r{line.color}" points="{path}">{tip}</polyline>')
        if len(points) <= 30:
            parts += [
                f'<circle class="r{line.color}" cx="{x:.1f}" cy="{y:.1f}" r="3">{tip}</circle>' for x, y in points
            ]
    box = f"0 0 {_LEFT + _WIDTH + 16} {_TOP + _HEIGHT + 40}"
    label = f'role="img" aria-label="{escape(title)}"'
    return f'<figure><h3>{escape(title)}</h3><svg class="chart" {label} viewBox="{box}">{"".join(parts)}</svg></figure>'


def _ticks(across: _Axis, up: _Axis) -> str:
    parts = []
    for value in up.ticks:
        y = _y(up.place(value))
        parts.append(f'<path class="grid" d="M{_x(0):.1f} {y:.1f}H{_x(1):.1f}"/>')
        parts.append(f'<text class="end" x="{_LEFT - 7}" y="{y + 4:.1f}">{value:g}</text>')
    for value in across.ticks:
        parts.append(f'<text class="middle" x="{_x(across.place(value)):.1f}" y="{_y(0) + 17}">{value:g}</text>')
    return "".join(parts)


def _linear(values: Sequence[float]) -> _Axis:
    """Whole steps of 1, 2 or 5 times a power of ten, about five of them."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / _TICKS))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= span / _TICKS)
    first, last = math.floor(low / step), math.ceil(round(high / step, 6))
    last = max(last, first + 1)
    return _Axis(first * step, last * step, tuple(round(i * step, 10) for i in range(first, last + 1)), False)


def _decades(values: Sequence[float]) -> _Axis:
    """From the 1, 2 or 5 below the values to that above them."""
    steps = [factor * 10.0**power for power in range(-9, 10) for factor in (1, 2, 5)]
    low = max((step for step in steps if step <= min(values)), default=steps[0])
    high = min((step for step in steps if step >= max(values) and step > low), default=steps[-1])
    return _Axis(low, high, tuple(step for step in steps if low <= step <= high), True)


def _x(place: float) -> float:
    return _LEFT + _WIDTH * place


def _y(place: float) -> float:
    return _TOP + _HEIGHT * (1 - place)
