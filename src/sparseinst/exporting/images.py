"""Images that an exported file is calibrated and checked on."""

from pathlib import Path

from sparseinst.config.preprocess import NativeConfig, PreprocessConfig
from sparseinst.data.channels import read_pixels
from sparseinst.data.prepare import Prepared, prepare

_MIDDLE_PX = 512


def read_prepared(path: Path, preprocess: PreprocessConfig) -> Prepared:
    """An image file as the network takes it; at native scale its middle, for all masks of a large frame fill memory."""
    pixels = read_pixels(path, preprocess)
    if isinstance(preprocess, NativeConfig) and preprocess.frame_hw is None:
        top, left = (max(0, (side - _MIDDLE_PX) // 2) for side in pixels.shape[:2])
        pixels = pixels[top : top + _MIDDLE_PX, left : left + _MIDDLE_PX]
    return prepare(pixels, preprocess)
