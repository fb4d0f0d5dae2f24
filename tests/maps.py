"""Activation maps as whole grids again."""

import numpy as np
from numpy.typing import NDArray

from sparseinst.activation import ActivationMaps


def dense(maps: ActivationMaps, grid_hw: tuple[int, int]) -> NDArray[np.float32]:
    """(n, G, h, w) values over the whole grid of an image that was not cut, 0 where a map is nothing."""
    whole = np.zeros((len(maps), maps.groups, *grid_hw), np.float32)
    for grid, crop, corner, cell in zip(whole, maps.crops, maps.corners, maps.cells_px, strict=True):
        y, x = (corner / cell).round().astype(int)
        grid[:, y : y + crop.shape[1], x : x + crop.shape[2]] = crop
    return whole
