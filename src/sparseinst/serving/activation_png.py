"""The activation maps of an answer, all in one grey picture."""

from typing import Any

import numpy as np

from sparseinst.activation import ActivationMaps
from sparseinst.serving.results import png_url


def to_json(maps: ActivationMaps) -> dict[str, Any]:
    """The maps of the n instances of an image, in their order.

    Returns:
        groups (G), height and width of a map in cells of the network's grid, extent (rows and columns of cells that the
        image takes exactly: the last ones may reach beyond it), peaks (n lists of the G largest values, 0..1) and png:
        a data URL of a grey picture, map g of instance i in row block i and column block g, each value divided by its
        map's peak and multiplied by 255. Without an instance the picture is one block row of zeros.
    """
    rows, columns = maps.cells
    peaks = maps.peaks if len(maps) else np.zeros((0, maps.groups), np.float32)
    tiny = np.finfo(np.float32).tiny
    values = maps.values[:, :, :rows, :columns] / np.maximum(peaks, tiny)[:, :, None, None] * 255
    picture = np.rint(values).astype(np.uint8).transpose(0, 2, 1, 3).reshape(-1, maps.groups * columns)
    if not len(maps):
        picture = np.zeros((rows, maps.groups * columns), np.uint8)
    return {
        "groups": maps.groups,
        "height": rows,
        "width": columns,
        "extent": list(maps.extent),
        "peaks": [[round(float(peak), 6) for peak in of_instance] for of_instance in peaks],
        "png": png_url(picture),
    }
