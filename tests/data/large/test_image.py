"""Windows, intensity and overviews of large images, whatever the file."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import read_image, to_rgb8
from sparseinst.data.large.image import large_size_hw, open_large
from sparseinst.data.large.ome_zarr import is_zarr
from sparseinst.errors import InputError

PERCENTILE = IntensityConfig()
RANDOM = np.random.default_rng(0)
COLOR = RANDOM.integers(0, 256, (90, 140, 3), np.uint8)
DEEP = RANDOM.gamma(2, 900, (90, 140)).astype(np.uint16)


@pytest.fixture(scope="module")
def color_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("large") / "a.tif"
    tifffile.imwrite(path, COLOR, photometric="rgb", compression="zlib", tile=(32, 16))
    yield path


@given(st.data(), st.sampled_from([0, 5000, 2**20]))
def test_any_window_is_that_part_of_the_image(color_path: Path, data: st.DataObject, cache_bytes: int) -> None:
    ends = [data.draw(st.lists(st.integers(0, side), min_size=2, max_size=2, unique=True)) for side in (90, 140)]
    rows, columns = (slice(min(pair), max(pair)) for pair in ends)
    with open_large(color_path, PERCENTILE, cache_bytes=cache_bytes) as image:
        np.testing.assert_array_equal(image.read((rows, columns)), COLOR[rows, columns])


@pytest.mark.parametrize("rows", [slice(0, 0), slice(80, 91), slice(-1, 5), slice(9, 3)])
def test_a_window_beyond_the_image_is_an_error_of_the_caller(color_path: Path, rows: slice) -> None:
    with open_large(color_path, PERCENTILE) as image, pytest.raises(ValueError, match="within") as caught:
        image.read((rows, slice(0, 9)))
    assert not isinstance(caught.value, InputError)


def test_one_mapping_for_all_windows(tmp_path: Path) -> None:
    path, half = tmp_path / "a.tif", slice(0, 45)
    dark = DEEP.copy()
    dark[half] //= 8
    tifffile.imwrite(path, dark, tile=(32, 32))
    with open_large(path, PERCENTILE) as image:
        np.testing.assert_array_equal(image.read((half, slice(0, 140))), to_rgb8(dark, PERCENTILE)[half])
    fixed = IntensityConfig(mode="range", low=500, high=4000)
    with open_large(path, fixed) as image:
        np.testing.assert_array_equal(image.read((half, slice(0, 140))), to_rgb8(dark[half], fixed))


def test_percentiles_of_a_sample_are_nearly_those_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, values = tmp_path / "a.tif", RANDOM.gamma(2, 900, (800, 700)).astype(np.uint16)
    tifffile.imwrite(path, values, tile=(128, 64), compression="zlib")
    monkeypatch.setattr("sparseinst.data.large.image.SAMPLE_PX", 50_000)
    wide = IntensityConfig(low=1, high=99)
    with open_large(path, wide) as image:
        seen = image.read((slice(0, 800), slice(0, 700)))
    assert not (seen == to_rgb8(values, wide)).all(), "not all pixels were looked at"
    assert np.abs(seen.astype(int) - to_rgb8(values, wide)).max() <= 6


def test_values_that_are_no_number_in_some_window_or_in_all(tmp_path: Path) -> None:
    values = DEEP.astype(np.float32)
    values[:40] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", values, tile=(16, 16))
    with open_large(tmp_path / "a.tif", PERCENTILE) as image:
        assert not image.read((slice(0, 40), slice(0, 140))).any()
        np.testing.assert_array_equal(
            image.read((slice(40, 90), slice(0, 140))), to_rgb8(values, PERCENTILE)[40:]
        )  # fmt: skip
    tifffile.imwrite(tmp_path / "b.tif", np.full((20, 20), np.nan, np.float32))
    with open_large(tmp_path / "b.tif", PERCENTILE) as image, pytest.raises(InputError, match=r"b\.tif.*finite"):
        image.read((slice(0, 5), slice(0, 5)))


@pytest.mark.parametrize("shrink", [1, 2, 3, 7, 100, 1000])
@pytest.mark.parametrize("size_hw", [(90, 140), (1100, 35), (30, 2300)])
def test_an_overview_averages(tmp_path: Path, shrink: int, size_hw: tuple[int, int]) -> None:
    values = RANDOM.integers(0, 256, (*size_hw, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", compression="zlib", tile=(32, 16))
    padded = np.pad(values, [*((0, -side % shrink) for side in size_hw), (0, 0)], "edge").astype(float)
    height, width = padded.shape[0] // shrink, padded.shape[1] // shrink
    expected = padded.reshape(height, shrink, width, shrink, 3).mean((1, 3))
    with open_large(tmp_path / "a.tif", PERCENTILE) as image:
        picture = image.overview(shrink)
    assert picture.shape == expected.shape and picture.dtype == np.uint8
    assert np.abs(picture - expected).max() <= 0.51


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_overview_is_seen_as_the_image_is(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "a.tif"
    tags = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(path, COLOR[:88, :136], photometric="rgb", tile=(32, 32), extratags=tags)
    seen = read_image(path, PERCENTILE)
    expected = cv2.resize(seen, (seen.shape[1] // 4, seen.shape[0] // 4), interpolation=cv2.INTER_AREA)
    with open_large(path, PERCENTILE) as image:
        assert np.abs(image.overview(4).astype(int) - expected).max() <= 1


def pyramid(path: Path, levels: list[np.ndarray]) -> Path:
    """An OME-TIFF with smaller versions, as the large slides of microscopes have them."""
    base, *reduced = levels
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(base, subifds=len(reduced), photometric="rgb", tile=(32, 32), compression="zlib")
        for level in reduced:
            writer.write(level, subfiletype=1, photometric="rgb", tile=(32, 32), compression="zlib")
    return path


@pytest.mark.parametrize(("shrink", "level"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (16, 2)])
def test_an_overview_takes_the_smallest_version_that_is_large_enough(tmp_path: Path, shrink: int, level: int) -> None:
    sides = [(256, 384), (128, 192), (64, 96)]
    levels = [np.full((*side, 3), 50 * (i + 1), np.uint8) for i, side in enumerate(sides)]
    with open_large(pyramid(tmp_path / "a.ome.tif", levels), PERCENTILE) as image:
        picture = image.overview(shrink)
        assert image.size_hw == (256, 384)
    assert picture.shape == (-(-256 // shrink), -(-384 // shrink), 3)
    assert (picture == 50 * (level + 1)).all()


def test_a_small_page_of_something_else_is_no_version_of_the_image(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(COLOR, photometric="rgb")
        writer.write(np.zeros((45, 45, 3), np.uint8), photometric="rgb", subfiletype=1)
    with open_large(tmp_path / "a.tif", PERCENTILE) as image:
        assert image.overview(2).mean() > 100


def test_what_is_large_is_known_by_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.fromarray(COLOR).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "scan", COLOR, photometric="rgb")  # by its content, not by its name
    zarr.save(tmp_path / "a.zarr", COLOR)
    (tmp_path / "text.tif").write_text("II")
    (tmp_path / "folder.zarr").mkdir()
    assert large_size_hw(tmp_path / "scan") == large_size_hw(tmp_path / "a.zarr") == (90, 140)
    for name in ("a.png", "text.tif", "absent.tif", "folder.zarr"):
        assert large_size_hw(tmp_path / name) is None
        with pytest.raises(InputError, match=rf"{name}: expected a TIFF file or a zarr folder"):
            open_large(tmp_path / name, PERCENTILE)
    assert is_zarr(tmp_path / "a.zarr") and not is_zarr(tmp_path / "folder.zarr") and not is_zarr(tmp_path / "scan")
