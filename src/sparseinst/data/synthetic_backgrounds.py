"""What lies behind the objects of a synthetic scene: something made up, or part of a photograph."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import read_image

_SMALLEST_CROP = 0.5
"""Least part of a photograph's sides that is shown."""


def background(
    random: np.random.Generator, size_hw: tuple[int, int], photographs: Sequence[Path] = ()
) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: a random part of a photograph, or, without any, a plain colour, a gradient or a cloudy texture.

    Raises:
        InputError: the photograph cannot be read.
    """
    if photographs:
        return _photograph(random, photographs[int(random.integers(len(photographs)))], size_hw)
    kind = random.integers(3)
    colors = random.integers(0, 256, (2, 3)).astype(np.float32)
    if kind == 0:
        return np.broadcast_to(colors[0].astype(np.uint8), (*size_hw, 3)).copy()
    share = _slope(random, size_hw) if kind == 1 else _clouds(random, size_hw)
    return np.asarray(colors[0] + share[..., None] * (colors[1] - colors[0]), np.uint8)


def _slope(random: np.random.Generator, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W) 0..1, rising in a random direction."""
    angle = random.uniform(0, 2 * np.pi)
    rows, columns = (np.arange(side, dtype=np.float32) for side in size_hw)
    return _stretched(np.float32(np.sin(angle)) * rows[:, None] + np.float32(np.cos(angle)) * columns)


def _clouds(random: np.random.Generator, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W) 0..1, noise of halving sizes and strengths (value noise)."""
    cells = int(random.integers(2, 9))
    noise = np.zeros(size_hw, np.float32)
    for octave in range(5):
        side = min(cells << octave, min(size_hw))
        grid = random.random((side, side), np.float32) * np.float32(0.5**octave)
        noise += cv2.resize(grid, size_hw[::-1], interpolation=cv2.INTER_CUBIC)
    return _stretched(noise)


def _stretched(values: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = float(values.min()), float(values.max())
    return (values - np.float32(low)) * np.float32(1 / max(high - low, 1e-6))


def _photograph(random: np.random.Generator, path: Path, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """A random part of the scene's shape, brought to its size."""
    image = read_image(path, IntensityConfig())
    largest = min(image.shape[0] / size_hw[0], image.shape[1] / size_hw[1])
    scale = largest * random.uniform(_SMALLEST_CROP, 1)
    height, width = (max(1, int(side * scale)) for side in size_hw)
    top, left = (int(random.integers(space + 1)) for space in (image.shape[0] - height, image.shape[1] - width))
    part = image[top : top + height, left : left + width]
    interpolation = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, size_hw[::-1], interpolation=interpolation), np.uint8)
