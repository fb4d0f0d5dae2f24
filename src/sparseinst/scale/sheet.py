"""The contact sheet of a result: some of its images, with what was found in them."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import read_image
from sparseinst.drawing.instances import draw, label_font, legible_scale
from sparseinst.drawing.palette import Image as Picture
from sparseinst.errors import InputError
from sparseinst.inference.writers import write_image
from sparseinst.scale.pieces import Piece
from sparseinst.scale.reading import Item, read_groups
from sparseinst.scale.results import ROWS, instances_of
from sparseinst.scale.rows import OK, read_facts
from sparseinst.scale.worker import chunk_of

_LOGGER = logging.getLogger(__name__)
_LONGEST = 32
"""Characters of a name below a picture."""
_CELL_PX, _GAP_PX, _CAPTION_PX, _COLUMNS = 320, 8, 24, 6
_GROUND, _INK = (255, 255, 255), (40, 40, 40)


class _Chosen(NamedTuple):
    """An image for the sheet."""

    item: Item
    row: dict[str, Any]


def write_sheet(folder: Path, job: dict[str, Any], classes: tuple[str, ...], *, images: int) -> Path | None:
    """Writes `sheet.jpg`: images evenly from the whole result, those with instances first.

    Args:
        folder: of the result.
        job: what it was made by; says where the images are.
        classes: all that rows name.
        images: how many.

    Returns:
        The file; None where no image can be read any more, which is warned of.
    """
    cells: list[Picture] = []
    files = sorted((folder / ROWS).glob("*.parquet"))
    chosen = _evenly(files, images)
    for file in chosen:
        for item, row in _from_file(file, job, -(-images // len(chosen))):
            try:
                picture = read_image(item.content or b"", IntensityConfig.model_validate({}))
            except InputError:
                continue
            cells.append(_cell(picture, row, classes))
    if not cells:
        _LOGGER.warning("%s: no contact sheet, for none of the images can be read where they were", folder)
        return None
    path = folder / "sheet.jpg"
    write_image(path, _laid_out(cells[:images]))
    return path


def _from_file(file: Path, job: dict[str, Any], most: int) -> Iterator[_Chosen]:
    """Some images of a file of rows."""
    rows = pq.read_table(file).to_pylist()
    good = [place for place, row in enumerate(rows) if row["status"] == OK]
    full = [place for place in good if rows[place]["instances"]]
    places = sorted(_evenly(full or good, most))
    for item, place in zip(_items(file, job, [rows[place]["image"] for place in places], places), places, strict=False):
        yield _Chosen(item, rows[place])


def _items(file: Path, job: dict[str, Any], names: Sequence[str], places: Sequence[int]) -> Iterator[Item]:
    """The content of images of a file of rows, by their places in it."""
    facts, place = read_facts(file), chunk_of(file.name)
    kind, root, settings = job["input"]["kind"], job["input"]["root"], job["settings"]
    if not places or place is None:
        return
    rows = settings["rows"]
    if facts.source is None:
        piece = Piece(0, kind, root, tuple(names), None, len(names))
        yield from (item for group in read_groups(piece, rows=rows, size=1, done=frozenset()) for item in group.items)
        return
    piece = Piece(place[0], kind, root, (facts.source,), facts.row_group, 1, settings["limit"], settings["column"])
    groups = read_groups(piece, rows=rows, size=1, done=frozenset(range(place[1])))
    for number, group in enumerate(groups):
        if number in places:
            yield from group.items
        if number == places[-1]:
            return


def _evenly(items: Sequence[Any], most: int) -> list[Any]:
    """As many of them, at even distances.

    >>> _evenly(range(10), 3)
    [0, 4, 9]
    """
    if len(items) <= most:
        return list(items)
    return [items[round(step)] for step in np.linspace(0, len(items) - 1, most)]


def _cell(picture: Picture, row: dict[str, Any], classes: tuple[str, ...]) -> Picture:
    drawn = draw(picture, instances_of(row, classes), scale=legible_scale(picture.shape[:2]))
    inner = _CELL_PX - _GAP_PX
    scale = min(inner / drawn.shape[0], inner / drawn.shape[1])
    size_wh = (max(1, round(drawn.shape[1] * scale)), max(1, round(drawn.shape[0] * scale)))
    small = cv2.resize(drawn, size_wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    cell = Image.new("RGB", (_CELL_PX, _CELL_PX + _CAPTION_PX), _GROUND)
    cell.paste(Image.fromarray(small), ((_CELL_PX - size_wh[0]) // 2, (_CELL_PX - size_wh[1]) // 2))
    name = row["image"].rpartition("/")[2]
    caption = f"{name if len(name) <= _LONGEST else '...' + name[-_LONGEST:]}: {len(row['instances'])}"
    ImageDraw.Draw(cell).text((4, _CELL_PX + 4), caption, _INK, label_font(13))
    return np.asarray(cell, np.uint8)


def _laid_out(cells: Sequence[Picture]) -> Picture:
    columns = min(_COLUMNS, len(cells))
    blank = np.full_like(cells[0], 255)
    filled = [*cells, *[blank] * (-len(cells) % columns)]
    lines = [np.concatenate(filled[start : start + columns], 1) for start in range(0, len(filled), columns)]
    return np.concatenate(lines, 0)
