"""The colours of instances, and their translucent fills."""

from functools import cache

import cv2
import numpy as np
import supervision as sv
from numpy.typing import NDArray

Image = NDArray[np.uint8]

PALETTE = (
    "#ff3b5c", "#2fd9ff", "#ffc21a", "#8f6bff", "#35e06f", "#ff7a1a",
    "#ff5fd2", "#3d8bff", "#c6f000", "#00c9a7", "#d13bff", "#ff9d8a",
)  # fmt: skip
"""Vivid hues, neighbours far apart, that show on fluorescence (black), histology (pink, violet) and photographs."""

_FILL_OPACITY = 0.35


def color_of(index: int) -> tuple[int, int, int]:
    """RGB of the palette's entry, which `draw_as` takes for the same index; beyond its end it begins anew."""
    blue, green, red = bgr_table()[entry_of(index), 0].tolist()
    return red, green, blue


def entry_of(index: int) -> int:
    """Where the table of colours has the palette's entry; 0 is for what belongs to no instance."""
    return 1 + index % len(PALETTE)


@cache
def bgr_table() -> Image:
    """(256, 1, 3) colours in BGR, as OpenCV's colour maps are."""
    table = np.zeros((256, 1, 3), np.uint8)
    table[1 : len(PALETTE) + 1, 0] = [sv.Color.from_hex(color).as_bgr() for color in PALETTE]
    return table


def fill(scene: Image, owners: Image, table: Image) -> Image:
    """A picture with the translucent colours of a table over it, where (H, W) `owners` is not 0."""
    filled = cv2.applyColorMap(owners, table)
    cv2.copyTo(scene, (owners == 0).view(np.uint8), filled)
    return np.asarray(cv2.addWeighted(filled, _FILL_OPACITY, scene, 1 - _FILL_OPACITY, 0), np.uint8)


def contrasting(boxes: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) palette indices: each instance takes a colour that none of the ten nearest ones has."""
    from scipy.spatial import KDTree

    colors = np.full(len(boxes), -1, np.int64)
    if not len(boxes):
        return colors
    centres, count = (boxes[:, :2] + boxes[:, 2:]) / 2, len(PALETTE)
    _, nearest = KDTree(centres).query(centres, k=range(1, min(count, len(boxes) + 1)))  # so that one colour is left
    for index, neighbours in enumerate(nearest):
        taken = set(colors[neighbours].tolist())
        colors[index] = next(color % count for color in range(index, index + count) if color % count not in taken)
    return colors
