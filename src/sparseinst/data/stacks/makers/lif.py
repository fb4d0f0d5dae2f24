"""LIF files (Leica) through the package liffile."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.physical import PixelSize, pixel_size
from sparseinst.data.stacks.makers.choosing import chosen_series, refuse_axes
from sparseinst.data.stacks.stack import COLOURS, Stack, channel_names

_AXES = "TZCYXS"
_CHANNELS = "./Data/Image/ImageDescription/Channels/ChannelDescription"


def open_lif(reader: Any, path: Path, series: str | None, opened: ExitStack) -> Stack:
    """Opens one image of a file; those that are no pictures, such as single lines, are not counted.

    Raises:
        InputError: there are several and none was chosen, or axes that no image of cells has.
    """
    file = opened.enter_context(reader.LifFile(path))
    pictures = [image for image in file.images if {"Y", "X"} <= set(image.dims)]
    image = pictures[chosen_series(path, [str(picture.name) for picture in pictures], series)]
    sizes = dict(image.sizes)
    refuse_axes(path, sizes, _AXES)
    colours = sizes.get("S", 1) >= len(COLOURS)
    count = sizes.get("C", 1)

    def load(time: int, plane: int, channel: int) -> NDArray[Any]:
        at = {"T": time, "Z": plane} | ({} if colours else {"C": channel})
        frame = np.asarray(image.frame(**{axis: place for axis, place in at.items() if axis in sizes}))
        return frame[:, :, channel] if colours else frame

    told = [channel.get("LUTName", "") for channel in image.xml_element.findall(_CHANNELS)]
    names = COLOURS if colours else channel_names(path, told, count)
    return Stack(path, sizes.get("T", 1), sizes.get("Z", 1), names, colours, _size(image.coords), load)


def _size(coords: Any) -> PixelSize | None:
    """From the places of pixels, which are in metres."""
    steps = {axis: abs(float(coords[axis][1] - coords[axis][0])) for axis in "XYZ" if len(coords.get(axis, ())) > 1}
    return pixel_size(steps["Y"], steps["X"], "m", steps.get("Z")) if {"Y", "X"} <= set(steps) else None
