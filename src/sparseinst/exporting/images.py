"""Images that an exported file is calibrated and checked on."""

from pathlib import Path

from sparseinst.config import PreprocessConfig
from sparseinst.data.images import read_image
from sparseinst.data.prepare import Prepared, prepare


def read_prepared(path: Path, preprocess: PreprocessConfig) -> Prepared:
    """An image file as the network takes it."""
    return prepare(read_image(path, preprocess.intensity), preprocess)
