"""Which cells answer for which object: an object's place, size and level decide, not what the network says."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

SPAN_CELLS = 4
"""An object belongs to the level on which its diameter is nearest to this many cells."""
SIGMA_SHARE = 2 / 3
"""Spread of the surroundings of a centre, as a share of the object's own standard deviation along each axis: a third of
the radius of an ellipse, as in CenterNet (Zhou et al., 2019)."""
LEAST_SIGMA_CELLS = 0.45
NEAR = 0.3
"""From this closeness on a cell may answer for the object's mask, too."""
_OUTSIDE = 1e4
"""Squared distance that a cell outside the mask loses, so that one inside, however far, comes first."""


class Geometry(NamedTuple):
    """Where T objects are on the finest grid, in its cells."""

    y: Tensor
    """(T,) row of the centroid."""
    x: Tensor
    """(T,) column of the centroid."""
    std_y: Tensor
    """(T,) standard deviation of the mask down the rows."""
    std_x: Tensor
    """(T,) and along the columns."""
    diameter: Tensor
    """(T,) of the disc of equal area."""


class Assigned(NamedTuple):
    """The cells of one level of one image that answer for objects."""

    objects: Tensor
    """(t,) int64 those of the image's T objects that belong to the level."""
    centre: Tensor
    """(t,) int64 the one cell that says "here it is", in the flattened grid."""
    closeness: Tensor
    """(t, h, w) in 0..1, 1 at that cell: a Gaussian of the object's size."""


def geometry(cells: Tensor) -> Geometry:
    """Of (T, h, w) masks in 0..1, of which none is empty."""
    rows, columns = (torch.arange(size, device=cells.device, dtype=torch.float32) for size in cells.shape[1:])
    by_row, by_column = cells.sum(2), cells.sum(1)  # (T, h), (T, w)
    area = by_row.sum(1).clamp(min=1e-6)
    y, x = (by_row @ rows) / area, (by_column @ columns) / area
    # A single cell has the deviation of a square, 1/12.
    var_y = (by_row * (rows - y[:, None]).square()).sum(1) / area + 1 / 12
    var_x = (by_column * (columns - x[:, None]).square()).sum(1) / area + 1 / 12
    return Geometry(y, x, var_y.sqrt(), var_x.sqrt(), 2 * (area / math.pi).sqrt())


def levels_of(diameter: Tensor, levels: int) -> Tensor:
    """(T,) int64 level of each object, 0 the finest."""
    return (diameter / SPAN_CELLS).log2().round().clamp(0, levels - 1).long()


def assign(cells: Tensor, places: Geometry, objects: Tensor, *, step: int) -> Assigned:
    """The cells of one level.

    Args:
        cells: (T, h', w') masks of all objects of the image on the finest grid.
        places: of all objects.
        objects: (t,) those of this level.
        step: cells of the finest grid along one of this level.
    """
    own = F.avg_pool2d(cells[objects][:, None], step)[:, 0]  # (t, h, w)
    rows, columns = (torch.arange(size, device=own.device, dtype=torch.float32) for size in own.shape[1:])
    y, x = ((place[objects] - (step - 1) / 2) / step for place in (places.y, places.x))
    distance = (rows - y[:, None]).square()[:, :, None] + (columns - x[:, None]).square()[:, None, :]
    # The cell inside the mask that is nearest to the centroid; where the mask has none, the one it covers most.
    centre = torch.where(own > 0.5, distance, distance + _OUTSIDE * (1.5 - own)).flatten(1).argmin(1)
    width = own.shape[2]
    y, x = (centre // width).float(), (centre % width).float()
    sigma_y, sigma_x = (
        (SIGMA_SHARE * std[objects] / step).clamp(min=LEAST_SIGMA_CELLS) for std in (places.std_y, places.std_x)
    )
    down = torch.exp(-((rows - y[:, None]) / sigma_y[:, None]).square() / 2)
    across = torch.exp(-((columns - x[:, None]) / sigma_x[:, None]).square() / 2)
    return Assigned(objects, centre, down[:, :, None] * across[:, None, :])


def answering(assigned: Assigned, count: int) -> Tensor:
    """(t, count) int64 cells that answer for each object's mask: the centre, and random ones near it."""
    centre = assigned.centre[:, None]
    if count == 1:
        return centre
    chance = (assigned.closeness > NEAR).flatten(1).float()  # (t, h*w), never empty: the centre itself is 1
    return torch.cat([centre, torch.multinomial(chance, count - 1, replacement=True)], dim=1)
