"""The shape that every seed draws around itself before anything is learnt: an ellipse that falls off with distance."""

import torch
from torch import Tensor
from torch.nn import functional as F

PRIOR_CHANNELS = 5
"""Numbers of a cell that describe its ellipse: two curvatures, two slopes, one shear."""
FRESH_CURVATURE = 2.0
"""What both curvatures start from: with `UNIT_CELLS`, a blob some four cells across."""
UNIT_CELLS = 6.0
"""Cells of a seed's own level that make one unit of distance."""
_MOST_SHEAR = 0.95
"""Below 1, so that the quadratic form stays negative definite: every shape ends."""


def shape_prior(values: Tensor, y: Tensor, x: Tensor, unit: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Logits of the ellipses of K seeds over a grid.

    They are made in float32 from differences of places, by row and by column: expanded about the corner of the frame
    the same terms are 15,000 at cell 512 and cancel to 1, which 16 bits cannot hold.

    Args:
        values: (B, K, 5) curvature down and across before softplus, slope down and across, shear before tanh.
        y: (B, K) row of each seed on the grid; on coarser levels between rows.
        x: (B, K) column of each seed.
        unit: (B, K) cells of the grid that make one unit of distance.
        size_hw: rows h and columns w of the grid.

    Returns:
        (B, K, h, w) float32: -(a dy^2 + b dx^2 + c dy dx) + slopes, 0 at the seed.
    """
    down, across, slope_y, slope_x, shear = values.float().unbind(2)  # (B, K)
    down, across = F.softplus(down), F.softplus(across)
    twist = _MOST_SHEAR * 2 * torch.tanh(shear) * (down * across).sqrt()
    rows, columns = (torch.arange(size, device=values.device, dtype=torch.float32) for size in size_hw)
    dy = (rows - y.float()[..., None]) / unit[..., None]  # (B, K, h)
    dx = (columns - x.float()[..., None]) / unit[..., None]  # (B, K, w)
    by_row = (slope_y[..., None] - down[..., None] * dy) * dy
    by_column = (slope_x[..., None] - across[..., None] * dx) * dx
    return by_row[..., None] + (by_column[..., None, :] - (twist[..., None] * dy)[..., None] * dx[..., None, :])
