"""CZI files (Zeiss) through the package czifile: planes are put together of their tiles when they are asked for."""

import xml.etree.ElementTree as ET
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.physical import PixelSize, pixel_size
from sparseinst.data.picture_files import check_bytes
from sparseinst.data.stacks.makers.choosing import chosen_series, refuse_axes
from sparseinst.data.stacks.stack import COLOURS, Stack, channel_names
from sparseinst.errors import InputError

_AXES = "STZCYXM"
_CHANNELS = ".//Information/Image/Dimensions/Channels/Channel"


def open_czi(reader: Any, path: Path, series: str | None, opened: ExitStack) -> Stack:
    """Opens one scene of a file.

    Raises:
        InputError: there are several and none was chosen, or axes that no image of cells has.
    """
    file = opened.enter_context(reader.CziFile(str(path)))
    # what is stored smaller than it is counts as a level of the pyramid
    entries = [one for one in file.subblock_directory if one.shape == one.stored_shape]
    scenes = sorted({_at(one).get("S", 0) for one in entries})
    scene = scenes[chosen_series(path, [str(number) for number in range(len(scenes))], series)]
    tiles: dict[tuple[int, int, int], list[Any]] = defaultdict(list)
    sizes: dict[str, int] = defaultdict(int)
    for one in (one for one in entries if _at(one).get("S", 0) == scene):
        at = _at(one)
        tiles[at.get("T", 0), at.get("Z", 0), at.get("C", 0)].append(one)
        for axis, start in at.items():
            sizes[axis] = max(sizes[axis], start + 1)
    refuse_axes(path, sizes, _AXES)
    first = next(iter(tiles.values()))
    samples = int(first[0].shape[-1])
    colours = samples >= len(COLOURS)
    if colours and sizes.get("C", 1) > 1:
        raise InputError(f"{path}: expected channels or colours, got both: save them apart, as OME-TIFF")
    left, top, right, bottom = _bounds([one for members in tiles.values() for one in members])
    pixels = (right - left) * (bottom - top)
    check_bytes(pixels, 2 * pixels * np.dtype(first[0].dtype[-2:]).itemsize, f"{right - left} x {bottom - top}")

    def load(time: int, plane: int, channel: int) -> NDArray[Any]:
        values = np.zeros((bottom - top, right - left), np.dtype(first[0].dtype[-2:]))
        for one in tiles[time, plane, 0 if colours else channel]:
            x0, y0, x1, y1 = _bounds([one])
            tile = one.data_segment().data(resize=False).reshape(y1 - y0, x1 - x0, samples)
            values[y0 - top : y1 - top, x0 - left : x1 - left] = tile[:, :, channel if colours else 0]
        return values

    metadata = ET.fromstring(file.metadata() or "<nothing/>")
    told = [channel.get("Name", "") for channel in metadata.findall(_CHANNELS)]
    names = COLOURS if colours else channel_names(path, told, max(1, sizes.get("C", 1)))
    return Stack(path, max(1, sizes.get("T", 1)), max(1, sizes.get("Z", 1)), names, colours, _size(metadata), load)


def _at(entry: Any) -> dict[str, int]:
    """Where a tile begins on all axes but X and Y, on which it is one long."""
    return {dim.dimension: int(dim.start) for dim in entry.dimension_entries if dim.dimension not in "XY"}


def _bounds(entries: list[Any]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what tiles cover."""
    spans = np.array(
        [
            [
                [dim.start, dim.start + dim.size]
                for axis in "XY"
                for dim in one.dimension_entries
                if dim.dimension == axis
            ]
            for one in entries
        ]
    )  # (tiles, 2, 2) fmt: skip
    (left, top), (right, bottom) = spans[:, :, 0].min(0).tolist(), spans[:, :, 1].max(0).tolist()
    return left, top, right, bottom


def _size(metadata: ET.Element) -> PixelSize | None:
    """By the scaling of the metadata, which is in metres."""
    told = {item.get("Id", ""): item.findtext("Value") for item in metadata.findall(".//Scaling/Items/Distance")}
    x, y, z = (float(told.get(axis) or 0) for axis in "XYZ")
    return pixel_size(y, x, "m", z)
