"""An image with its label images as OME-Zarr: what napari, MoBIE and other viewers open as one."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.cells.label_stack import LabelStack
from sparseinst.cells.measuring import needed
from sparseinst.data.physical import PixelSize
from sparseinst.data.signature import SIGNATURE, is_ours
from sparseinst.data.stacks.stack import Stack
from sparseinst.errors import InputError
from sparseinst.files import atomic_folder
from sparseinst.inference.label_tiff import TILE_PX

if TYPE_CHECKING:
    import zarr

_VERSION = "0.4"
"""Of OME-Zarr: the one that most programs read."""
_IMAGE_AXES, _LABEL_AXES = "tczyx", "tzyx"
_SMALLEST_PX = 512
"""Levels get smaller by half until the longer side is no longer than this."""
_AT_ONCE_PX = 2048
"""Side of the windows from which the next level of labels is made."""
_MOST_DESCRIBED = 100_000
"""Objects: class and score of more are left to the tables, for viewers read all of them when they open a file."""
_COLOURS = ("00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0000FF")
_RGB = ("FF0000", "00FF00", "0000FF")


def write_label_zarr(path: Path, image: Stack, labels: LabelStack, pixel: PixelSize | None) -> None:
    """Writes NAME_labels.ome.zarr: the image at its own depth, and in `labels/0` what was found in it.

    The image has the axes t, c, z, y, x, the labels all but c; both have levels that halve their sides. Those of the
    image average pixels, those of the labels take every second one. One plane of one channel, or one row of tiles of
    labels, is held at once. The folder is written under a temporary name, then renamed; one that this program wrote
    before is replaced.

    Args:
        path: the folder.
        image: the open file that the labels are of.
        labels: its label images; numbers that stand for one object each are described by class and score.
        pixel: size of a pixel, where that is known.

    Raises:
        InputError: zarr is not installed, another folder is in the place, or the image cannot be read.
    """
    zarr = needed("zarr", extra="large")
    if path.exists() and not is_ours(path):
        raise InputError(f"{path}: expected no folder but an earlier one of sparseinst, found another: move it away")
    sides = _sides(labels.size_hw)
    with atomic_folder(path, replace=True) as temporary:
        root = zarr.open_group(str(temporary), mode="w", zarr_format=2)
        channels = _write_image(root, image, labels, sides)
        about = _multiscales(image.path.name, _IMAGE_AXES, len(sides), pixel)
        root.attrs.put({"creator": SIGNATURE, "multiscales": about, "omero": {"channels": channels}})
        root.create_group("labels").attrs.put({"labels": ["0"]})
        group = root.create_group("labels/0")
        _write_labels(group, labels, sides)
        described: dict[str, Any] = {"version": _VERSION, "source": {"image": "../../"}}
        described |= {"properties": properties} if (properties := _properties(labels)) else {}
        group.attrs.put({
            "creator": SIGNATURE, "multiscales": _multiscales("labels", _LABEL_AXES, len(sides), pixel),
            "image-label": described,
        })  # fmt: skip


def _sides(size_hw: tuple[int, int]) -> list[tuple[int, int]]:
    """Height and width of each level, the largest first."""
    sides = [size_hw]
    while max(sides[-1]) > _SMALLEST_PX:
        height, width = sides[-1]
        sides.append((-(-height // 2), -(-width // 2)))
    return sides


def _multiscales(name: str, order: str, levels: int, pixel: PixelSize | None) -> list[dict[str, Any]]:
    """The metadata of the levels of an image: axes, and where the pixels of each level lie."""
    um = {} if pixel is None else {"y": pixel.y_um, "x": pixel.x_um} | ({"z": pixel.z_um} if pixel.z_um else {})
    kinds = {"t": "time", "c": "channel"}
    axes = [
        {"name": axis, "type": kinds.get(axis, "space"), **({"unit": "micrometer"} if axis in um else {})}
        for axis in order
    ]
    datasets = []
    for level in range(levels):
        factors = {"y": 2**level, "x": 2**level}
        scale = [um.get(axis, 1.0) * factors.get(axis, 1) for axis in order]
        # the centre of the first pixel lies between those that it was made of
        moved = [um.get(axis, 1.0) * (factors.get(axis, 1) - 1) / 2 for axis in order]
        transformations = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": moved}]
        datasets.append({"path": str(level), "coordinateTransformations": transformations})
    return [{"version": _VERSION, "name": name, "axes": axes, "datasets": datasets}]


def _create(
    group: "zarr.Group", level: int, counts: tuple[int, ...], size_hw: tuple[int, int], dtype: np.dtype[Any]
) -> "zarr.Array[Any]":
    """An array of times, channels (of an image) and planes, in deflated chunks of one plane."""
    from numcodecs import Zlib

    return group.create_array(
        str(level), shape=(*counts, *size_hw), dtype=dtype, fill_value=0, compressors=Zlib(level=1),
        chunks=(*(1 for _ in counts), *(min(side, TILE_PX) for side in size_hw)),
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )  # fmt: skip


def _write_image(
    root: "zarr.Group", image: Stack, labels: LabelStack, sides: list[tuple[int, int]]
) -> list[dict[str, Any]]:
    """All channels of the planes that have labels; gives what is to be said of each."""
    counts = (labels.times, len(image.channels), labels.depth)
    levels: list[zarr.Array[Any]] = []
    about = []
    colours = _RGB if image.colours else ("FFFFFF",) if len(image.channels) == 1 else _COLOURS
    for channel, name in enumerate(image.channels):
        least, most = np.inf, -np.inf
        for number, plane in enumerate(labels.planes):
            values = image.values(plane.place, channel)
            if not levels:
                levels = [_create(root, level, counts, side, values.dtype) for level, side in enumerate(sides)]
            time, depth = divmod(number, labels.depth)
            least, most = min(least, float(values.min())), max(most, float(values.max()))
            for level in levels:
                level[time, channel, depth] = values
                values = _halved(values)
        window = {"min": least, "max": most, "start": least, "end": most}
        colour = colours[channel % len(colours)]
        about.append({"label": name, "color": colour, "active": True, "window": window})
    return about


def _halved(values: NDArray[Any]) -> NDArray[Any]:
    """Each pixel the average of 2 x 2, those at the edge of what there is."""
    height, width = values.shape
    even = np.pad(values, ((0, height % 2), (0, width % 2)), mode="edge")
    means = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).mean((1, 3))
    rounded: NDArray[Any] = means if values.dtype.kind == "f" else means.round()
    return rounded.astype(values.dtype)


def _write_labels(group: "zarr.Group", labels: LabelStack, sides: list[tuple[int, int]]) -> None:
    counts = (labels.times, labels.depth)
    levels = [_create(group, level, counts, side, labels.dtype) for level, side in enumerate(sides)]
    height, width = sides[0]
    for number, plane in enumerate(labels.planes):
        time, depth = divmod(number, labels.depth)
        places = ((y, x) for y in range(0, height, TILE_PX) for x in range(0, width, TILE_PX))
        for (y, x), tile in zip(places, labels.tiles(plane), strict=True):
            if tile.any():
                part = tile[: height - y, : width - x]
                levels[0][time, depth, y : y + TILE_PX, x : x + TILE_PX] = part
        for above, level in pairwise(levels):
            for rows, columns in _windows(level.shape[-2:]):
                from_rows, from_columns = (slice(2 * part.start, 2 * part.stop) for part in (rows, columns))
                part = np.asarray(above[time, depth, from_rows, from_columns])[::2, ::2]
                level[time, depth, rows, columns] = part


def _windows(size_hw: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    height, width = size_hw
    for y in range(0, height, _AT_ONCE_PX):
        for x in range(0, width, _AT_ONCE_PX):
            yield slice(y, min(y + _AT_ONCE_PX, height)), slice(x, min(x + _AT_ONCE_PX, width))


def _properties(labels: LabelStack) -> list[Mapping[str, Any]]:
    """Class and highest score of each number; nothing where one number stands for several objects."""
    found: dict[int, dict[str, Any]] = {}
    for plane in labels.planes:
        for number, name, score in zip(
            plane.numbers.tolist(), plane.instances.names, plane.instances.scores.tolist(), strict=True
        ):
            best = max(score, found.get(number, {}).get("score", 0.0))
            found[number] = {"label-value": number, "class": name, "score": round(best, 4)}
    several = not labels.stitched and sum(bool(len(plane.numbers)) for plane in labels.planes) > 1
    return [] if several or labels.times > 1 or len(found) > _MOST_DESCRIBED else [found[key] for key in sorted(found)]
