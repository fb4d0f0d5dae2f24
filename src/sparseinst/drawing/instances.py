"""Pictures of instances: translucent fills, thin outlines, and labels where there is room for them."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import supervision as sv
from numpy.typing import NDArray
from PIL import ImageFont

from sparseinst.drawing.palette import PALETTE, Image, bgr_table, contrasting, entry_of, fill
from sparseinst.masks.runs import decode_runs
from sparseinst.structures import Instances

_LINES = 12
"""Most instances are so many times as long as their outlines are thick, but for outlines of one pixel."""
_LEGIBLE_SHORT_PX = 640
_LARGEST_SCALE = 4
_FEW = 12
"""Up to this many instances each is labelled where there is room ..."""
_ROOM = 4
"""... and above it, only those of at least this many times the area of their label, if classes differ at all."""


def legible_scale(size_hw: tuple[int, int]) -> int:
    """The whole factor (1..4) that brings the short side of a small image to about 640 pixels.

    Example:
        >>> legible_scale((256, 320)), legible_scale((480, 640)), legible_scale((2000, 1000))
        (3, 1, 1)
    """
    return min(_LARGEST_SCALE, max(1, int(_LEGIBLE_SHORT_PX / max(1, min(size_hw)) + 0.5)))


def draw(image: Image, instances: Instances, classes: Sequence[str] | None = None, *, scale: int = 1) -> Image:
    """Draws instances over an image.

    Every instance has a fill and an outline in a colour that differs from its neighbours'. A few are labelled with
    class and score; among many of several classes, those large enough not to vanish behind their label; many of one
    class (cells, say) are not. No label covers another.

    Args:
        image: (H, W, 3) uint8 RGB, left as it is.
        instances: instances of that image.
        classes: class names by label; None takes those that came with the instances.
        scale: whole factor by which the picture is larger than the image (see `legible_scale`); lines and letters keep
            their size, so small objects become legible.

    Returns:
        (H * scale, W * scale, 3) uint8 RGB.

    Raises:
        ValueError: if the image is not (H, W, 3) uint8 of the instances' size.
    """
    instances = instances[instances.areas > 0]
    names = instances.names if classes is None else [classes[label] for label in instances.labels]
    texts = [f"{name} {score:.2f}" for name, score in zip(names, instances.scores, strict=True)]
    return draw_as(image, instances, texts, contrasting(instances.boxes), scale=scale)


def draw_as(
    image: Image, instances: Instances, texts: Sequence[str], colors: NDArray[np.int64], *, scale: int = 1
) -> Image:
    """`draw` with colours and texts of the caller's.

    Args:
        image: (H, W, 3) uint8 RGB, left as it is.
        instances: instances of that image, none of them without a pixel.
        texts: n labels, written where there is room; an empty one is none.
        colors: (n,) indices into the palette: 0 red, 1 light blue, 2 yellow, ...
        scale: whole factor by which the picture is larger than the image.

    Returns:
        (H * scale, W * scale, 3) uint8 RGB.

    Raises:
        ValueError: if the image is not (H, W, 3) uint8 of the instances' size.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.shape[:2] != instances.size_hw:
        raise ValueError(
            f"image must be {(*instances.size_hw, 3)} uint8 as the instances are, got {image.shape} {image.dtype}: "
            "draw on the image the instances were found in"
        )
    height, width = image.shape[:2]
    # supervision and OpenCV draw in BGR
    scene = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8)
    if scale > 1:
        size_wh = (width * scale, height * scale)
        scene = np.asarray(cv2.resize(scene, size_wh, interpolation=cv2.INTER_CUBIC), np.uint8)
    if len(instances):
        scene = _draw_masks(scene, instances, colors, scale)
        scene = _draw_labels(scene, instances, texts, colors, scale)
    return np.asarray(cv2.cvtColor(scene, cv2.COLOR_BGR2RGB), np.uint8)


def _draw_masks(scene: Image, instances: Instances, colors: NDArray[np.int64], scale: int) -> Image:
    """Fills blended once, so that overlaps are no darker, then outlines; small instances lie on top of large ones."""
    side = float(np.median(np.sqrt(instances.areas))) * scale
    thickness = max(1, min(max(min(scale, 2), round(min(scene.shape[:2]) / 640)), round(side / _LINES)))
    owners = np.zeros(scene.shape[:2], np.uint8)  # the entry of the topmost instance in the table of colours
    outlines = []
    for index, (window, mask) in _cut_out(instances, np.argsort(-instances.areas, kind="stable"), scale):
        entry = entry_of(int(colors[index]))
        np.copyto(owners[window], entry, where=mask)
        contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
        outlines.append((window, [contour for contour in contours if len(contour) >= 3], entry))
    table = bgr_table()
    scene = fill(scene, owners, table)
    for window, contours, entry in outlines:
        cv2.polylines(scene[window], contours, isClosed=True, color=table[entry, 0].tolist(), thickness=thickness)
    return scene


def _cut_out(
    instances: Instances, order: NDArray[np.int64], scale: int
) -> Iterator[tuple[int, tuple[tuple[slice, slice], NDArray[np.bool_]]]]:
    """Each instance's number, the window of its box in the picture, and its mask there, smoothly enlarged.

    One at a time and within its box: n dense masks of a large image would not fit in memory.
    """
    runs, boxes = decode_runs([instances.rles[index] for index in order]), instances.boxes.astype(int)
    for place, index in enumerate(order.tolist()):
        x0, y0, x1, y1 = boxes[index].tolist()
        mask = runs.dense(place, instances.size_hw[0], (slice(y0, y1), slice(x0, x1)))
        if scale > 1:
            # a border of background keeps the interpolated edge where the mask ends
            padded = np.pad(mask, 1).astype(np.float32)
            size_wh = (padded.shape[1] * scale, padded.shape[0] * scale)
            mask = cv2.resize(padded, size_wh, interpolation=cv2.INTER_LINEAR)[scale:-scale, scale:-scale] > 0.5
        yield index, ((slice(y0 * scale, y1 * scale), slice(x0 * scale, x1 * scale)), mask)


def _draw_labels(
    scene: Image, instances: Instances, texts: Sequence[str], colors: NDArray[np.int64], scale: int
) -> Image:
    many = len(instances) > _FEW
    if many and len(np.unique(instances.labels)) == 1:
        return scene
    height, width = scene.shape[:2]
    font_px = int(np.clip(min(height, width) / 45, 11, 40))
    padding = max(2, font_px // 4)
    font = label_font(font_px)
    boxes, areas = instances.boxes * scale, instances.areas * scale**2
    placed = np.zeros((0, 4))
    chosen: dict[int, str] = {}
    for index in map(int, np.argsort(-instances.scores, kind="stable")):
        if not texts[index]:
            continue
        left, top, right, bottom = font.getbbox(texts[index])
        size_wh = np.array([right - left, bottom - top]) + 2 * padding
        if many and areas[index] < _ROOM * size_wh.prod():
            continue
        spot = _free_spot(boxes[index], size_wh, (width, height), placed)
        if spot is not None:
            placed = np.vstack([placed, spot])
            chosen[index] = texts[index]
    if not chosen:
        return scene
    annotator = _label_annotator(font_px, padding)
    for box, (index, text) in zip(placed, chosen.items(), strict=True):
        # around its place alone, as supervision copies the picture that it writes on, twice
        left, top = np.maximum(0, box[:2] - padding).astype(int)
        right, bottom = np.ceil(box[2:] + padding).astype(int)
        part = scene[top:bottom, left:right]
        label = sv.Detections(xyxy=(box - [left, top, left, top])[None])
        part[:] = annotator.annotate(part.copy(), label, labels=[text], custom_color_lookup=colors[[index]])
    return scene


@cache
def _label_annotator(font_px: int, padding: int) -> sv.RichLabelAnnotator:
    return sv.RichLabelAnnotator(
        color=sv.ColorPalette.from_hex(list(PALETTE)),
        text_color=sv.Color.BLACK,
        font_path=_font_path(),
        font_size=font_px,
        text_padding=padding,
        text_position=sv.Position.CENTER,
        border_radius=2,
    )


@cache
def label_font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of every text in a picture."""
    path = _font_path()
    return ImageFont.load_default(size_px) if path is None else ImageFont.truetype(path, size_px)


@cache
def _font_path() -> str | None:
    """DejaVu Sans, which comes with matplotlib (as supervision's dependency) and knows accents, Greek and Cyrillic."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return str(path) if path.is_file() else None


def _free_spot(
    box: NDArray[np.float64], size_wh: NDArray[np.float64], image_wh: tuple[int, int], placed: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """(4,) place for a label: above, in or below its box, moved into the picture; None if all are taken."""
    top, bottom, height = box[1], box[3], size_wh[1]
    for y in (top - height, top, bottom, top + height, top - 2 * height):
        corner = np.clip((box[0], y), 0, np.maximum(0, np.array(image_wh) - size_wh))
        spot = np.concatenate([corner, corner + size_wh])
        apart = (placed[:, :2] >= spot[2:]).any(1) | (placed[:, 2:] <= spot[:2]).any(1)
        if apart.all():
            return spot
    return None
