"""Polygons of a mask that give the mask again: what formats without masks are written with.

A pixel belongs to a polygon if its centre does, as COCO rasterises (see `rle.from_polygons`). Contours of a mask at
twice its size, brought back, pass a quarter of a pixel inside its edge: all of its centres, and no other, lie within,
whatever the number of pieces and holes. Simpler polygons are taken as long as they cover nearly the same pixels.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from sparseinst.masks import rle

Ring = NDArray[np.float64]
"""(points, 2) corners x, y in pixels."""
Piece = list[Ring]
"""What hangs together of a mask: its outer ring, then the rings of its holes."""

LEAST_IOU = 0.995
"""Of a simpler polygon with the mask."""
_TOLERANCES_PX = (2.0, 1.0, 0.6, 0.4)
"""How far a simpler polygon may pass from the contour: the first that is near enough is taken."""


def outline(counts: bytes, size_hw: tuple[int, int], *, least_iou: float = LEAST_IOU) -> list[Piece]:
    """The pieces of a mask as polygons, as few corners as the IoU allows.

    Args:
        counts: compressed run-length encoding over the whole image.
        size_hw: height and width of the image.
        least_iou: of what the polygons cover with the mask, 0..1; 1 gives exactly the mask.

    Returns:
        One item for each piece (diagonals connect), largest first; none for an empty mask.
    """
    mask, corner = rle.cutout(counts, size_hw)
    if not mask.any():
        return []
    exact = _rings(mask)
    chosen = exact
    for tolerance in _TOLERANCES_PX if least_iou < 1 else ():
        simpler = [[_simplified(ring, tolerance) for ring in piece] for piece in exact]
        if _iou(simpler, mask) >= least_iou:
            chosen = simpler
            break
    return [[ring + corner for ring in piece] for piece in chosen]


def seamed(pieces: Sequence[Piece]) -> Ring:
    """All rings of a mask as one: each is joined by a seam of no width to the nearest corner of those before.

    Seams are walked twice and so cancel where polygons are filled by the even-odd rule, as COCO's are: pieces and
    holes come out as they went in.

    Raises:
        ValueError: there is no piece.
    """
    if not pieces:
        raise ValueError("expected at least one piece, got none: leave empty masks out")
    first, *others = [ring for piece in pieces for ring in piece]
    joined = first
    for ring in others:
        distances, nearest = KDTree(joined).query(ring)
        here = int(np.argmin(distances))
        there = int(nearest[here])
        turned = np.concatenate([ring[here:], ring[: here + 1]])
        joined = np.concatenate([joined[: there + 1], turned, joined[there:]])
    return joined


def _rings(mask: NDArray[np.bool_]) -> list[Piece]:
    doubled = cv2.resize(mask.view(np.uint8), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    pieces: dict[int, Piece] = {}
    parents = hierarchy[0, :, 3].tolist()
    for place, parent in enumerate(parents):
        if parent < 0:
            pieces[place] = [_ring(contours[place])]
    for place, parent in enumerate(parents):
        if parent >= 0:
            pieces[parent].append(_ring(contours[place]))
    return sorted(pieces.values(), key=lambda piece: -cv2.contourArea(piece[0].astype(np.float32)))


def _ring(contour: NDArray[Any]) -> Ring:
    return (contour[:, 0].astype(np.float64) + 0.5) / 2


def _simplified(ring: Ring, tolerance_px: float) -> Ring:
    simpler = cv2.approxPolyDP(ring.astype(np.float32)[:, None], tolerance_px, True)[:, 0].astype(np.float64)
    return simpler if len(simpler) >= 3 else ring


def _iou(pieces: Sequence[Piece], mask: NDArray[np.bool_]) -> float:
    size = (mask.shape[0], mask.shape[1])
    (covered,) = rle.decode([rle.from_polygons([seamed(pieces).ravel().tolist()], size)], size)
    return float((covered & mask).sum() / (covered | mask).sum())
