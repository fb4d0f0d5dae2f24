"""TIFF files read by windows, against the arrays that were written and against `read_image`."""

import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import read_image, to_rgb8
from sparseinst.data.large.image import LargeImage, large_size_hw, open_large
from sparseinst.errors import InputError

PERCENTILE = IntensityConfig()
SIZE = (101, 130)
RANDOM = np.random.default_rng(0)
TILED, STRIPS, ONE_STRIP = {"tile": (32, 48)}, {"rowsperstrip": 7}, {"rowsperstrip": SIZE[0]}
SPOOLED, ROOM = 0, 2**20
"""Bytes of the cache: with none, files in strips are decoded into a temporary file first."""


def noise(kind: str, channels: int) -> np.ndarray:
    """(H, W, channels), or (H, W) for one; smooth enough for JPEG."""
    high = {"bool": 2, "uint8": 256}.get(kind, 30_000)
    values = RANDOM.integers(0, high, (13, 17, channels)).repeat(8, 0).repeat(8, 1)[: SIZE[0], : SIZE[1]].astype(kind)
    return values[:, :, 0] if channels == 1 else values


def written(path: Path, values: np.ndarray, *, planar: bool = False, **how: Any) -> Path:
    colors: dict[str, Any] = {"photometric": "minisblack"}
    if values.ndim == 3:
        colors = {"photometric": "rgb", "planarconfig": "separate" if planar else "contig"}
    tifffile.imwrite(path, np.moveaxis(values, 2, 0) if planar else values, **colors | how)
    return path


def in_windows(image: LargeImage, side_hw: tuple[int, int] = (37, 50)) -> np.ndarray:
    """The whole image, put together of windows."""
    height, width = image.size_hw
    rows = [slice(top, min(top + side_hw[0], height)) for top in range(0, height, side_hw[0])]
    columns = [slice(left, min(left + side_hw[1], width)) for left in range(0, width, side_hw[1])]
    return np.vstack([np.hstack([image.read((row, column)) for column in columns]) for row in rows])


@pytest.mark.parametrize("cache_bytes", [SPOOLED, ROOM])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("layout", [TILED, STRIPS, ONE_STRIP], ids=["tiled", "strips", "one strip"])
@pytest.mark.parametrize(
    ("kind", "channels", "planar"),
    [
        ("uint8", 1, False), ("uint8", 3, False), ("uint8", 3, True), ("uint8", 4, False),
        ("uint16", 1, False), ("uint16", 3, False), ("uint16", 3, True), ("uint16", 4, True),
    ],
)  # fmt: skip
def test_all_windows_are_what_read_image_gives(
    tmp_path: Path, kind: str, channels: int, planar: bool, layout: dict[str, Any], compression: str | None,
    byteorder: str, cache_bytes: int,
) -> None:  # fmt: skip
    values = noise(kind, channels)
    path = written(tmp_path / "a.tif", values, planar=planar, compression=compression, byteorder=byteorder, **layout)
    with open_large(path, PERCENTILE, cache_bytes=cache_bytes) as image:
        assert image.size_hw == large_size_hw(path) == SIZE
        seen = in_windows(image)
    assert seen.dtype == np.uint8
    np.testing.assert_array_equal(seen, read_image(path, PERCENTILE))
    np.testing.assert_array_equal(seen, to_rgb8(values, PERCENTILE))


@pytest.mark.parametrize("cache_bytes", [SPOOLED, ROOM])
@pytest.mark.parametrize("layout", [TILED, STRIPS], ids=["tiled", "strips"])
@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("compression", ["zlib", "zstd", "lzma"])
@pytest.mark.parametrize("kind", ["uint16", "int32", "uint32", "float32", "float64"])
def test_deep_values_of_every_kind(
    tmp_path: Path, kind: str, compression: str, predictor: bool, layout: dict[str, Any], cache_bytes: int
) -> None:
    values = noise(kind, 3)
    path = written(tmp_path / "a.tif", values, compression=compression, predictor=predictor, **layout)
    with open_large(path, PERCENTILE, cache_bytes=cache_bytes) as image:
        np.testing.assert_array_equal(in_windows(image), to_rgb8(values, PERCENTILE))


@pytest.mark.parametrize("cache_bytes", [SPOOLED, ROOM])
@pytest.mark.parametrize("layout", [TILED, STRIPS], ids=["tiled", "strips"])
@pytest.mark.parametrize("compression", ["jpeg", "jpegxl", "webp", "png", "packbits"])
def test_photographs_of_other_compressions(
    tmp_path: Path, compression: str, layout: dict[str, Any], cache_bytes: int
) -> None:
    values = noise("uint8", 3)
    path = written(tmp_path / "a.tif", values, compression=compression, **layout)
    with open_large(path, PERCENTILE, cache_bytes=cache_bytes) as image:
        np.testing.assert_array_equal(in_windows(image), tifffile.imread(path))


@pytest.mark.parametrize("save", [{}, {"compression": "tiff_lzw"}], ids=["plain", "lzw"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F"])
def test_what_pillow_writes(tmp_path: Path, mode: str, save: dict[str, Any]) -> None:
    path = tmp_path / "a.tif"
    picture = Image.fromarray(noise("uint8", 3))
    picture = picture.quantize(60) if mode == "P" else picture.convert("L").convert(mode) if "16" in mode else picture
    picture.convert(mode).save(path, **save)
    with open_large(path, PERCENTILE) as image:
        np.testing.assert_array_equal(in_windows(image), read_image(path, PERCENTILE))


@pytest.mark.parametrize("kind", ["bool", "uint8"])
def test_white_may_be_zero(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path / "a.tif", noise(kind, 1), photometric="miniswhite")
    with open_large(path, PERCENTILE) as image:
        np.testing.assert_array_equal(in_windows(image), read_image(path, PERCENTILE))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    path = written(tmp_path / "a.tif", noise("uint8", 3), extratags=[(274, "H", 1, orientation, True)], **TILED)
    with open_large(path, PERCENTILE) as image:
        assert image.size_hw == large_size_hw(path)
        np.testing.assert_array_equal(in_windows(image), read_image(path, PERCENTILE))


def test_the_first_page_is_the_image(tmp_path: Path) -> None:
    first, second = noise("uint8", 3), noise("uint8", 3)
    tifffile.imwrite(tmp_path / "a.tif", np.stack([first, second]), photometric="rgb")
    with open_large(tmp_path / "a.tif", PERCENTILE) as image:
        np.testing.assert_array_equal(in_windows(image), first)


def sparse(path: Path, side: int, tile: int = 4096) -> Path:
    """A square BigTIFF of whose tiles the first alone was written."""
    count = (-(-side // tile)) ** 2
    bright = np.full((tile, tile, 3), 200, np.uint8)
    tiles = (None if index else bright for index in range(count))
    how = {"photometric": "rgb", "compression": "zlib", "bigtiff": True}
    tifffile.imwrite(path, tiles, shape=(side, side, 3), dtype=np.uint8, tile=(tile, tile), **how)
    return path


def test_a_bigtiff_of_more_pixels_than_memory_and_pillow_hold(tmp_path: Path) -> None:
    side = 150_000
    path = sparse(tmp_path / "a.tif", side)
    assert large_size_hw(path) == (side, side)
    with open_large(path, PERCENTILE) as image:
        assert (image.read((slice(0, 20), slice(0, 20))) == 200).all()
        far = slice(side - 20, side)
        assert not image.read((far, far)).any(), "a tile that was never written is black"


def test_more_pixels_than_masks_can_be_encoded_of_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.tif: expected an image of 1 to .* 200000 x 200000"):
        open_large(sparse(tmp_path / "a.tif", 200_000), PERCENTILE)


def test_tiles_that_are_too_large_to_be_kept_are_decoded_once(tmp_path: Path) -> None:
    values = noise("uint16", 3)
    path = written(tmp_path / "a.tif", values, compression="lzw", tile=(4736, 2368))  # 67 MB
    with open_large(path, PERCENTILE) as image:
        np.testing.assert_array_equal(in_windows(image), to_rgb8(values, PERCENTILE))
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages.first.tags["TileWidth"].overwrite(2**16)
    with pytest.raises(InputError, match=r"a\.tif.*tiles of 512"):
        open_large(path, PERCENTILE)


@pytest.mark.parametrize(
    ("values", "how"),
    [
        (noise("uint8", 4), {"photometric": "separated"}),
        (noise("uint8", 3), {"photometric": "cielab"}),
        (RANDOM.integers(0, 9, (40, 40, 5), np.uint8), {"photometric": "minisblack", "planarconfig": "contig"}),
        (noise("complex64", 1), {}),
        (np.zeros((4, 40, 48), np.uint8), {"photometric": "minisblack", "volumetric": True, "tile": (4, 16, 16)}),
    ],
    ids=["cmyk", "lab", "five channels", "complex", "volume"],
)
def test_other_pixels_are_refused(tmp_path: Path, values: np.ndarray, how: dict[str, Any]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values, **how)
    with pytest.raises(InputError, match=r"a\.tif: expected .*got .*convert"):
        open_large(tmp_path / "a.tif", PERCENTILE)


def test_without_imagecodecs_deflate_is_read_and_lzw_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = noise("uint16", 3)
    written(tmp_path / "deflate.tif", values, compression="zlib", predictor=True, **TILED)
    written(tmp_path / "lzw.tif", values, compression="lzw", **TILED)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with open_large(tmp_path / "deflate.tif", PERCENTILE) as image:
        np.testing.assert_array_equal(in_windows(image), to_rgb8(values, PERCENTILE))
    with pytest.raises(InputError, match=r"lzw\.tif.*imagecodecs.*LZW.*pip install 'sparseinst\[large\]'"):
        open_large(tmp_path / "lzw.tif", PERCENTILE)


def test_a_compression_that_nobody_knows(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", noise("uint8", 1))
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags[259].overwrite(4711)
    with pytest.raises(InputError, match=r"a\.tif.*compression.*4711"):
        open_large(path, PERCENTILE)


@pytest.mark.parametrize("tag", [256, 257], ids=["width", "height"])
def test_sizes_that_need_more_tiles_than_the_file_places_are_refused_at_once(tmp_path: Path, tag: int) -> None:
    path = written(tmp_path / "a.tif", RANDOM.integers(0, 256, SIZE, np.uint8), compression="zlib", **TILED)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags[tag].overwrite(2**29 // 40)
    with pytest.raises(InputError, match=r"a\.tif.*tiles or strips for an image of \d"):
        open_large(path, PERCENTILE)


@pytest.mark.parametrize("layout", [TILED, STRIPS, ONE_STRIP], ids=["tiled", "strips", "one strip"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_truncated_files_name_themselves(tmp_path: Path, compression: str | None, layout: dict[str, Any]) -> None:
    path = written(tmp_path / "größe.tif", RANDOM.integers(0, 256, SIZE, np.uint8), compression=compression, **layout)
    whole = path.read_bytes()
    for length in (4, 8, 9, 60, 200, len(whole) // 3, len(whole) - 50):
        path.write_bytes(whole[:length])
        for cache_bytes in (SPOOLED, ROOM):
            with (
                pytest.raises(InputError, match=r"größe\.tif"),
                open_large(path, PERCENTILE, cache_bytes=cache_bytes) as image,
            ):
                in_windows(image)


def test_a_deflated_tile_is_inflated_no_further_than_it_is_large(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", np.zeros(SIZE, np.uint8), compression="zlib", **TILED)
    bomb = zlib.compress(bytes(2**25))
    with tifffile.TiffFile(path, mode="r+") as file:
        tags, end = file.pages.first.tags, path.stat().st_size
        tags[325].overwrite([len(bomb)] * len(tags[325].value))
        tags[324].overwrite([end] * len(tags[324].value))
    with path.open("ab") as file:
        file.write(bomb)
    tracemalloc.start()
    with open_large(path, PERCENTILE) as image:
        assert not in_windows(image).any()
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "jpeg"])
def test_whatever_the_bytes_it_is_an_image_or_an_input_error(tmp_path: Path, compression: str | None) -> None:
    path, random = tmp_path / "a.tif", np.random.default_rng(7)
    whole = np.fromfile(written(path, noise("uint8", 3), compression=compression, **TILED), np.uint8)
    refused = 0
    for _ in range(150):
        bytes_, count = whole.copy(), random.integers(1, 6)
        head = random.integers(4, min(600, len(whole)), count)  # the header decides what is allocated
        bytes_[head] = random.choice([0, 1, 2, 255, random.integers(256)], count)
        path.write_bytes(bytes_.tobytes())
        try:
            with open_large(path, PERCENTILE) as image:
                assert image.read((slice(0, 1), slice(0, 1))).shape == (1, 1, 3)
        except InputError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > 10


def test_garbage(tmp_path: Path) -> None:
    path, random = tmp_path / "a.tif", np.random.default_rng(7)
    for magic in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        for size in (0, 4, 5000):
            path.write_bytes(magic + random.bytes(size))
            for look in (large_size_hw, lambda name: open_large(name, PERCENTILE)):
                with pytest.raises(InputError, match=r"a\.tif"):
                    look(path)
