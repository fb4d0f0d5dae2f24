"""Archives and data sets from a stranger: small files that unpack to much, pipes, and names that lead elsewhere."""

import json
import os
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sparseinst.cells.qupath import read_regions
from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data import archives
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.formats.writing import TARGETS, Target, convert_data
from sparseinst.data.images import read_image
from sparseinst.data.large.image import open_large
from sparseinst.data.pages import read_pages
from sparseinst.data.sources import find_sources
from sparseinst.errors import InputError

INTENSITY = IntensityConfig()


@pytest.mark.parametrize(
    "read",
    [
        lambda path: read_image(path, INTENSITY),
        lambda path: [page.read() for page in read_pages(path, INTENSITY)],
        lambda path: open_large(path, INTENSITY),
    ],
)
def test_a_pipe_is_not_waited_for(read: Callable[[Path], object], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tif")
    signal.alarm(60)  # which ends the tests
    try:
        with pytest.raises(InputError, match="found none"):
            read(tmp_path / "a.tif")
    finally:
        signal.alarm(0)


def test_a_zip_of_regions_that_is_larger_than_it_seems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.roi", bytes(10**6))
    content = (tmp_path / "a.zip").read_bytes()
    claimed = (2 * 10**9).to_bytes(4, "little")  # what its table of contents says that the region has
    (tmp_path / "a.zip").write_bytes(content.replace((10**6).to_bytes(4, "little"), claimed))
    monkeypatch.setattr("roifile.roiread", lambda *_: pytest.fail("read"))
    with pytest.raises(InputError, match=r"a\.zip: expected regions of at most 1,000 MB, got 2,000"):
        read_regions(tmp_path / "a.zip")


@pytest.mark.parametrize("nested", [False, True])
def test_one_image_for_many_rows_is_held_once(nested: bool, tmp_path: Path) -> None:
    rows, image = 100, os.urandom(2**20)
    values = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([image], pa.binary()))
    names = pa.array([f"{row}.png" for row in range(rows)])
    column = pa.StructArray.from_arrays([values, names], ["bytes", "path"]) if nested else values
    table = pa.table({"image": column} if nested else {"image": column, "path": names})
    pq.write_table(table, tmp_path / "a.parquet", dictionary_pagesize_limit=2**24, store_schema=False)
    stored = archives.Stored.find(tmp_path, ["3.png"])
    assert stored is not None
    before = pa.total_allocated_bytes()
    assert stored.read(0) == image
    held = pa.total_allocated_bytes() - before
    assert held < 10 * 2**20


def test_row_groups_that_unpack_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"image": [bytes(10**6)], "path": ["a.png"]})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd", use_dictionary=False)
    assert (tmp_path / "a.parquet").stat().st_size < 10**4
    monkeypatch.setattr(archives, "LARGEST_GROUP", 10**5)
    with pytest.raises(InputError, match=r"a\.parquet: expected row groups of at most"):
        archives.Stored.find(tmp_path, ["a.png"])


def data_set(root: Path, *names: str) -> Path:
    """Of images with an object each; none is made."""
    (root / "train" / "sub").mkdir(parents=True)
    item = {"category_id": 1, "iscrowd": 0, "area": 9, "segmentation": [[0, 0, 5, 0, 5, 5]]}
    images = [{"id": key, "file_name": name, "height": 9, "width": 12} for key, name in enumerate(names, 1)]
    items = [{"id": image["id"], "image_id": image["id"], **item} for image in images]
    content = {"images": images, "categories": [{"id": 1, "name": "cell"}], "annotations": items}
    (root / "train.json").write_text(json.dumps(content))
    return root


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((9, 12, 3), np.uint8)).save(path)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["../../set/a.png", "{}/set/a.png", "../a.png", "sub/../../a.png"])
def test_images_are_written_nowhere_but_in_the_folder(tmp_path: Path, target: Target, name: str) -> None:
    """And under the names that the written annotations have."""
    picture(tmp_path / "set" / "a.png")
    source = data_set(tmp_path / "set", name.format(tmp_path))
    (tmp_path / "far").mkdir()
    before = set(tmp_path.rglob("*"))
    convert_data(resolve_data(source), tmp_path / "far" / "out", target)
    made = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(tmp_path / "far" / "out") for path in made)
    assert [path.name for path in made if path.suffix == ".png" and path.parent.name != "masks"] == ["a.png"]
    split = next(iter(resolve_data(tmp_path / "far" / "out").splits.values()))
    assert len(CocoDataset.of(split).rles(0)) == 1


def test_images_that_would_be_written_over_each_other(tmp_path: Path) -> None:
    for place in ("a", "b"):
        picture(tmp_path / place / "same.png")
    source = data_set(tmp_path / "set", "../../a/same.png", "../../b/same.png")
    with pytest.raises(InputError, match="names of their own, got several for same"):
        convert_data(resolve_data(source), tmp_path / "out", "coco")
    assert not (tmp_path / "out").exists()


def test_links_in_a_circle(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "a.png")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "set" / "up").symlink_to(tmp_path)
    out = tmp_path / "circle" / "out"
    assert len(find_sources(tmp_path / "set", recursive=True, out=out).images) == 1
    source = data_set(tmp_path / "other", str(tmp_path / "set" / "a.png"))
    with pytest.raises(InputError, match="cannot be made"):
        convert_data(resolve_data(source), out, "coco")
