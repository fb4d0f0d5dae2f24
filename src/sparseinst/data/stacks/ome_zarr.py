"""Zarr arrays and OME-Zarr images by their axes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.large.ome_zarr import zarr_image
from sparseinst.data.picture_files import check_bytes
from sparseinst.data.stacks.stack import COLOURS, Stack, channel_names


def open_zarr_stack(path: Path) -> Stack:
    """Opens a zarr folder by its axes; planes are read when they are asked for.

    Raises:
        InputError: zarr is not installed, or the folder is damaged or holds no image.
    """
    image = zarr_image(path)
    array, axes = image.levels[0], image.axes
    sizes = dict(zip(axes, array.shape, strict=True))
    count = sizes.get("c", 1)
    colours = count == len(COLOURS) and not image.channels
    seen = [axis for axis in axes if axis in ("y", "x")]

    def load(time: int, plane: int, channel: int) -> NDArray[Any]:
        at = {"t": time, "z": plane, "c": channel}
        pixels = sizes["y"] * sizes["x"]
        check_bytes(pixels, 2 * pixels * array.dtype.itemsize, f"{sizes['x']} x {sizes['y']}")
        values = np.asarray(array[tuple(at.get(axis, slice(None)) for axis in axes)])
        return values if seen == ["y", "x"] else values.T

    channels = COLOURS if colours else channel_names(path, image.channels, count)
    return Stack(path, sizes.get("t", 1), sizes.get("z", 1), channels, colours, image.pixel, load)
