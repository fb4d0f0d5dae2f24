"""Label images in tiles, against `label_image`, which holds them whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dense import dense_masks
from sparseinst.inference.label_tiff import write_label_tiff
from sparseinst.inference.writers import label_image
from sparseinst.masks import rle
from sparseinst.structures import Instances


def instances_of(counts: tuple[bytes, ...], scores: np.ndarray, size_hw: tuple[int, int]) -> Instances:
    none = np.zeros(len(counts), np.int64)
    return Instances(scores.astype(np.float32), none, counts, none, size_hw)


@given(dense_masks(6, 40), st.data(), st.sampled_from([1, 9, 27]))
@settings(max_examples=40)
def test_the_pixels_are_those_of_label_image(
    tmp_path_factory: pytest.TempPathFactory, masks: np.ndarray, data: st.DataObject, times: int
) -> None:
    masks = masks.repeat(times, 1).repeat(times, 2)  # up to 1080 x 1080 pixels, 3 x 3 tiles
    scores = np.array(data.draw(st.lists(st.sampled_from([0.3, 0.5, 0.7]), min_size=len(masks), max_size=len(masks))))
    instances = instances_of(rle.encode(masks), scores, masks.shape[1:])
    path = tmp_path_factory.mktemp("labels") / "a.tif"
    write_label_tiff(path, instances)
    written = tifffile.imread(path)
    assert written.dtype == np.uint16
    np.testing.assert_array_equal(written, label_image(instances))
    with tifffile.TiffFile(path) as file:
        assert file.pages.first.tile == (512, 512) and file.pages.first.compression == 8 and not file.is_bigtiff
        assert len(file.pages) == 1
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), written)


def test_no_instance_in_an_image_of_several_rows_of_tiles(tmp_path: Path) -> None:
    write_label_tiff(tmp_path / "a.tif", Instances.empty((1100, 20)))
    written = tifffile.imread(tmp_path / "a.tif")
    assert written.shape == (1100, 20) and not written.any()


def test_32_bits_where_16_cannot_count(tmp_path: Path) -> None:
    count, size_hw = 2**16, (400, 300)
    counts = tuple(rle.from_runs([index, 1, 400 * 300 - index - 1], size_hw) for index in range(count))
    for number, dtype in ((count - 1, np.uint16), (count, np.uint32)):
        write_label_tiff(tmp_path / "a.tif", instances_of(counts[:number], np.ones(number), size_hw))
        written = tifffile.imread(tmp_path / "a.tif")
        assert written.dtype == dtype
        assert (written.T.ravel()[:number] == np.arange(1, number + 1)).all()
        assert not written.T.ravel()[number:].any()


@pytest.mark.matrix
def test_large_files_are_bigtiff(tmp_path: Path) -> None:
    write_label_tiff(tmp_path / "a.tif", Instances.empty((2**15, 2**16)))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path, size_hw = tmp_path / "a.tif", (600, 600)
    path.write_text("old")
    speckled = instances_of((rle.from_runs([1] * (600 * 600), size_hw),), np.ones(1), size_hw)
    with at_most(300), pytest.raises(OSError, match="too large"):
        write_label_tiff(path, speckled)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource", reason="this system has no limits of files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
