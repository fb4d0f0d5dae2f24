"""Masks on the grid of the network, and where in an image they lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Window = tuple[slice, slice]
"""Rows and columns of an image, each with start and stop."""

RESCORE_EPSILON = 1e-6


class Frame(NamedTuple):
    """The three sizes of one image, each (height, width): padded network input, image within it, original image."""

    frame_hw: tuple[int, int]
    resized_hw: tuple[int, int]
    original_hw: tuple[int, int]


class Patch(NamedTuple):
    """Part of a mask's grid; everywhere else the mask is below the threshold, and so are the cells next to its edge,
    but where that is the edge of the grid.
    """

    values: NDArray[np.float32]
    """(h', w') probabilities."""
    top: int
    """First row of the grid."""
    left: int
    """First column of the grid."""


class Patches(NamedTuple):
    """The masks of one image by the parts that matter, in host memory: none takes a whole frame."""

    items: tuple[Patch, ...]
    """One for each candidate; of 0 cells where the mask is nowhere above the threshold."""
    grid_hw: tuple[int, int]
    """Rows h and columns w of the whole grid."""

    @classmethod
    def of(cls, masks: Tensor) -> Self:
        """(N, h, w) masks, each whole."""
        whole = masks.detach().float().cpu().numpy()
        return cls(tuple(Patch(mask, 0, 0) for mask in whole), (masks.shape[1], masks.shape[2]))

    def whole(self) -> NDArray[np.float32]:
        """(N, h, w) masks over the whole grid, 0 outside their patches."""
        masks = np.zeros((len(self.items), *self.grid_hw), np.float32)
        for mask, (values, top, left) in zip(masks, self.items, strict=True):
            mask[top : top + values.shape[0], left : left + values.shape[1]] = values
        return masks

    def at(self, places: Sequence[int]) -> Self:
        """Those of some candidates."""
        return self._replace(items=tuple(self.items[place] for place in places))


def mean_inside(masks: Tensor, *, threshold: float) -> Tensor:
    """Mean probability of a mask's pixels above the threshold, (B, N), for (B, N, h, w); 0 where there is none."""
    inside = (masks > threshold).to(masks.dtype)
    return (masks * inside).flatten(2).sum(2) / (inside.flatten(2).sum(2) + RESCORE_EPSILON)
