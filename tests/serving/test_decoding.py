import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from serving.apps import encoded, picture
from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import read_image
from sparseinst.serving.decoding import decode, decoding_bytes
from sparseinst.serving.errors import ApiError

INTENSITY = IntensityConfig()


def decoded(content: bytes, *, max_pixels: int) -> NDArray[np.uint8]:
    """As the service does it: the header first."""
    assert decoding_bytes(content, max_pixels=max_pixels) > 0
    return decode(content, INTENSITY)


def turned() -> bytes:
    content, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture()).save(content, "JPEG", exif=exif, quality=95)
    return content.getvalue()


def palette() -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture()).convert("P").save(content, "PNG", transparency=0)
    return content.getvalue()


def deep_grey(kind: str) -> bytes:
    return encoded((np.arange(64 * 96, dtype=np.uint16) * 10).reshape(64, 96), kind)


def deep_colour() -> bytes:
    import cv2

    values = np.random.default_rng(0).integers(0, 60000, (20, 30, 3)).astype(np.uint16)
    return cv2.imencode(".png", values)[1].tobytes()


@pytest.mark.parametrize(
    ("content", "size_hw"),
    [
        (encoded(picture()), (64, 96)),
        (encoded(picture(), "JPEG"), (64, 96)),
        (encoded(picture(), "WEBP", lossless=True), (64, 96)),
        (encoded(picture(), "BMP"), (64, 96)),
        (encoded(picture(), "TIFF", compression="tiff_lzw"), (64, 96)),
        (encoded(picture()[..., 0]), (64, 96)),
        (encoded(np.dstack([picture(), picture()[..., 0]])), (64, 96)),
        (turned(), (96, 64)),
        (palette(), (64, 96)),
        (deep_grey("PNG"), (64, 96)),
        (deep_grey("TIFF"), (64, 96)),
        (deep_colour(), (20, 30)),
    ],
)
def test_every_kind_is_read_as_from_a_file(content: bytes, size_hw: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    pixels = decoded(content, max_pixels=10_000)
    assert pixels.shape == (*size_hw, 3) and pixels.max() > 200
    np.testing.assert_array_equal(pixels, read_image(path, INTENSITY))


def png_claiming(width: int, height: int) -> bytes:
    """A PNG that says it is of this size, a bomb: its few bytes would be decoded to many."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(bytes(1000))), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("side", [200, 9_000, 60_000])
def test_too_many_pixels_are_refused_before_they_are_decoded(side: int) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ApiError) as refused:
            decoded(png_claiming(side, side), max_pixels=30_000)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert (refused.value.status, refused.value.code) == (413, "image_too_large")
    assert f"{side}" in refused.value.message or f"{side * side}" in refused.value.message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no image",
        encoded(picture())[:100],
        encoded(picture(), "TIFF")[:60],
        encoded(picture(), "GIF"),
        encoded(picture(), "ICO"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x08builtins\x94.",
    ],
)
def test_what_is_no_whole_image_of_a_known_kind_is_refused(content: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        decoded(content, max_pixels=100_000)
    assert (refused.value.status, refused.value.code) == (422, "undecodable")
