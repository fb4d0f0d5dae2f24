"""Images that an exported file is calibrated and checked on."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparseinst.config import PreprocessConfig
from sparseinst.data.preprocess import Prepared, prepare, read_image


def read_prepared(path: Path, preprocess: PreprocessConfig) -> Prepared:
    """An image file as the network takes it; see `prepare_turned`."""
    return prepare_turned(read_image(path, preprocess.intensity), preprocess)


def prepare_turned(image: NDArray[np.uint8], preprocess: PreprocessConfig) -> Prepared:
    """An (H, W, 3) image as the network takes it; turned by 90 degrees where a fixed frame lies the other way."""
    frame = preprocess.frame_hw
    if frame is not None and (image.shape[0] > image.shape[1]) != (frame[0] > frame[1]):
        image = np.ascontiguousarray(np.rot90(image))
    return prepare(image, preprocess)
