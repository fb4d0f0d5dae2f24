"""Training targets on the mask grid, straight from label layers.

Label layers are (L, H, W) int32: 0 is background, i + 1 is instance i, and instances that overlap lie in different
layers. Hundreds of instances cost a few layers instead of hundreds of dense masks, and nearest resize, crops, flips
and turns of the layers are exactly those of every mask.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparseinst.batch import Targets
from sparseinst.data.geometry import MULTIPLE_PX, frame_hw
from sparseinst.data.prepare import pad


def reduce_masks(layers: Tensor, labels: NDArray[np.int64], mask_stride: int) -> Targets:
    """Targets of one image, as published: full-resolution masks, zero-padded, brought bilinearly to the mask grid.

    With align_corners=False and a whole stride, the bilinear value of a cell is the mean of the 2 x 2 pixels around its
    centre (even stride) or its centre pixel (odd stride), so that only those pixels need to be looked at.

    Args:
        layers: (L, H, W) int32 label layers at the network's scale.
        labels: (T,) int64 class index of each instance.
        mask_stride: input pixels of one cell of the mask grid.

    Returns:
        The instances that cover any cell at all, masks (t, h, w) float16 on the grid of the padded frame, the next
        multiples of 32.

    Raises:
        ValueError: the padded frame is no whole number of cells.
    """
    if MULTIPLE_PX % mask_stride:
        raise ValueError(f"mask_stride must divide {MULTIPLE_PX}, got {mask_stride}: choose other backbone strides")
    frame = frame_hw((layers.shape[-2], layers.shape[-1]))
    grid = (frame[0] // mask_stride, frame[1] // mask_stride)
    samples = _samples(pad(layers, frame).numpy(), mask_stride)
    present = np.bincount(samples[0].ravel(), minlength=len(labels) + 1) > 0
    for sample in samples[1:]:
        present |= np.bincount(sample.ravel(), minlength=len(labels) + 1) > 0
    present[0] = False
    masks = np.zeros((int(present.sum()), *grid), np.float16)
    first_cell = (np.cumsum(present) - 1) * (grid[0] * grid[1])  # of each label's mask within the flat masks
    flat, weight = masks.reshape(-1), np.float16(1 / len(samples))
    cells = np.arange(grid[0] * grid[1])
    for sample in samples:
        for layer in sample.reshape(len(sample), len(cells)):
            filled = np.flatnonzero(layer)
            flat[first_cell[layer[filled]] + cells[filled]] += weight  # no cell twice: one label a cell and layer
    return Targets(torch.from_numpy(labels[present[1:]]), torch.from_numpy(masks))


def _samples(layers: NDArray[np.int32], stride: int) -> list[NDArray[np.int32]]:
    """The pixels whose mean is a cell's bilinear value, each as (L, h, w)."""
    low, high = (stride - 1) // 2, stride // 2
    if low == high:
        return [layers[:, low::stride, low::stride]]
    return [layers[:, y::stride, x::stride] for y in (low, high) for x in (low, high)]
