"""Random changes of a training image's pixels that other microscopes, stains and file formats would make."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import v2

from sparseinst.config.preprocess import RGB

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


class Color:
    """Brightness, contrast and saturation at random; of other channels than RGB brightness and contrast of each.

    Randomness comes from torch's global generator.

    Args:
        strength: how much of each may be added or taken away, as a share.
        channels: of the images.
    """

    def __init__(self, strength: float, channels: int) -> None:
        saturation = strength if channels == RGB else 0.0
        self._jitter = v2.ColorJitter(brightness=strength, contrast=strength, saturation=saturation)

    def __call__(self, image: Tensor) -> Tensor:
        """(channels, H, W) uint8 to the same."""
        parts = [image] if len(image) == RGB else list(image[:, None])
        return torch.cat([self._jitter(part) for part in parts])


class Photometric:
    """Inversion, tints as stains give, intensity curves, blur, noise and JPEG, each with a probability of its own.

    Images of other channels than RGB are not tinted, and each channel has a curve of its own.

    Randomness comes from torch's global generator.

    Args:
        strength: 0..1, what the probabilities are multiplied by.
    """

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def __call__(self, image: Tensor) -> Tensor:
        """(channels, H, W) uint8 to the same."""
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        if len(image) == RGB:
            pixels = self._curve(self._colors(pixels))
        else:
            pixels = 255 - pixels if self._chance(_INVERTED) else pixels
            pixels = np.stack([self._curve(part) for part in np.moveaxis(pixels, 2, 0)], axis=2)
        if self._chance(_BLURRED):
            pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), _uniform(0.3, _SIGMA_PX)), np.uint8)
        if self._chance(_NOISY):
            noise = torch.randn(pixels.shape[:2]).numpy()[:, :, None] * _uniform(1.0, _NOISE)
            pixels = np.asarray(np.clip(pixels + noise, 0, 255), np.uint8)
        if self._chance(_COMPRESSED):
            quality = int(_uniform(*_QUALITY))
            if len(image) == RGB:
                pixels = _compressed(pixels, quality)
            else:
                pixels = np.stack([_compressed(part, quality) for part in np.moveaxis(pixels, 2, 0)], axis=2)
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


def _compressed(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """(H, W, 3) or (H, W) to the same."""
    content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_UNCHANGED), np.uint8)


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * torch.rand(()).item()
