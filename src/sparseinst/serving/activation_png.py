"""The activation maps of an answer, all in one grey picture."""

from typing import Any

import numpy as np

from sparseinst.activation import ActivationMaps
from sparseinst.inference.description import png_url


def to_json(maps: ActivationMaps) -> dict[str, Any]:
    """The maps of the n instances of an image, in their order.

    Returns:
        groups (G), height and width of a block in cells of the network's grid, places (n of x0, y0, x1, y1: what a
        block covers, in pixels of the image), peaks (n lists of the G largest values, 0..1) and png: a data URL of a
        grey picture, map g of instance i in row block i and column block g, each value divided by its map's peak and
        multiplied by 255, 0 where a map is nothing. Without an instance the picture is one row of zeros.
    """
    rows, columns = (max([crop.shape[axis] for crop in maps.crops], default=1) for axis in (1, 2))
    picture = np.zeros((max(1, len(maps)), rows, maps.groups, columns), np.uint8)
    peaks = maps.peaks
    for block, crop, peak in zip(picture, maps.crops, peaks, strict=False):
        values = crop / np.maximum(peak, np.finfo(np.float32).tiny)[:, None, None] * 255
        block[: crop.shape[1], :, : crop.shape[2]] = np.rint(values.clip(0, 255)).transpose(1, 0, 2)
    starts = maps.corners[:, ::-1]
    places = np.concatenate([starts, starts + maps.cells_px[:, ::-1] * np.array([columns, rows])], axis=1)
    return {
        "groups": maps.groups,
        "height": rows,
        "width": columns,
        "places": places.round(3).tolist(),
        "peaks": [[round(float(peak), 6) for peak in of_instance] for of_instance in peaks],
        "png": png_url(picture.reshape(-1, maps.groups * columns)),
    }
