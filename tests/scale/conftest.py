"""A tiny network and small images, in every form in which a batch job takes them."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparseinst.scale.settings import BatchSettings

IMAGES = 11


@pytest.fixture(scope="session")
def settings(checkpoint: Path) -> Callable[..., BatchSettings]:
    """Settings of a job with that network: files of four rows, everything found."""

    def made(**changes: Any) -> BatchSettings:
        return BatchSettings(**({"model": str(checkpoint), "score": 0.0, "rows": 4} | changes))

    return made


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Eleven images of various sizes, two of them in a subfolder, and one file that is no image."""
    root = tmp_path_factory.mktemp("images")
    (root / "sub").mkdir()
    random = np.random.default_rng(0)
    for number in range(IMAGES - 1):
        size = (48 + 4 * number, 64)
        picture = random.integers(0, 255, (*size, 3), dtype=np.uint8)
        place = root / "sub" if number > 7 else root
        cv2.imwrite(str(place / f"{number:02}.png"), cv2.GaussianBlur(picture, (9, 9), 0))
    (root / "05b.jpg").write_bytes(b"this is no image")
    return root


@pytest.fixture(scope="session")
def files(folder: Path) -> list[Path]:
    """Its files, in the order of a job."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="session")
def shards(folder: Path, files: list[Path], tmp_path_factory) -> Path:
    """The same in two tar files, with a label beside each image."""
    root = tmp_path_factory.mktemp("shards")
    for number, part in enumerate((files[:6], files[6:])):
        with tarfile.open(root / f"part-{number}.tar", "w") as archive:
            for path in part:
                archive.add(path, path.relative_to(folder).as_posix())
                label = tarfile.TarInfo(f"{path.stem}.cls")
                label.size = 1
                archive.addfile(label, io.BytesIO(b"1"))
    return root


@pytest.fixture(scope="session")
def table(folder: Path, files: list[Path], tmp_path_factory) -> Path:
    """The same as bytes in a Parquet file of three row groups."""
    path = tmp_path_factory.mktemp("table") / "images.parquet"
    names = [file.relative_to(folder).as_posix() for file in files]
    columns = {"jpg": pa.array([file.read_bytes() for file in files], pa.binary()), "key": pa.array(names)}
    pq.write_table(pa.table(columns), path, row_group_size=5)
    return path
