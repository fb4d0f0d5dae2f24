"""Images that an exported file is calibrated and checked on."""

from pathlib import Path

from sparseinst.config.preprocess import PreprocessConfig
from sparseinst.data.channels import read_pixels
from sparseinst.data.prepare import Prepared, prepare


def read_prepared(path: Path, preprocess: PreprocessConfig) -> Prepared:
    """An image file as the network takes it."""
    return prepare(read_pixels(path, preprocess), preprocess)
