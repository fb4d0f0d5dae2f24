"""Zarr arrays (format 2 and 3) and OME-Zarr images in folders."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseinst.config.preprocess import MOST_IMAGE_CHANNELS
from sparseinst.data.large.raster import BLOCK_PX, LARGEST_BLOCK, Layout, Raster, Source
from sparseinst.data.physical import PixelSize, size_of_ome_zarr
from sparseinst.errors import InputError, raised
from sparseinst.files import is_file, is_folder
from sparseinst.masks.grid import Window

if TYPE_CHECKING:
    import zarr

_MARKS = ("zarr.json", ".zarray", ".zgroup")
_OLD_AXES = ("t", "c", "z", "y", "x")
"""Of OME-Zarr before version 0.3, which did not name them."""
_NAMED_LATER = 20
"""Names in an error: no more than these."""


def is_zarr(path: Path) -> bool:
    """Whether this is a folder that holds a zarr array or group."""
    return is_folder(path) and any(is_file(path / mark) for mark in _MARKS)


class ZarrImage(NamedTuple):
    """A zarr array, or the first image of an OME-Zarr group."""

    axes: tuple[str, ...]
    """Their names, of t, c, z, y and x."""
    levels: tuple["zarr.Array[Any]", ...]
    """The arrays, the largest first."""
    channels: tuple[str, ...] = ()
    """Their names, if the image states them."""
    pixel: PixelSize | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width."""
        shape = self.levels[0].shape
        return shape[self.axes.index("y")], shape[self.axes.index("x")]


def zarr_image(path: Path) -> ZarrImage:
    """Opens a zarr array, or the first image of an OME-Zarr group.

    Raises:
        InputError: zarr is not installed, or the folder is damaged or holds no image.
    """
    try:
        import zarr
    except ImportError as error:
        raise InputError(
            f"{path}: expected the package zarr to read this folder ({error}): pip install 'sparseinst[large]'"
        ) from error
    try:
        node = zarr.open(str(path), mode="r")
        if isinstance(node, zarr.Array):
            return _checked(path, ZarrImage(_axes_of_array(path, node), (node,)))
        return _checked(path, _multiscale(path, node))
    except InputError:
        raise
    except Exception as error:  # zarr's errors have no common class
        raise InputError(f"{path}: expected a zarr image, could not open it ({raised(error)}): replace it") from error


def open_zarr(path: Path, cache_bytes: int, at: Mapping[str, int] = MappingProxyType({})) -> Source:
    """Opens a zarr array, or the first image of an OME-Zarr group.

    Args:
        path: the folder.
        cache_bytes: most bytes of chunks that are kept.
        at: where on the axes t, z and c; without it the first plane and time point, in all channels.

    Raises:
        InputError: zarr is not installed, or the folder is damaged or holds no grey or RGB image.
    """
    image = zarr_image(path)
    base, *reduced = (_raster(path, array, image.axes, cache_bytes, at) for array in image.levels)
    return Source(base, lambda: reduced, lambda: None)


def _checked(path: Path, image: ZarrImage) -> ZarrImage:
    sizes = dict(zip(image.axes, image.levels[0].shape, strict=True))
    if not {"y", "x"} <= set(sizes) <= set(_OLD_AXES) or 0 in sizes.values():
        got = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise InputError(f"{path}: expected axes y and x, of t, z and c at most, got {got}: save one image")
    return image


def _multiscale(path: Path, group: "zarr.Group") -> ZarrImage:
    import zarr

    attributes: dict[str, Any] = group.attrs.asdict()
    metadata = attributes.get("ome", attributes)
    scales = metadata.get("multiscales") if isinstance(metadata, Mapping) else None
    if not scales:
        inside = sorted(name for name, _ in group.members())
        raise InputError(
            f"{path}: expected a zarr array or an OME-Zarr image (multiscales), got a group of "
            f"{', '.join(inside[:_NAMED_LATER]) or 'nothing'}: name the folder of one image inside it"
        )
    axes = scales[0].get("axes", _OLD_AXES)
    names = tuple(str(axis["name"] if isinstance(axis, Mapping) else axis) for axis in axes)
    levels = scales[0]["datasets"]
    nodes = [group[str(level["path"])] for level in levels]
    channels = metadata.get("omero", {}).get("channels", ())
    return ZarrImage(
        names,
        tuple(node for node in nodes if isinstance(node, zarr.Array)),
        tuple(str(channel.get("label") or number) for number, channel in enumerate(channels)),
        size_of_ome_zarr(axes, levels[0].get("coordinateTransformations", ())),
    )


def _axes_of_array(path: Path, array: "zarr.Array[Any]") -> tuple[str, ...]:
    """The names of the axes of an array that is no part of an OME-Zarr image: its own, or those of its shape."""
    names = getattr(array.metadata, "dimension_names", None)
    if names and all(names):
        return tuple(map(str, names))
    if array.ndim == 2:
        return ("y", "x")
    if array.ndim == 3 and array.shape[2] <= MOST_IMAGE_CHANNELS:
        return ("y", "x", "c")
    if array.ndim == 3 and array.shape[0] <= MOST_IMAGE_CHANNELS:
        return ("c", "y", "x")
    raise InputError(
        f"{path}: expected a zarr array (H, W), (H, W, channels) or (channels, H, W) of at most {MOST_IMAGE_CHANNELS} "
        f"channels, or one with named axes, got shape {array.shape}: write one image, or an OME-Zarr group that says "
        "what its axes are"
    )


def _raster(
    path: Path, array: "zarr.Array[Any]", axes: Sequence[str], cache_bytes: int, at: Mapping[str, int]
) -> Raster:
    sizes, chunks = dict(zip(axes, array.shape, strict=True)), dict(zip(axes, array.chunks, strict=True))
    channels = 1 if "c" in at else sizes.get("c", 1)
    if channels not in (1, 3):
        raise InputError(
            f"{path}: expected 1 channel or 3 (RGB), got "
            f"{', '.join(f'{name} {size}' for name, size in sizes.items())}: write the channel to look at as an image"
        )
    dtype = np.dtype(array.dtype)
    if dtype.kind not in "buif":
        raise InputError(f"{path}: expected pixels of an integer or floating type, got {dtype}: convert the image")
    chunk_bytes = math.prod(array.chunks) * dtype.itemsize
    if chunk_bytes > LARGEST_BLOCK:
        raise InputError(
            f"{path}: expected chunks of at most {LARGEST_BLOCK:,} bytes, got {chunk_bytes:,} {array.chunks}: "
            f"write it in chunks of {BLOCK_PX} x {BLOCK_PX} pixels"
        )
    seen = [axis for axis in axes if axis in ("y", "x", "c") and axis not in at]
    order = [seen.index(axis) for axis in ("y", "x", "c") if axis in seen]

    def load(window: Window) -> NDArray[Any]:
        part: dict[str, int | slice[int, int, None]] = {"y": window[0], "x": window[1], "c": slice(None), **at}
        values = np.asarray(array[tuple(part.get(axis, 0) for axis in axes)]).transpose(order)
        return values if values.ndim == 3 else values[:, :, None]

    block = (_at_least(chunks["y"]), _at_least(chunks["x"]))
    return Raster(str(path), Layout((sizes["y"], sizes["x"]), block, channels, dtype), load, cache_bytes)


def _at_least(chunk: int) -> int:
    """The side of blocks of whole chunks."""
    return chunk * max(1, BLOCK_PX // chunk)
