"""Lines and polygons in which objects are counted."""

from typing import Literal, NamedTuple

from sparseinst.errors import InputError, brief

_SHAPES = {"line": (2, 2), "polygon": (3, None)}
"""Fewest and most points of each kind."""
_FARTHEST_PX = 2**31 - 1


class Zone(NamedTuple):
    """A line or polygon."""

    name: str
    kind: Literal["line", "polygon"]
    points: tuple[tuple[int, int], ...]
    """x, y in pixels of the image."""

    @property
    def title(self) -> str:
        """What is written before the counts: the name, if one was given."""
        return "" if self.name.startswith(f"{self.kind}:") else f"{self.name}: "


def parse_zone(text: str) -> Zone:
    """A zone from "line:x0,y0,x1,y1", "polygon:x0,y0,x1,y1,x2,y2,...", or either after "NAME=".

    Raises:
        InputError: the text has another form.

    Example:
        >>> parse_zone("gate=line:0,100,640,100")
        Zone(name='gate', kind='line', points=((0, 100), (640, 100)))
    """
    head, _, rest = text.rpartition("=")
    kind, _, numbers = rest.partition(":")
    try:
        values = [round(float(number)) for number in numbers.split(",")]
        if any(abs(value) > _FARTHEST_PX for value in values):
            raise ValueError("out of any image")
        least, most = _SHAPES[kind]
    except (ValueError, OverflowError, KeyError):
        values, least, most = [], 2, None
    points = tuple(zip(values[::2], values[1::2], strict=False))
    if len(values) % 2 or len(set(points)) < least or (most is not None and len(points) > most):
        raise InputError(
            f"zone {brief(text, most=200)}: expected line:x0,y0,x1,y1 or polygon:x0,y0,x1,y1,x2,y2,... in pixels, the "
            "points different: correct it"
        )
    return Zone(head or rest, kind, points)  # type: ignore[arg-type]
