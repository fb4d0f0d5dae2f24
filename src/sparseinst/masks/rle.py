"""COCO run-length encoding of masks, through faster-coco-eval: arrays in, `counts` bytes out, and back.

An encoded mask is the `counts` field of a compressed COCO RLE; its size (height, width) is kept beside it.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

from sparseinst.masks.runs import decode_runs


def encode(masks: NDArray[np.bool_]) -> tuple[bytes, ...]:
    """Encodes (n, height, width) boolean masks."""
    if masks.ndim != 3:
        raise ValueError(f"masks must be (n, height, width), got {masks.shape}: add the leading axis")
    if not len(masks):
        return ()
    columns = np.asfortranarray(masks.transpose(1, 2, 0), dtype=np.uint8)
    return tuple(_as_bytes(item["counts"]) for item in coco_mask.encode(columns))


def decode(counts: Sequence[bytes], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """(n, height, width) boolean masks; each is written within its box alone, for most of an image is background."""
    masks = np.zeros((len(counts), *size_hw), bool)
    runs = decode_runs(counts)
    for i, (x0, y0, x1, y1) in enumerate(boxes_xyxy(counts, size_hw).astype(int)):
        if x1 > x0:
            masks[i, y0:y1, x0:x1] = runs.dense(i, size_hw[0], (slice(y0, y1), slice(x0, x1)))
    return masks


def areas(counts: Sequence[bytes], size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """(n,) areas in pixels, without decoding."""
    if not len(counts):
        return np.zeros(0)
    return np.asarray(coco_mask.area(_records(counts, size_hw)), np.float64)


def boxes_xyxy(counts: Sequence[bytes], size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """(n, 4) boxes x0, y0, x1, y1 in pixels (end exclusive), without decoding; zeros for an empty mask."""
    if not len(counts):
        return np.zeros((0, 4))
    boxes = np.asarray(coco_mask.toBbox(_records(counts, size_hw)), np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def cutout(counts: bytes, size_hw: tuple[int, int]) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """One mask within its box, (box height, box width), and the box's corner x, y; without decoding the whole image."""
    x0, y0, x1, y1 = boxes_xyxy([counts], size_hw)[0].astype(int)
    return decode_runs([counts]).dense(0, size_hw[0], (slice(y0, y1), slice(x0, x1))), (int(x0), int(y0))


def polygons(counts: bytes, size_hw: tuple[int, int]) -> list[NDArray[np.int32]]:
    """Outer contours of one mask's parts, each (points, 2) as x, y in pixels; parts of fewer than 3 points dropped."""
    mask, corner = cutout(counts, size_hw)
    if not mask.size:
        return []
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [contour[:, 0].astype(np.int32) + np.array(corner, np.int32) for contour in contours if len(contour) >= 3]


def from_polygons(parts: Sequence[Sequence[float]], size_hw: tuple[int, int]) -> bytes:
    """Encodes the union of polygons [x0, y0, x1, y1, ...] in pixels, rasterised as COCO does."""
    return _as_bytes(
        coco_mask.merge(coco_mask.frPyObjects([list(map(float, part)) for part in parts], *size_hw))["counts"]
    )


def from_runs(runs: Sequence[int], size_hw: tuple[int, int]) -> bytes:
    """Encodes an uncompressed RLE: lengths of alternating background and foreground runs in column order."""
    return _as_bytes(coco_mask.frPyObjects({"size": list(size_hw), "counts": list(runs)}, *size_hw)["counts"])


def _as_bytes(counts: str | bytes) -> bytes:
    return counts.encode("ascii") if isinstance(counts, str) else counts


def _records(counts: Sequence[bytes], size_hw: tuple[int, int]) -> list[dict[str, object]]:
    return [{"size": list(size_hw), "counts": item} for item in counts]
