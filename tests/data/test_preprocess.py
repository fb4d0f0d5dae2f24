import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from sparseinst.config.preprocess import IntensityConfig, NativeConfig, ShortSideConfig
from sparseinst.data.geometry import frame_hw, frame_of, resized_hw
from sparseinst.data.images import read_image, to_rgb8
from sparseinst.data.prepare import prepare, resize, stack
from sparseinst.errors import InputError
from sparseinst.masks.grid import Frame

PERCENTILE = IntensityConfig()
RANGE = IntensityConfig(mode="range", low=1000, high=3000)
RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (14, 17), dtype=np.uint8)
COLOR = RANDOM.integers(0, 256, (14, 17, 3), dtype=np.uint8)
DEEP = RANDOM.integers(500, 3500, (14, 17), dtype=np.uint16)
DEEP_COLOR = RANDOM.integers(500, 3500, (14, 17, 3), dtype=np.uint16)


def in_range(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint((values.astype(np.float64) - 1000) * 255 / 2000), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_grey_becomes_three_equal_channels(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(GREY).save(tmp_path / f"a{suffix}")
    image = read_image(tmp_path / f"a{suffix}", PERCENTILE)
    assert image.dtype == np.uint8 and image.flags.writeable
    assert (image == GREY[:, :, None]).all() and image.shape == (14, 17, 3)


def test_color_is_untouched_and_alpha_dropped(tmp_path: Path) -> None:
    Image.fromarray(COLOR).save(tmp_path / "rgb.png")
    Image.fromarray(np.dstack([COLOR, GREY])).save(tmp_path / "rgba.png")
    Image.fromarray(np.dstack([GREY, GREY // 2])).save(tmp_path / "la.png")
    assert (read_image(tmp_path / "rgb.png", PERCENTILE) == COLOR).all()
    assert (read_image(tmp_path / "rgba.png", PERCENTILE) == COLOR).all()
    assert (read_image(tmp_path / "la.png", PERCENTILE) == GREY[:, :, None]).all()


def test_palette_is_resolved(tmp_path: Path) -> None:
    palette = Image.fromarray(GREY % 4, mode="P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7])
    palette.save(tmp_path / "p.png", transparency=1)
    expected = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 8, 7]], np.uint8)[GREY % 4]
    assert (read_image(tmp_path / "p.png", PERCENTILE) == expected).all()


def test_one_bit_becomes_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(GREY > 100).save(tmp_path / "bit.png")
    expected = np.where(GREY > 100, 255, 0)[:, :, None]
    assert (read_image(tmp_path / "bit.png", PERCENTILE) == expected).all()
    assert (to_rgb8(GREY > 100, PERCENTILE) == expected).all()


def test_cmyk_jpeg_is_read_as_color(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "c.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "c.jpg", PERCENTILE).astype(int) - [255, 0, 0]).max() < 12


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("kind", ["grey", "color", "alpha"])
def test_16_bits_follow_the_fixed_range(tmp_path: Path, suffix: str, kind: str) -> None:
    values = {"grey": DEEP, "color": DEEP_COLOR, "alpha": np.dstack([DEEP_COLOR, DEEP])}[kind]
    order = [2, 1, 0, 3][: values.shape[2]] if values.ndim == 3 else ...
    assert cv2.imwrite(str(tmp_path / f"a{suffix}"), values[..., order] if values.ndim == 3 else values)
    expected = in_range(DEEP[:, :, None] if kind == "grey" else DEEP_COLOR)
    image = read_image(tmp_path / f"a{suffix}", RANGE)
    assert (image == expected).all()
    assert (to_rgb8(values, RANGE) == image).all()


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_16_bit_planes_of_a_tiff(tmp_path: Path, compression: str | None, orientation: int) -> None:
    planes, tags = np.moveaxis(DEEP_COLOR, 2, 0), [(274, "H", 1, orientation, True)]
    how = {"photometric": "rgb", "planarconfig": "separate", "compression": compression, "extratags": tags}
    tifffile.imwrite(tmp_path / "a.tif", planes, **how)
    expected = in_range(DEEP_COLOR)
    expected = np.rot90(expected, -1) if orientation == 6 else expected
    assert (read_image(tmp_path / "a.tif", RANGE) == expected).all()
    assert (read_image((tmp_path / "a.tif").read_bytes(), RANGE) == expected).all()


def test_percentiles_stretch_all_channels_alike() -> None:
    image = to_rgb8(DEEP_COLOR, IntensityConfig(low=0, high=100))
    low, high = int(DEEP_COLOR.min()), int(DEEP_COLOR.max())
    assert (image == np.rint((DEEP_COLOR - float(low)) * 255 / (high - low))).all()
    trimmed = to_rgb8(DEEP, IntensityConfig(low=10, high=90))
    assert 0.05 < (trimmed == 0).mean() < 0.15 and 0.05 < (trimmed == 255).mean() < 0.15


def test_an_even_image_is_black_and_one_bright_pixel_is_seen() -> None:
    even = np.full((40, 40), 700, np.uint16)
    assert not to_rgb8(even, PERCENTILE).any()
    even[3, 4] = 900
    image = to_rgb8(even, PERCENTILE)
    assert image[3, 4, 0] == 255 and image.sum() == 3 * 255


def test_float_tiff_with_values_that_are_no_number(tmp_path: Path) -> None:
    values = DEEP.astype(np.float32)
    values[0, :3] = [np.nan, np.inf, -np.inf]
    Image.fromarray(values).save(tmp_path / "f.tif")
    image = read_image(tmp_path / "f.tif", RANGE)
    expected = in_range(DEEP)
    expected[0, :3] = [0, 255, 0]
    assert (image == expected[:, :, None]).all()
    assert (read_image(tmp_path / "f.tif", PERCENTILE)[1:] > 0).any()


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint32, np.float16, np.float64])
def test_every_number_type_gives_the_same_picture(dtype: type) -> None:
    values = (DEEP // 4 * 2).astype(np.uint16)  # float16 holds these exactly
    assert np.abs(to_rgb8(values.astype(dtype), RANGE).astype(int) - in_range(values)[:, :, None]).max() <= 1


@pytest.mark.parametrize("shape", [(3, 14, 17), (14, 17, 2), (14,), (0, 5), (2, 14, 17, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="channels last"):
        to_rgb8(np.zeros(shape, np.uint8), PERCENTILE)


def test_other_types_are_refused() -> None:
    with pytest.raises(InputError, match="complex"):
        to_rgb8(np.zeros((4, 4), np.complex64), PERCENTILE)
    with pytest.raises(InputError, match="finite"):
        to_rgb8(np.full((4, 4), np.nan), PERCENTILE)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    blocks = np.kron(COLOR, np.ones((16, 16, 1), np.uint8))  # survives JPEG
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(blocks).save(tmp_path / f"a{suffix}", exif=exif)
    with Image.open(tmp_path / f"a{suffix}") as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
        assert (to_rgb8(opened, PERCENTILE) == expected).all()
    image = read_image(tmp_path / f"a{suffix}", PERCENTILE)
    assert image.shape[:2] == ((272, 224) if orientation >= 5 else (224, 272))
    assert (image == expected).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_of_16_bit_color(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = cv2.imencode(".png", DEEP_COLOR[:, :, ::-1])[1].tobytes()
    body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])  # after the header
    flat = Image.fromarray(in_range(DEEP_COLOR))
    flat.getexif()[0x0112] = orientation
    assert (read_image(tmp_path / "a.png", RANGE) == np.asarray(ImageOps.exif_transpose(flat))).all()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".gif", ".webp"])
def test_truncated_files_name_themselves(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"größe {suffix}"
    Image.fromarray(np.kron(COLOR, np.ones((8, 8, 1), np.uint8))).save(path)
    whole = path.read_bytes()
    assert read_image(path, PERCENTILE).shape == (112, 136, 3)
    for length in (0, 7, 20, len(whole) // 3):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="größe"):
            read_image(path, PERCENTILE)


def test_truncated_16_bit_color(tmp_path: Path) -> None:
    data = cv2.imencode(".png", DEEP_COLOR)[1].tobytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"a\.png"):
        read_image(tmp_path / "a.png", PERCENTILE)


def test_absent_folders_text_and_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.png").write_text("no image")
    Image.fromarray(GREY).save(tmp_path / "large.png")
    for name, words in (("none.png", "found none"), (".", "found none"), ("text.png", "decode")):
        with pytest.raises(InputError, match=words):
            read_image(tmp_path / name, PERCENTILE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match=r"large\.png.*200 pixels"):
        read_image(tmp_path / "large.png", PERCENTILE)


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ((480, 640), (640, 853)),
        ((640, 480), (853, 640)),
        ((427, 640), (576, 864)),
        ((100, 100), (640, 640)),
        ((10, 4000), (2, 864)),
        ((1, 5000), (1, 864)),
    ],
)
def test_resized_hw(original: tuple[int, int], expected: tuple[int, int]) -> None:
    assert resized_hw(original, 640, 864) == expected


sides = st.integers(1, 3000)


@given(st.tuples(sides, sides), sides, sides)
def test_resized_hw_keeps_within_both_limits(original: tuple[int, int], short: int, more: int) -> None:
    height, width = resized_hw(original, short, short + more)
    assert max(height, width) <= short + more
    assert min(height, width) == short or max(height, width) == short + more
    assert resized_hw(original[::-1], short, short + more) == (width, height)
    assert (height - width) * (original[0] - original[1]) >= 0


@given(st.tuples(sides, sides))
def test_frames_are_the_next_multiples(size: tuple[int, int]) -> None:
    frame = frame_hw(size)
    assert all(side % 32 == 0 and 0 <= side - inner < 32 for side, inner in zip(frame, size, strict=True))
    assert frame_hw(size, (3008, 3008)) == (3008, 3008)


def test_a_frame_that_is_too_small_is_refused() -> None:
    with pytest.raises(InputError, match="65 x 64"):
        frame_hw((65, 64), (64, 64))


@pytest.mark.parametrize("hw", [(50, 61), (200, 300), (112, 136), (7, 9), (1, 1)])
def test_resize_is_pillows(hw: tuple[int, int]) -> None:
    image = cv2.GaussianBlur(np.kron(COLOR, np.ones((8, 8, 1), np.uint8)), (5, 5), 0)
    expected = np.asarray(Image.fromarray(image).resize(hw[::-1], Image.Resampling.BILINEAR)).astype(int)
    resized = resize(torch.from_numpy(image).permute(2, 0, 1), hw).permute(1, 2, 0).numpy()
    assert resized.dtype == np.uint8 and np.abs(resized - expected).max() <= 1


def test_prepare_and_stack() -> None:
    config = ShortSideConfig(short_px=40, long_px=70)
    wide = prepare(COLOR, config)
    assert wide.frame == ((64, 64), (40, 49), (14, 17)) and wide.image.shape == (3, 40, 49)
    square = prepare(np.full((90, 90, 3), 200, np.uint8), config)
    images, sizes = stack([wide, square])
    assert images.shape == (2, 3, 64, 64) and images.dtype == torch.uint8
    assert sizes.tolist() == [[40, 49], [40, 40]] and sizes.dtype == torch.int64
    assert (images[0, :, :40, :49] == wide.image).all() and (images[1, :, :40, :40] == 200).all()
    assert not images[:, :, 40:].any() and not images[0, :, :, 49:].any() and not images[1, :, :, 40:].any()
    long = prepare(np.zeros((10, 30, 3), np.uint8), config)
    with pytest.raises(ValueError, match="one padded frame"):
        stack([wide, long])


def test_a_fixed_frame_is_kept() -> None:
    config = ShortSideConfig(short_px=32, long_px=64, frame_hw=(64, 96))
    assert prepare(COLOR, config).frame.frame_hw == (64, 96)


def test_an_upright_image_is_made_smaller_to_fit_a_lying_frame() -> None:
    config = ShortSideConfig(short_px=64, long_px=96, frame_hw=(64, 96))
    upright, lying = np.zeros((150, 100, 3), np.uint8), np.zeros((100, 150, 3), np.uint8)
    assert prepare(upright, config).frame == Frame((64, 96), (64, 43), (150, 100))
    assert prepare(lying, config).frame == Frame((64, 96), (64, 96), (100, 150))


scales = st.floats(0.01, 8)


@given(st.tuples(sides, sides), scales, st.none() | st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_native_scale_is_one_factor_in_every_image(
    original: tuple[int, int], scale: float, cells: tuple[int, int] | None
) -> None:
    fixed = None if cells is None else (32 * cells[0], 32 * cells[1])
    frame = frame_of(original, NativeConfig(scale=scale, frame_hw=fixed))
    factor = min([scale, *(most / side for most, side in zip(fixed or (), original, strict=False))])
    for padded, resized, side in zip(frame.frame_hw, frame.resized_hw, original, strict=True):
        assert abs(resized - factor * side) <= 0.5 + 1e-6 or resized == 1
        assert padded >= resized and padded % 32 == 0
    assert frame.frame_hw == (fixed or frame_hw(frame.resized_hw))
    assert frame.original_hw == original


def test_images_at_native_size_keep_their_pixels() -> None:
    prepared = prepare(COLOR, NativeConfig())
    assert (prepared.image.permute(1, 2, 0).numpy() == COLOR).all()
    assert prepared.frame == Frame((32, 32), (14, 17), (14, 17))
    assert prepare(COLOR, NativeConfig(scale=0.01)).frame.resized_hw == (1, 1)


def test_the_content_of_a_file_is_read_as_the_file(tmp_path: Path) -> None:
    for image in (GREY, COLOR, DEEP):
        Image.fromarray(image).save(tmp_path / "a.png")
        content = (tmp_path / "a.png").read_bytes()
        assert (read_image(content, RANGE) == read_image(tmp_path / "a.png", RANGE)).all()
    cv2.imwrite(str(tmp_path / "deep.png"), DEEP_COLOR)
    expected = read_image(tmp_path / "deep.png", RANGE)
    assert (read_image((tmp_path / "deep.png").read_bytes(), RANGE) == expected).all()
    with pytest.raises(InputError, match="could not decode"):
        read_image(content[:60], RANGE)


def test_only_the_formats_asked_for_are_read(tmp_path: Path) -> None:
    Image.fromarray(COLOR).save(tmp_path / "a.gif")
    read_image(tmp_path / "a.gif", PERCENTILE, formats=("GIF", "PNG"))
    with pytest.raises(InputError, match=r"a\.gif"):
        read_image(tmp_path / "a.gif", PERCENTILE, formats=("PNG",))
