"""Copy-paste augmentation: instances of one training image pasted into another (Ghiasi et al. 2021)."""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparseinst.data.compositing import OPAQUE, blend, premultiply
from sparseinst.masks.grid import Window

_FEWEST_PX = 16
"""An instance that something was pasted over goes on with at least so many pixels: a cell of the mask grid at stride 4,
less than which no network of this kind can find."""


class View(NamedTuple):
    """A training image as it is shown in an epoch."""

    image: Tensor
    """(channels, H, W) uint8."""
    layers: Tensor
    """(L, H, W) int32 label layers (see `sparseinst.data.targets`)."""
    labels: NDArray[np.int64]
    """(T,) class index of each instance, also of those that no layer shows."""


def copy_paste(view: View, other: View, share: float) -> View:
    """Pastes a random subset of another image's instances, both images having been changed at random on their own.

    As many instances as chance says, up to the share, are taken from those that the other image shows; the images meet
    at a random place within each other. The edge of what is pasted is softened inwards by a pixel, so that none of the
    other image's background comes along. Masks below lose what is covered; an instance that keeps fewer than 16 pixels
    is dropped. Pasted instances are labelled after the others.

    Args:
        view: what is pasted into; left as it is.
        other: what instances are taken from.
        share: largest share (0..1] of the instances seen in the other image.
    """
    here, there = _meet(view.layers.shape[1:], other.layers.shape[1:])
    chosen = _choose(other.layers[:, *there], len(other.labels), share)
    if not len(chosen):
        return view
    # Each label's new one: 0 for background and for what is not pasted.
    renamed = torch.zeros(len(other.labels) + 1, dtype=torch.int32)
    renamed[chosen + 1] = torch.arange(len(view.labels) + 1, len(view.labels) + 1 + len(chosen), dtype=torch.int32)
    pasted = renamed[other.layers[:, *there].long()]
    covered = pasted.any(0)
    image = _paint(view.image, other.image, here, there, covered)
    layers = _cover(view.layers, pasted, here, covered, len(view.labels))
    return View(image, layers, np.concatenate([view.labels, other.labels[chosen.numpy()]]))


def _meet(one_hw: torch.Size, two_hw: torch.Size) -> tuple[Window, Window]:
    """Windows of one size in two images: along each side the shorter lies at a random place of the longer."""
    windows = []
    for one, two in zip(one_hw, two_hw, strict=True):
        length, offset = min(one, two), int(torch.randint(abs(one - two) + 1, ()).item())
        starts = (offset, 0) if one > two else (0, offset)
        windows.append([slice(start, start + length) for start in starts])
    (row, other_row), (column, other_column) = windows
    return (row, column), (other_row, other_column)


def _choose(layers: Tensor, count: int, share: float) -> Tensor:
    """Numbers of a random subset of the instances that the layers show."""
    seen = torch.bincount(layers.flatten(), minlength=count + 1)[1:].nonzero()[:, 0]
    if not len(seen):
        return seen
    most = max(1, round(share * len(seen)))
    return seen[torch.randperm(len(seen))[: int(torch.randint(1, most + 1, ()).item())]]


def _paint(image: Tensor, other: Tensor, here: Window, there: Window, covered: Tensor) -> Tensor:
    """The image with the other's pixels where it is covered."""
    full = covered.numpy().astype(np.uint8) * np.uint8(255)
    # At least half opaque wherever it is labelled, however thin.
    alpha = np.where(full, np.maximum(cv2.blur(full, (3, 3)), OPAQUE), 0).astype(np.uint8)
    scene = image.permute(1, 2, 0).numpy().copy()
    colors = np.ascontiguousarray(other[:, *there].permute(1, 2, 0).numpy())
    blend(scene[here], premultiply(colors, alpha), alpha)
    return torch.from_numpy(scene).permute(2, 0, 1).contiguous()


def _cover(layers: Tensor, pasted: Tensor, here: Window, covered: Tensor, count: int) -> Tensor:
    """The layers with the pasted ones on top: as the others are cleared below, they need no layers of their own."""
    before = _areas(layers, count)
    missing = max(0, len(pasted) - len(layers))
    layers = torch.cat([layers, layers.new_zeros(missing, *layers.shape[1:])])  # a copy in any case
    window = layers[:, *here]
    window[:, covered] = 0
    after = _areas(layers, count)
    dropped = (after < before) & (after < _FEWEST_PX)
    if dropped.any():
        layers[dropped[layers.long()]] = 0
    window[: len(pasted)] += pasted
    return layers


def _areas(layers: Tensor, count: int) -> Tensor:
    """(count + 1,) pixels of each label, background first."""
    return torch.bincount(layers.flatten(), minlength=count + 1)
