"""Small pictures of objects and images for contact sheets."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sparseinst.drawing.instances import draw_as
from sparseinst.drawing.palette import contrasting
from sparseinst.masks import rle
from sparseinst.masks.runs import decode_runs
from sparseinst.structures import Instances

CELL_PX = 320
"""Longest side of a picture in a sheet."""
_AROUND = 0.6
"""What is shown around an object, in parts of its longer side ..."""
_LEAST_PX = 48
"""... and at least this many pixels of the image."""
_LARGEST_SCALE = 6

ANNOTATED, SEEN, SECOND = 2, 1, 0
"""Yellow, light blue and red of the palette."""


def close_up(
    pixels: NDArray[np.uint8], counts: Sequence[bytes], texts: Sequence[str], colours: Sequence[int]
) -> NDArray[np.uint8]:
    """Objects of an image with what lies around them.

    Args:
        pixels: (H, W, 3) uint8 RGB of the whole image.
        counts: masks over the whole image, compressed; at least one.
        texts: label of each; an empty one is none.
        colours: of each in the palette.

    Returns:
        A picture (h, w, 3) of at most `CELL_PX`.
    """
    size = (pixels.shape[0], pixels.shape[1])
    boxes = rle.boxes_xyxy(counts, size)
    (x0, y0), (x1, y1) = boxes[:, :2].min(0).tolist(), boxes[:, 2:].max(0).tolist()
    half = max((1 + 2 * _AROUND) * max(x1 - x0, y1 - y0), _LEAST_PX) / 2
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    rows = slice(max(0, int(cy - half)), min(size[0], int(np.ceil(cy + half))))
    columns = slice(max(0, int(cx - half)), min(size[1], int(np.ceil(cx + half))))
    runs = decode_runs(counts)
    masks = np.stack([runs.dense(i, size[0], (rows, columns)) for i in range(len(counts))])
    return _drawn(np.ascontiguousarray(pixels[rows, columns]), rle.encode(masks), texts, np.array(colours, np.int64))


def whole(pixels: NDArray[np.uint8], counts: Sequence[bytes], texts: Sequence[str]) -> NDArray[np.uint8]:
    """An image with all its objects, in a picture of at most `CELL_PX`.

    Args:
        pixels: (H, W, 3) uint8 RGB of the whole image.
        counts: masks over the whole image, compressed.
        texts: label of each; an empty one is none.
    """
    boxes = rle.boxes_xyxy(counts, (pixels.shape[0], pixels.shape[1]))
    return _drawn(pixels, tuple(counts), texts, contrasting(boxes))


def _drawn(
    pixels: NDArray[np.uint8], counts: tuple[bytes, ...], texts: Sequence[str], colours: NDArray[np.int64]
) -> NDArray[np.uint8]:
    count = len(counts)
    size = (pixels.shape[0], pixels.shape[1])
    instances = Instances(np.ones(count, np.float32), np.arange(count), counts, np.arange(count), size)
    scale = min(_LARGEST_SCALE, max(1, CELL_PX // max(size)))
    picture = draw_as(pixels, instances, texts, colours, scale=scale)
    shrink = CELL_PX / max(picture.shape[:2])
    if shrink < 1:
        size_wh = (max(1, round(picture.shape[1] * shrink)), max(1, round(picture.shape[0] * shrink)))
        picture = np.asarray(cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    return picture
