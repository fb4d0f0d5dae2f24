"""Values of more than 8 bits as 8-bit ones: one mapping for all pixels and channels of an image."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseinst.config import IntensityConfig
from sparseinst.errors import InputError


class Bounds(NamedTuple):
    """The values of an image that become 0 and 255."""

    low: float
    high: float


def bounds_of(values: NDArray[np.generic], intensity: IntensityConfig) -> Bounds:
    """The bounds that the policy gives an image, or a sample of its pixels.

    Args:
        values: of any shape, of an integer or a floating type.
        intensity: the policy.

    Raises:
        InputError: values of another type, or none of them finite.
    """
    if values.dtype.kind not in "uif":
        raise InputError(f"expected pixels of an integer or floating type, got {values.dtype}: convert the image")
    numbers = _floating(values)
    finite = np.isfinite(numbers)
    valid = numbers if finite.all() else numbers[finite]
    if not valid.size:
        raise InputError("expected finite pixel values, got none: replace the image")
    if intensity.mode == "range":
        return Bounds(intensity.low, intensity.high)
    low, high = (float(bound) for bound in np.percentile(valid, [intensity.low, intensity.high]))
    if low == high:  # nearly every pixel is equal: stretch what little there is
        return Bounds(float(valid.min()), float(valid.max()))
    return Bounds(low, high)


def stretch(values: NDArray[np.generic], bounds: Bounds) -> NDArray[np.uint8]:
    """Maps values linearly; what is no number becomes 0, infinite values saturate, an even image is black."""
    if bounds.low == bounds.high:
        return np.zeros(values.shape, np.uint8)
    scaled = (_floating(values) - bounds.low) * (255 / (bounds.high - bounds.low))
    scaled = np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0)
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)


def _floating(values: NDArray[np.generic]) -> NDArray[np.floating[Any]]:
    wide = values.dtype.kind != "f" and values.dtype.itemsize > 2
    floating: NDArray[np.floating[Any]] = values.astype(np.float64 if wide else np.float32)
    return floating
