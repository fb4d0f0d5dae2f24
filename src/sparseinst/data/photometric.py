"""Random changes of a training image's pixels that other microscopes, stains and file formats would make."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_INVERTED = 0.15
_TINTED = 0.15
_GREY = 0.1
_CURVED = 0.6
_BLURRED, _NOISY, _COMPRESSED = 0.2, 0.2, 0.15
"""Probabilities, at strength 1."""
_GAMMA = 0.6
"""Largest natural logarithm of the exponent of an intensity curve, either way."""
_RANGE_PERCENT = (0.5, 99.8)
"""Percentiles between which an image's own values lie; a curve brings them to a random darkest and brightest value."""
_DARKEST, _BRIGHTEST = (0.0, 0.3), (0.4, 1.0)
_SIGMA_PX, _NOISE, _QUALITY = 1.5, 14.0, (30, 90)


class Photometric:
    """Inversion, tints as stains give, intensity curves, blur, noise and JPEG, each with a probability of its own.

    Randomness comes from torch's global generator.

    Args:
        strength: 0..1, what the probabilities are multiplied by.
    """

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def __call__(self, image: Tensor) -> Tensor:
        """(3, H, W) uint8 RGB to the same."""
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        pixels = self._colors(pixels)
        pixels = self._curve(pixels)
        if self._chance(_BLURRED):
            pixels = cv2.GaussianBlur(pixels, (0, 0), _uniform(0.3, _SIGMA_PX))
        if self._chance(_NOISY):
            noise = torch.randn(pixels.shape[:2]).numpy()[:, :, None] * _uniform(1.0, _NOISE)
            pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
        if self._chance(_COMPRESSED):
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(_uniform(*_QUALITY))]
            pixels = np.asarray(cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], cv2.IMREAD_COLOR), np.uint8)
        return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).contiguous()

    def _colors(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Grey images become stained ones and the other way round."""
        if self._chance(_GREY):
            pixels = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
        if self._chance(_INVERTED):
            pixels = 255 - pixels
        if self._chance(_TINTED):
            grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
            ends = torch.rand(2, 3).numpy() * 255  # what black and white become
            ramp = np.linspace(ends[0], ends[1], 256).round().astype(np.uint8)  # (256, 3)
            pixels = ramp[grey]
        return pixels

    def _curve(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A power of the intensity between a new darkest and a new brightest value."""
        if not self._chance(_CURVED):
            return pixels
        low, high = np.percentile(pixels, _RANGE_PERCENT)
        values = np.clip((np.arange(256) - low) / max(high - low, 1.0), 0, 1) ** np.exp(_uniform(-_GAMMA, _GAMMA))
        darkest, brightest = _uniform(*_DARKEST), _uniform(*_BRIGHTEST)
        table = np.rint(255 * (darkest + (brightest - darkest) * values)).astype(np.uint8)
        return np.asarray(cv2.LUT(pixels, table), np.uint8)

    def _chance(self, probability: float) -> bool:
        return torch.rand(()).item() < probability * self.strength


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * torch.rand(()).item()
