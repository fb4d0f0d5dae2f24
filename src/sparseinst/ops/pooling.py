"""Average pooling to a pyramid of grids as one matrix product, so that it exports for images of any size."""

from collections.abc import Sequence

import torch
from torch import Tensor


def pyramid_cells(bins: Sequence[int]) -> Tensor:
    """(K, 3) int64 row, column and bins of every cell of the grids 1x1, 2x2, ..., in row order.

    >>> pyramid_cells([1, 2]).tolist()
    [[0, 0, 1], [0, 0, 2], [0, 1, 2], [1, 0, 2], [1, 1, 2]]
    """
    cells = [(row, column, count) for count in bins for row in range(count) for column in range(count)]
    return torch.tensor(cells, dtype=torch.int64).reshape(-1, 3)


def pyramid_average(features: Tensor, cells: Tensor) -> Tensor:
    """Mean of the features in each cell: what adaptive average pooling gives for each of the grids.

    Args:
        features: (B, D, h, w) floating.
        cells: (K, 3) int64, see `pyramid_cells`; cell i of b covers floor(i*h/b) .. ceil((i+1)*h/b).

    Returns:
        (B, D, K) means.
    """
    rows, columns, bins = cells[:, None].unbind(2)  # each (K, 1)
    inside = _inside(rows, bins, features.shape[2])[:, :, None] & _inside(columns, bins, features.shape[3])[:, None]
    weights = inside.flatten(1).float()  # (K, h*w)
    weights = (weights / weights.sum(1, keepdim=True)).to(features.dtype)
    return features.flatten(2) @ weights.T


def _inside(index: Tensor, bins: Tensor, size: int) -> Tensor:
    """(K, size) whether each of the positions lies in cell `index` of `bins`, without a division."""
    position = torch.arange(size, device=index.device)
    return ((position + 1) * bins > index * size) & (position * bins < (index + 1) * size)
