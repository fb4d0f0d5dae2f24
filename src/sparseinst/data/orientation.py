"""How a file says that its image is to be seen: EXIF's orientation, 1 to 8; any other number is 1."""

import numpy as np
from numpy.typing import NDArray

_TRANSPOSED, _UPSIDE_DOWN, _MIRRORED = (5, 6, 7, 8), (3, 4, 7, 8), (2, 3, 6, 7)


def oriented(array: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """An array (H, W, ...) as it is to be seen."""
    if orientation in _TRANSPOSED:
        array = array.swapaxes(0, 1)
    if orientation in _UPSIDE_DOWN:
        array = array[::-1]
    if orientation in _MIRRORED:
        array = array[:, ::-1]
    return array


def inverse(orientation: int) -> int:
    """The orientation that undoes one.

    >>> inverse(6), inverse(3)
    (8, 3)
    """
    return {6: 8, 8: 6}.get(orientation, orientation)


def seen_hw(size_hw: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Height and width as it is to be seen of an image that is stored with these.

    >>> seen_hw((480, 640), 6)
    (640, 480)
    """
    return size_hw[::-1] if orientation in _TRANSPOSED else size_hw


def stored(window: tuple[slice, slice], seen_hw: tuple[int, int], orientation: int) -> tuple[slice, slice]:
    """Where in the file a window of the image as it is to be seen lies.

    >>> stored((slice(0, 10), slice(0, 20)), (640, 480), 6)
    (slice(460, 480, None), slice(0, 10, None))
    """
    rows, columns = window
    if orientation in _UPSIDE_DOWN:
        rows = slice(seen_hw[0] - rows.stop, seen_hw[0] - rows.start)
    if orientation in _MIRRORED:
        columns = slice(seen_hw[1] - columns.stop, seen_hw[1] - columns.start)
    return (columns, rows) if orientation in _TRANSPOSED else (rows, columns)
