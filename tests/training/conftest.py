"""A tiny data set on disk."""

from pathlib import Path

import pytest

from shapes import write_split


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    """6 training and 2 validation images of 64 pixels, each with a bright disk and a bright box."""
    root = tmp_path_factory.mktemp("shapes")
    write_split(root, "train", 6, first=0)
    write_split(root, "val", 2, first=100)
    return root
