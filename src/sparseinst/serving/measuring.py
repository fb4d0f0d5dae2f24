"""What objects measure, as the service answers it: rows of plain values."""

import io
import math
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile

from sparseinst.cells.measuring import table
from sparseinst.data.physical import PixelSize, size_of_tiff
from sparseinst.data.picture_files import open_image
from sparseinst.data.pixels import decoding, pixels_of
from sparseinst.data.stacks.stack import COLOURS
from sparseinst.errors import InputError
from sparseinst.serving.decoding import FORMATS
from sparseinst.serving.errors import ApiError
from sparseinst.structures import Instances

_TIFF = (b"II", b"MM")


def can_measure() -> bool:
    """Whether the packages are there."""
    return all(find_spec(package) is not None for package in ("skimage", "pandas"))


def measured(content: bytes, instances: Instances, pixel_um: float | None) -> list[dict[str, Any]]:
    """What instances measure in their image at its own depth.

    Args:
        content: the file, which has been decoded before.
        instances: found in it.
        pixel_um: micrometres of a pixel's side; None takes what the file says.

    Returns:
        A row an instance: see `cells.measuring.measure`; numbers have six digits, what does not exist is None.

    Raises:
        ApiError: 400, scikit-image or pandas is missing.
    """
    file = io.BytesIO(content)
    with decoding("image"), open_image(file, formats=FORMATS) as image:
        values = pixels_of(image, file)
    planes: dict[str, NDArray[Any]] = {"0": values}
    if values.ndim == 3:
        planes = {name: values[:, :, channel] for channel, name in enumerate(COLOURS)}
    channels: dict[str, Callable[[], NDArray[Any]]] = {
        name: partial(np.asarray, plane) for name, plane in planes.items()
    }
    pixel = PixelSize(pixel_um, pixel_um) if pixel_um is not None else _size_of(content)
    try:
        rows = table(instances, channels, pixel=pixel).to_dict("records")
    except InputError as error:
        raise ApiError(400, "no_measuring", str(error)) from error
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _size_of(content: bytes) -> PixelSize | None:
    """How large a pixel is, where a TIFF file says so and that can be read."""
    if not content.startswith(_TIFF):
        return None
    try:
        with decoding("image"), TiffFile(io.BytesIO(content)) as file:
            return size_of_tiff(file)
    except InputError:
        return None


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
