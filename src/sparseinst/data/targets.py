"""Training targets on the mask grid, of masks that are drawn nowhere else, or of label layers.

As published, targets are full-resolution masks, zero-padded, brought bilinearly to the mask grid. With
align_corners=False and a whole stride, the bilinear value of a cell is the mean of the 2 x 2 pixels around its centre
(even stride) or its centre pixel (odd stride), so that only those pixels need to be looked at.

Label layers are (L, H, W) int32: 0 is background, i + 1 is instance i, and instances that overlap lie in different
layers. Hundreds of instances cost a few layers instead of hundreds of dense masks.
"""

from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparseinst.batch import Targets
from sparseinst.data.geometry import MULTIPLE_PX, frame_hw
from sparseinst.data.prepare import pad
from sparseinst.data.seen import Seen
from sparseinst.masks.runs import Strips, numbered


def draw_targets(
    strips: Strips, seen: Seen, image_hw: tuple[int, int], labels: NDArray[np.int64], mask_stride: int
) -> Targets:
    """Targets of a view of an image: what `reduce_masks` gives for its label layers, without drawing these.

    Args:
        strips: of the masks over the image.
        seen: the view, at the network's scale.
        image_hw: height and width of the image.
        labels: (T,) int64 class index of each instance.
        mask_stride: input pixels of one cell of the mask grid.

    Returns:
        As `reduce_masks`.

    Raises:
        ValueError: the padded frame is no whole number of cells.
    """
    rows, columns = (_grid(side, mask_stride) for side in frame_hw(seen.hw))
    offsets = _offsets(mask_stride)
    placed = seen.sampled(mask_stride, offsets).place(strips, image_hw)
    aside, along = (columns, 1) if seen.turned else (1, columns)  # to the cell of the next strip, to the strip's next
    present = np.zeros(len(labels), np.bool_)
    present[placed.owners] = True
    masks = np.zeros((int(present.sum()), rows, columns), np.float16)
    flat, samples = masks.reshape(-1), len(offsets)
    first_cell = (np.cumsum(present) - 1)[placed.owners] * (rows * columns) + placed.columns // samples * aside
    for x, y in product(range(samples), repeat=2):
        mine = placed.columns % samples == x
        tops, bottoms = (_ceil(ends[mine] - y, samples) for ends in (placed.tops, placed.bottoms))
        lengths = bottoms - tops
        cells = np.repeat(first_cell[mine] + tops * along, lengths) + numbered(lengths) * along
        flat[cells] += np.float16(1 / samples**2)  # no cell twice: strips of one mask are apart
    return Targets(torch.from_numpy(labels[present]), torch.from_numpy(masks))


def reduce_masks(layers: Tensor, labels: NDArray[np.int64], mask_stride: int) -> Targets:
    """Targets of one image whose masks have been drawn.

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
    frame = frame_hw((layers.shape[-2], layers.shape[-1]))
    grid = _grid(frame[0], mask_stride), _grid(frame[1], mask_stride)
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
    return [layers[:, y::stride, x::stride] for y, x in product(_offsets(stride), repeat=2)]


def _offsets(stride: int) -> tuple[int, ...]:
    """Places within a cell, along one side, of the pixels whose mean is its value."""
    low, high = (stride - 1) // 2, stride // 2
    return (low,) if low == high else (low, high)


def _grid(side: int, stride: int) -> int:
    """Cells along a side of a padded frame."""
    if MULTIPLE_PX % stride:
        raise ValueError(f"mask_stride must divide {MULTIPLE_PX}, got {stride}: choose other backbone strides")
    return side // stride


def _ceil(values: NDArray[np.int64], divisor: int) -> NDArray[np.int64]:
    return -(-values // divisor)
