"""How large the objects of an image are, by a first pass over it at several scales.

Nuclei of a wide range of sizes are found at one scale, and their median diameter hardly depends on it; far from the
trained size little is found, or parts of objects. So the image is seen at its own scale and smaller, the scale at
which the found objects cover most of it, each by its score, is believed, and one that shows small objects is followed
by a larger one. What is larger than the objects trained on were at its scale does not count: the background of a
crowded image, seen from afar, may pass for one. `benchmarks/nuclei.py --rescale --auto` measures what comes of it.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseinst.config.preprocess import NativeConfig, PreprocessConfig
from sparseinst.structures import Instances

_FACTORS = (1.0, 0.5, 0.25)
"""Of the network's scale: objects up to some ten times as large as those trained on are found at one of them."""
_CLOSER = 2.0
"""The scale that is tried, too, where objects are smaller than the trained ones by more than ..."""
_SMALL = 0.65

Find = Callable[[NDArray[np.uint8], PreprocessConfig], Instances]
"""Gives the instances of an image, (H, W, channels) uint8, that is brought to the network so."""


class _Seen(NamedTuple):
    """What was found at a scale."""

    cover: float
    """Pixels covered, each object's by its score."""
    diameter: float
    """Median of 2*sqrt(area/pi), in pixels of the image."""


def estimated_diameter(pixels: NDArray[np.uint8], find: Find, preprocess: PreprocessConfig) -> float | None:
    """Median diameter of the objects of an image in its own pixels; None where none is found.

    Of an image larger than one pass it is that of the middle, unless nothing is there.

    Args:
        pixels: (H, W, channels) uint8.
        find: finds instances.
        preprocess: that of the network, which has passed `scaling.checked_auto`.
    """
    assert isinstance(preprocess, NativeConfig), preprocess.kind
    middle = _middle(pixels, int(preprocess.one_pass_px / preprocess.scale))
    seen = _looked_at(middle, find, preprocess)
    if seen is None and middle.shape != pixels.shape:
        seen = _looked_at(pixels, find, preprocess)
    return None if seen is None else seen.diameter


def _looked_at(pixels: NDArray[np.uint8], find: Find, preprocess: NativeConfig) -> _Seen | None:
    assert preprocess.diameter_px is not None

    def seen(factor: float) -> _Seen:
        found = find(pixels, preprocess.model_copy(update={"scale": factor * preprocess.scale}))
        return _seen(found, largest_px=(preprocess.largest_px or math.inf) / factor)

    best = max((seen(factor) for factor in _FACTORS), key=lambda item: item.cover)
    if best.diameter < _SMALL * preprocess.diameter_px:
        best = max(best, seen(_CLOSER), key=lambda item: item.cover)
    return best if best.cover > 0 else None


def _seen(instances: Instances, *, largest_px: float) -> _Seen:
    diameters = 2 * np.sqrt(instances.areas / np.pi)
    counts = diameters <= largest_px
    if not counts.any():
        return _Seen(0.0, 0.0)
    return _Seen(float((instances.areas * instances.scores)[counts].sum()), float(np.median(diameters[counts])))


def _middle(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    top, left = (max(0, (size - side) // 2) for size in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]
