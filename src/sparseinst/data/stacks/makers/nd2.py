"""ND2 files (Nikon) through the package nd2."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.physical import PixelSize, pixel_size
from sparseinst.data.stacks.makers.choosing import chosen_series, refuse_axes
from sparseinst.data.stacks.stack import COLOURS, Stack, channel_names

_AXES = "TPZCYXS"


def open_nd2(reader: Any, path: Path, series: str | None, opened: ExitStack) -> Stack:
    """Opens one position of a file.

    Raises:
        InputError: there are several and none was chosen, or axes that no image of cells has.
    """
    file = opened.enter_context(reader.ND2File(path))
    sizes = dict(file.sizes)
    refuse_axes(path, sizes, _AXES)
    position = chosen_series(path, [str(number) for number in range(sizes.get("P", 1))], series)
    frames = {
        (at.get("T", 0), at.get("Z", 0)): number
        for number, at in enumerate(file.loop_indices or ({},))
        if at.get("P", 0) == position
    }
    count, colours = sizes.get("C", 1), sizes.get("S", 1) >= len(COLOURS)
    shape = (count, sizes["Y"], sizes["X"], sizes.get("S", 1))
    held: dict[tuple[int, int], NDArray[Any]] = {}

    def load(time: int, plane: int, channel: int) -> NDArray[Any]:
        if (time, plane) not in held:  # a frame holds all its channels
            held.clear()
            held[time, plane] = np.asarray(file.read_frame(frames[time, plane])).reshape(shape)
        frame = held[time, plane]
        return frame[0, :, :, channel] if colours else frame[channel, :, :, 0]

    channels = file.metadata.channels or []
    names = COLOURS if colours else channel_names(path, [str(one.channel.name or "") for one in channels], count)
    return Stack(path, sizes.get("T", 1), sizes.get("Z", 1), names, colours, _size(file, channels), load)


def _size(file: Any, channels: Any) -> PixelSize | None:
    """What the file was calibrated to; None where it was not."""
    if not channels or not all(channels[0].volume.axesCalibrated[:2]):
        return None
    size = file.voxel_size()
    return pixel_size(size.y, size.x, "um", size.z if channels[0].volume.axesCalibrated[2] else None)
