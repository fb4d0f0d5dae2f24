"""What a polygon may be, besides an outline."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MOST = 2000
"""Corners up to which crossings are looked for: their number grows with the square."""
_OUTSIDE_PX = 1.0
"""Annotation tools round to the rim; farther out is a slip."""


def crosses_itself(polygon: Sequence[float]) -> bool:
    """Whether two sides of a polygon x0, y0, x1, y1, ... cross at a point inside both; sides that touch do not."""
    points = np.array(polygon, float).reshape(-1, 2)
    points = points[np.any(points != np.roll(points, 1, axis=0), axis=1)]
    if not 4 <= len(points) <= _MOST:
        return False
    begins, ends = points, np.roll(points, -1, axis=0)
    one = _side(begins[:, None], ends[:, None], begins[None]) * _side(begins[:, None], ends[:, None], ends[None]) < 0
    return bool((one & one.T).any())


def reaches_out(polygon: Sequence[float], size_hw: tuple[int, int]) -> bool:
    """Whether a polygon has corners more than a pixel outside an image of (height, width)."""
    points = np.array(polygon, float).reshape(-1, 2)
    limits = np.array(size_hw[::-1]) + _OUTSIDE_PX
    return bool((points < -_OUTSIDE_PX).any() or (points > limits).any())


def _side(a: NDArray[np.float64], b: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """On which side of the line through a and b points lie: the sign."""
    across = (b - a)[..., 0] * (point - a)[..., 1] - (b - a)[..., 1] * (point - a)[..., 0]
    return np.asarray(np.sign(across), np.float64)
