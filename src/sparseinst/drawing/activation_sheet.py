"""Pictures of activation maps: each instance in its image, beside the map of each of its groups."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from sparseinst.activation import ActivationMaps, Box
from sparseinst.drawing.instances import label_font
from sparseinst.drawing.palette import Image
from sparseinst.masks import rle
from sparseinst.structures import Instances

_CELL_PX = 320
_TITLE_LEAST_PX = 256
"""Columns are at least this wide, so that the titles over narrow pictures can be read."""
_FONT_PX, _HEADER_PX, _GAP_PX, _TITLE_PX = 14, 17, 16, 22
_CELLS_A_ROW = 4
"""Up to this many, instances of few groups stand side by side."""
_CONTEXT = 5
"""The view around an instance is this many times as long as its box ..."""
_NEAREST = 8
"""... at least one part in this many of the image ..."""
_WHOLE = 0.6
"""... and the whole image where it would be more than this part of it."""
_MOST_ELONGATED = 2.0
_ALL = 0.995
"""From this part of a map's weight on, all of it is in the picture."""
_DIMMED = 0.45
_CONTRAST_PERCENT = (0.5, 99.5)
"""Percentiles of grey that become black and (dimmed) white, so that dark micrographs show under a map."""
_FILL_OPACITY = 0.4
_COLOR = (47, 217, 255)
"""Cyan, which the colours of the maps (black, violet, orange, yellow) do not have."""
_PAPER, _INK, _FAINT_INK = (255, 255, 255), (25, 25, 25), (110, 110, 110)


class _Cell(NamedTuple):
    picture: Image
    title: str
    remark: str = ""


def draw_activation(
    image: Image, instances: Instances, maps: ActivationMaps, classes: Sequence[str], *, limit: int = 12
) -> Image:
    """Draws instances beside their activation maps, best score first.

    Each is shown in the whole image, followed by one picture a group: the map over the dimmed grey image, coloured from
    0 to the map's own maximum, which its title names, with the outline of the mask. For a small instance these pictures
    show its surroundings, marked by a frame in the whole image. The title says how much of the map's weight is in the
    picture where that is not all: the rest lies around it, or on the padding beside the image.

    Args:
        image: (H, W, 3) uint8 RGB.
        instances: instances of that image.
        maps: their maps.
        classes: class names by label.
        limit: the most instances drawn; the headline says how many there are.

    Returns:
        (height, width, 3) uint8 RGB, a sheet of rows.

    Raises:
        ValueError: if the image, instances and maps do not belong together.
    """
    if image.dtype != np.uint8 or image.shape != (*instances.size_hw, 3) or maps.size_hw != instances.size_hw:
        raise ValueError(
            f"image must be {(*instances.size_hw, 3)} uint8 as the instances are, got {image.shape} {image.dtype} and "
            f"maps of {maps.size_hw}: give the image in which both were found"
        )
    if len(maps) != len(instances):
        raise ValueError(f"expected maps of {len(instances)} instances, got {len(maps)}: take the same part of both")
    chosen = np.argsort(-instances.scores, kind="stable")[:limit]
    sheet_image = _SheetImage(image)
    blocks = [sheet_image.block(instances, maps, int(index), classes) for index in chosen]
    return _sheet(blocks or [[_Cell(sheet_image.overview, "")]], _headline(len(blocks), len(instances)))


def _headline(shown: int, found: int) -> str:
    if not found:
        return "no instance found"
    if shown < found:
        return f"the {shown} best of {found} instances"
    return "1 instance" if found == 1 else f"{found} instances, best first"


class _SheetImage:
    """An image, of which every instance is shown.

    Args:
        image: (H, W, 3) uint8 RGB.
    """

    def __init__(self, image: Image) -> None:
        self.image = image
        self.size_hw = (image.shape[0], image.shape[1])
        self.cell_hw = _cell_hw(self.size_hw)
        self.overview = _scaled(image, _whole(self.size_hw), self.cell_hw)
        self.contrast = np.percentile(cv2.cvtColor(self.overview, cv2.COLOR_RGB2GRAY), _CONTRAST_PERCENT)

    def block(self, instances: Instances, maps: ActivationMaps, index: int, classes: Sequence[str]) -> list[_Cell]:
        """The cells of one instance: itself, then its maps."""
        whole, view = _whole(self.size_hw), _view(instances.boxes[index], self.size_hw)
        mask = rle.decode([instances.rles[index]], self.size_hw)[0]
        close_up = self.overview if view == whole else _scaled(self.image, view, self.cell_hw)
        size_hw = (close_up.shape[0], close_up.shape[1])
        outline = _contours(mask, view, size_hw)
        name = f"#{index + 1}  {classes[instances.labels[index]]}"
        cells = [_Cell(_located(self.overview, mask, view), name, f"score {instances.scores[index]:.2f}")]
        backdrop, shares = self._backdrop(close_up), maps.share_within(index, view)
        heat = maps.upsampled(index, box=view, size_hw=size_hw)
        for group, (weights, peak) in enumerate(zip(heat, maps[index].peaks[0], strict=True)):
            picture = _heated(backdrop, weights / max(peak, np.finfo(np.float32).tiny))
            cv2.drawContours(picture, outline, -1, _COLOR, 1, cv2.LINE_AA)
            title = f"group {group + 1}" if maps.groups > 1 else "activation"
            cells.append(_Cell(picture, title, f"max {peak:#.2g}{_share(shares[group], view == whole)}"))
        return cells

    def _backdrop(self, picture: Image) -> NDArray[np.float32]:
        """The picture in dim grey, 0..255, with the contrast of the whole image."""
        low, high = self.contrast
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        return np.asarray(((grey - low) / max(high - low, 1)).clip(0, 1) * (255 * _DIMMED), np.float32)


def _share(share: float, whole: bool) -> str:
    """How much of a map's weight is seen, if that is less than all."""
    if share >= _ALL:
        return ""
    return f", {share:.0%} in {'image' if whole else 'view'}"


def _whole(image_hw: tuple[int, int]) -> Box:
    return (0, 0, image_hw[1], image_hw[0])


def _cell_hw(image_hw: tuple[int, int]) -> tuple[int, int]:
    """Size of the cells: the proportions of the image, unless it is very elongated."""
    ratio = float(np.clip(image_hw[1] / image_hw[0], 1 / _MOST_ELONGATED, _MOST_ELONGATED))
    return round(_CELL_PX * min(1, 1 / ratio)), round(_CELL_PX * min(1, ratio))


def _view(box: NDArray[np.float64], image_hw: tuple[int, int]) -> Box:
    """What to show of the image around a box: with the proportions of a cell, moved into the image."""
    height, width = image_hw
    cell_h, cell_w = _cell_hw(image_hw)
    box_w, box_h = box[2:] - box[:2]
    zoom = max(_CONTEXT * box_w / cell_w, _CONTEXT * box_h / cell_h, min(height / cell_h, width / cell_w) / _NEAREST)
    view_h, view_w = min(height, round(zoom * cell_h) or 1), min(width, round(zoom * cell_w) or 1)
    if view_h > _WHOLE * height and view_w > _WHOLE * width:
        return _whole(image_hw)
    x0 = int(np.clip((box[0] + box[2] - view_w) / 2, 0, width - view_w))
    y0 = int(np.clip((box[1] + box[3] - view_h) / 2, 0, height - view_h))
    return (x0, y0, x0 + view_w, y0 + view_h)


def _scaled(image: Image, window: Box, cell_hw: tuple[int, int]) -> Image:
    """A part of the image, as large as fits into a cell."""
    x0, y0, x1, y1 = window
    scale = min(cell_hw[0] / (y1 - y0), cell_hw[1] / (x1 - x0))
    size_wh = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image[y0:y1, x0:x1], size_wh, interpolation=method), np.uint8)


def _contours(mask: NDArray[np.bool_], window: Box, size_hw: tuple[int, int]) -> list[NDArray[np.int32]]:
    """Contours of a mask in a picture of a part of the image."""
    x0, y0, x1, y1 = window
    part = mask[y0:y1, x0:x1].astype(np.uint8) * np.uint8(255)
    method = cv2.INTER_AREA if size_hw[0] < y1 - y0 else cv2.INTER_LINEAR
    scaled = cv2.resize(part, size_hw[::-1], interpolation=method)
    contours, _ = cv2.findContours((scaled > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return [contour.astype(np.int32) for contour in contours]


def _located(picture: Image, mask: NDArray[np.bool_], view: Box) -> Image:
    """The whole image with the mask, and a frame around the view if that is less."""
    height, width = mask.shape
    whole, size_hw = _whole((height, width)), (picture.shape[0], picture.shape[1])
    contours = _contours(mask, whole, size_hw)
    filled = cv2.drawContours(picture.copy(), contours, -1, _COLOR, cv2.FILLED)
    picture = np.asarray(cv2.addWeighted(filled, _FILL_OPACITY, picture, 1 - _FILL_OPACITY, 0), np.uint8)
    cv2.drawContours(picture, contours, -1, _COLOR, 1, cv2.LINE_AA)
    if view != whole:
        scale = np.array([size_hw[1] / width, size_hw[0] / height] * 2)
        x0, y0, x1, y1 = (np.array(view) * scale).round().astype(int).tolist()
        for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), color, thickness)
    return picture


def _heated(backdrop: NDArray[np.float32], strength: NDArray[np.float32]) -> Image:
    """The colours of a map (H, W), 0..1, over a backdrop that fades where the map is strong."""
    faded = backdrop * (1 - strength.clip(0, 1))
    return np.asarray(np.clip(faded[..., None] + _colors(strength), 0, 255), np.uint8)


def _colors(strength: NDArray[np.float32]) -> Image:
    """(H, W) in 0..1 to (H, W, 3) RGB, evenly to the eye."""
    levels = np.rint(strength.clip(0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1], np.uint8)


def _sheet(blocks: Sequence[list[_Cell]], headline: str) -> Image:
    """Lays the blocks out in rows under a headline and the scale of colours."""
    cells = len(blocks[0])
    column_px = max(_TITLE_LEAST_PX, *(cell.picture.shape[1] for block in blocks for cell in block)) + _GAP_PX
    side_by_side = max(1, min(len(blocks), _CELLS_A_ROW // cells))
    rows = [list(chain(*blocks[i : i + side_by_side])) for i in range(0, len(blocks), side_by_side)]
    heights = [_TITLE_PX + max(cell.picture.shape[0] for cell in row) + _GAP_PX for row in rows]
    y = 2 * (_GAP_PX + _TITLE_PX)
    sheet = Pillow.new("RGB", (len(rows[0]) * column_px + _GAP_PX, y + sum(heights)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _draw_head(sheet, pen, headline)
    for row, height in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            _draw_cell(sheet, pen, cell, (_GAP_PX + column * column_px, y), column_px - _GAP_PX)
        y += height
    return np.asarray(sheet, np.uint8)


def _draw_head(sheet: Pillow.Image, pen: ImageDraw.ImageDraw, headline: str) -> None:
    pen.text((_GAP_PX, _GAP_PX), headline, _INK, label_font(_HEADER_PX))
    font, y = label_font(_FONT_PX), _GAP_PX + _TITLE_PX + 6
    ramp = Pillow.fromarray(_colors(np.tile(np.linspace(0, 1, 120, dtype=np.float32), (12, 1))))
    pen.text((_GAP_PX, y), "0", _FAINT_INK, font)
    sheet.paste(ramp, (_GAP_PX + 14, y + 3))
    pen.text((_GAP_PX + 140, y), "max of each map", _FAINT_INK, font)


def _draw_cell(sheet: Pillow.Image, pen: ImageDraw.ImageDraw, cell: _Cell, corner: tuple[int, int], width: int) -> None:
    x, y = corner
    font = label_font(_FONT_PX)
    remark_px = int(pen.textlength(cell.remark, font))
    title = cell.title
    while pen.textlength(title, font) > width - remark_px - _GAP_PX and len(title) > 1:
        title = title.removesuffix("…")[:-1] + "…"
    pen.text((x, y), title, _INK, font)
    pen.text((x + width - remark_px, y), cell.remark, _FAINT_INK, font)
    sheet.paste(Pillow.fromarray(cell.picture), (x, y + _TITLE_PX))
