"""Values of more than 8 bits as 8-bit ones: one mapping for all pixels and channels of an image."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.ranks import Ranks
from sparseinst.errors import InputError

_Value = TypeVar("_Value", bound=np.generic)
_STRIP = 2**18
"""Values that are brought to 8 bits at once."""
_COPIED = 2**22
"""Values of which percentiles are taken from a copy at most, which is quicker."""


class Bounds(NamedTuple):
    """The values of an image that become 0 and 255."""

    low: float
    high: float


def bounds_of(values: NDArray[np.generic], intensity: IntensityConfig) -> Bounds:
    """The bounds that the policy gives an image, or a sample of its pixels.

    Args:
        values: of any shape, of an integer or a floating type; taken as 32-bit floating numbers, wide integers as
            64-bit ones. Large images are not copied.
        intensity: the policy.

    Raises:
        InputError: values of another type, or none of them finite.
    """
    if values.dtype.kind not in "uif":
        raise InputError(f"expected pixels of an integer or floating type, got {values.dtype}: convert the image")
    if intensity.mode == "range":
        if not any(np.isfinite(strip).any() for strip in _strips(values)):
            raise InputError("expected finite pixel values, got none: replace the image")
        return Bounds(intensity.low, intensity.high)
    percentiles = _percentiles_of(values)
    if percentiles is None:
        raise InputError("expected finite pixel values, got none: replace the image")
    low, high = percentiles([intensity.low, intensity.high])
    if low == high:  # nearly every pixel is equal: stretch what little there is
        low, high = percentiles([0, 100])
    return Bounds(low, high)


def stretch(values: NDArray[np.generic], bounds: Bounds) -> NDArray[np.uint8]:
    """Maps values linearly; what is no number becomes 0, infinite values saturate, an even image is black."""
    if bounds.low == bounds.high:
        return np.zeros(values.shape, np.uint8)
    stretched = np.empty(values.shape, np.uint8)
    for strip, out in zip(_strips(values), _strips(stretched), strict=True):
        scaled = (_floating(strip) - bounds.low) * (255 / (bounds.high - bounds.low))
        scaled = np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0)
        out[...] = np.clip(np.rint(scaled), 0, 255)
    return stretched


def _percentiles_of(values: NDArray[np.generic]) -> Callable[[list[float]], list[float]] | None:
    """Gives percentiles of the finite values; None where there is none."""
    if values.size > _COPIED:
        ranks = Ranks(lambda: map(_floating, _strips(values)))
        return ranks.percentiles if ranks.count else None
    numbers = _floating(values)
    finite = numbers[np.isfinite(numbers)]
    return (lambda wanted: np.percentile(finite, wanted).tolist()) if finite.size else None


def _strips(values: NDArray[_Value]) -> Iterator[NDArray[_Value]]:
    """Views of some rows at a time, so that what is made of them takes little memory."""
    rows = max(1, _STRIP // max(1, values[:1].size))
    return (values[start : start + rows] for start in range(0, len(values), rows))


def _floating(values: NDArray[np.generic]) -> NDArray[np.floating[Any]]:
    wide = values.dtype.kind != "f" and values.dtype.itemsize > 2
    floating: NDArray[np.floating[Any]] = values.astype(np.float64 if wide else np.float32)
    return floating
