"""The three forms of a COCO segmentation, checked and brought to one: compressed run-length encoding."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparseinst.errors import InputError, brief
from sparseinst.masks import rle

FAR = 10
"""Coordinates beyond this many image sides are damage."""
LONGEST_OUTLINE_PX = 2_000_000
"""Longest outline of a polygon: drawing one takes time and memory by its length, not by its points."""


def encode_segmentation(where: str, segmentation: object, size_hw: tuple[int, int]) -> bytes | None:
    """A compressed encoding of a COCO segmentation of any of its three forms.

    Args:
        where: what error messages call the annotation.
        segmentation: a list of polygons [x0, y0, x1, y1, ...], or an RLE {"size": [h, w], "counts": str or list}.
        size_hw: height and width of the image.

    Returns:
        The encoding, not yet checked where it came compressed; None if no polygon has three points.

    Raises:
        InputError: it is of no such form, or the sizes differ.
    """
    if isinstance(segmentation, Mapping):
        return encode_rle(where, segmentation, size_hw)
    if not isinstance(segmentation, list):
        raise InputError(
            f"{where}: expected segmentation to be a list of polygons or an RLE, got {brief(segmentation)}: "
            "SparseInst learns from masks, boxes are not enough"
        )
    parts = []
    farthest = FAR * max(size_hw)
    for part in segmentation:
        if not isinstance(part, list) or len(part) % 2 or not all(type(value) in (int, float) for value in part):
            raise InputError(
                f"{where}: expected each polygon to be a list of numbers x0, y0, x1, y1, ..., got {brief(part)}: "
                "correct the polygon"
            )
        if not all(abs(value) <= farthest for value in part):  # false for nan, too
            raise InputError(f"{where}: expected polygon coordinates in pixels, got {brief(part)}: correct the polygon")
        if len(part) >= 6:
            _check_length(where, part)
            parts.append(part)
    return rle.from_polygons(parts, size_hw) if parts else None


def _check_length(where: str, part: list[float]) -> None:
    corners = np.array(part, np.float64).reshape(-1, 2)
    length = float(np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum())
    if length > LONGEST_OUTLINE_PX:
        raise InputError(
            f"{where}: expected a polygon whose outline is at most {LONGEST_OUTLINE_PX:,} pixels long, got "
            f"{length:,.0f} of {len(corners):,} points: correct the polygon, or give the mask as an RLE"
        )


def encode_rle(where: str, segmentation: Mapping[str, Any], size_hw: tuple[int, int]) -> bytes:
    """A compressed encoding of an RLE in one of its two forms; as `encode_segmentation`."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != list(size_hw):
        raise InputError(
            f"{where}: expected segmentation.size to be the image's {list(size_hw)} (height, width), got "
            f"{brief(size)}: correct the image record or encode the mask again"
        )
    if isinstance(counts, str) and counts and counts.isascii():
        return counts.encode("ascii")
    if isinstance(counts, list) and all(type(run) is int and run >= 0 for run in counts):
        if sum(counts) == size_hw[0] * size_hw[1]:
            return rle.from_runs(counts, size_hw)
        raise InputError(
            f"{where}: expected segmentation.counts to add up to {size_hw[0] * size_hw[1]} pixels, got "
            f"{brief(sum(counts))}: encode the mask again"
        )
    raise InputError(
        f"{where}: expected segmentation.counts to be a compressed string or a list of run lengths, got "
        f"{brief(counts)}: encode the mask again"
    )
