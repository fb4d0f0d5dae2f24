from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import read_image
from sparseinst.data.pages import read_pages
from sparseinst.errors import InputError

PERCENTILE = IntensityConfig()
WHOLE_RANGE = IntensityConfig(mode="range", low=0, high=65535)


def pictures(number: int, size_hw: tuple[int, int] = (24, 32)) -> list[NDArray[np.uint8]]:
    return [np.random.default_rng(i).integers(0, 255, (*size_hw, 3), np.uint8) for i in range(number)]


def write_tiff(path: Path, images: list[NDArray[np.generic]], **options: object) -> Path:
    """A file with a page for each image; options that are lists hold one value for each."""
    with tifffile.TiffWriter(path) as file:
        for i, image in enumerate(images):
            own = {name: value[i] if isinstance(value, list) else value for name, value in options.items()}
            file.write(image, metadata=None, photometric="rgb" if image.ndim == 3 else "minisblack", **own)
    return path


def read_all(path: Path, intensity: IntensityConfig = PERCENTILE) -> list[tuple[int | None, NDArray[np.uint8] | str]]:
    """Number and pixels of each page, or why there are none."""
    found: list[tuple[int | None, NDArray[np.uint8] | str]] = []
    for page in read_pages(path, intensity):
        try:
            found.append((page.number, page.read()))
        except InputError as error:
            found.append((page.number, str(error)))
    return found


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pages_of_a_tiff(tmp_path: Path, compression: str | None) -> None:
    images = pictures(12)
    path = write_tiff(tmp_path / "größe.tif", images, compression=compression)
    found = read_all(path)
    assert [number for number, _ in found] == list(range(12))
    assert {page.pages for page in read_pages(path, PERCENTILE)} == {12}
    for (number, pixels), image in zip(found, images, strict=True):
        np.testing.assert_array_equal(pixels, image)
        np.testing.assert_array_equal(pixels, tifffile.imread(path, key=number))


def test_pages_may_differ_in_all_they_are(tmp_path: Path) -> None:
    grey, deep = np.arange(64, dtype=np.uint8).reshape(8, 8), np.full((5, 7), 513, np.uint16)
    deep[0, 0] = 1026
    images = [pictures(1)[0], grey, deep, np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)]
    found = read_all(write_tiff(tmp_path / "a.tif", images))
    assert [pixels.shape for _, pixels in found] == [(24, 32, 3), (8, 8, 3), (5, 7, 3), (4, 6, 3)]
    np.testing.assert_array_equal(found[1][1][..., 0], grey)
    assert found[2][1][0, 0].tolist() == [255] * 3 and not found[2][1][1:].any(), "stretched by its own values"


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_colour_of_16_bits_is_read_in_full_on_every_page(tmp_path: Path, compression: str | None) -> None:
    images = [np.random.default_rng(i).integers(0, 2**16, (9, 14, 3), np.uint16) for i in range(3)]
    turned = (274, "H", 1, 6, True)  # the camera lay on its side
    path = write_tiff(tmp_path / "a.tif", images, compression=compression, extratags=[[], [turned], []])
    for (number, pixels), image in zip(read_all(path, WHOLE_RANGE), images, strict=True):
        expected = np.rint(image / 257.0).astype(np.uint8)
        np.testing.assert_array_equal(pixels, np.rot90(expected, -1) if number == 1 else expected)


@pytest.mark.parametrize(
    ("tag", "kind"), [("NewSubfileType", 1), ("NewSubfileType", 4), ("NewSubfileType", 3), ("SubfileType", 2)]
)
def test_thumbnails_pyramids_and_masks_are_no_pages(tmp_path: Path, tag: str, kind: int) -> None:
    def marked(name: str, images: list[NDArray[np.uint8]], *made: int) -> Path:
        tags = [[(255, "H", 1, 1, True)]] * len(images)
        path = write_tiff(tmp_path / name, images, subfiletype=[0] * len(images), extratags=tags)
        with tifffile.TiffFile(path, mode="r+") as file:
            for i in made:
                file.pages[i].tags[tag].overwrite(kind)
        return path

    images = [*pictures(1), *pictures(1, (12, 16)), *pictures(1, (6, 8))]
    ((number, pixels),) = read_all(marked("one.tif", images, 1, 2))
    assert number is None
    np.testing.assert_array_equal(pixels, images[0])
    ((number, pixels),) = read_all(marked("second.tif", images[:2], 0))
    assert number is None
    np.testing.assert_array_equal(pixels, images[1])
    found = read_all(marked("several.tif", images, 1))
    assert [number for number, _ in found] == [0, 2], "numbers are those of the file"
    np.testing.assert_array_equal(found[1][1], images[2])
    assert len(read_all(marked("all.tif", images, 0, 1, 2))) == 1


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".apng"])
def test_frames_of_an_animated_picture(tmp_path: Path, suffix: str) -> None:
    images = [np.full((16, 24, 3), 60 * i, np.uint8) for i in range(4)]
    for i, image in enumerate(images):
        image[2:6, 4 * i : 4 * i + 4] = 255
    frames = [Image.fromarray(image) for image in images]
    path = tmp_path / f"a{suffix}"
    kind = "PNG" if suffix == ".apng" else None
    frames[0].save(path, format=kind, save_all=True, append_images=frames[1:], lossless=True)
    found = read_all(path)
    assert [number for number, _ in found] == [0, 1, 2, 3]
    for (_, pixels), image in zip(found, images, strict=True):
        np.testing.assert_array_equal(pixels, image)


@pytest.mark.parametrize("suffix", [".tif", ".gif", ".webp", ".png", ".jpg", ".bmp"])
def test_a_file_of_one_page_is_read_as_ever(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(pictures(1)[0]).save(path)
    ((number, pixels),) = read_all(path)
    assert number is None
    np.testing.assert_array_equal(pixels, read_image(path, PERCENTILE))


def test_the_preview_in_a_photograph_is_no_page(tmp_path: Path) -> None:
    frames = [Image.fromarray(image) for image in pictures(2)]
    frames[0].save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=frames[1:])
    ((number, pixels),) = read_all(tmp_path / "a.jpg")
    assert number is None
    np.testing.assert_array_equal(pixels, read_image(tmp_path / "a.jpg", PERCENTILE))


def test_a_broken_page_is_broken_alone(tmp_path: Path) -> None:
    images = pictures(4)
    path = write_tiff(tmp_path / "a.tif", images, compression="zlib")
    with tifffile.TiffFile(path) as file:
        start = file.pages[1].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(content)
    found = read_all(path)
    assert [number for number, _ in found] == [0, 1, 2, 3]
    assert found[1][1].startswith(f"{path}[1]: expected a whole image file")
    for i in (0, 2, 3):
        np.testing.assert_array_equal(found[i][1], images[i])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_lies_beyond_a_tear_is_not_passed_over(tmp_path: Path) -> None:
    images = pictures(4)
    path = write_tiff(tmp_path / "a.tif", images)
    with tifffile.TiffFile(path) as file:
        end = file.pages[2].offset + 20
    path.write_bytes(path.read_bytes()[:end])
    found = read_all(path)
    assert [isinstance(pixels, str) for _, pixels in found] == [False, False, True]
    assert found[2][1].startswith(f"{path}[2]: ")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_damage_anywhere_gives_errors_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(image) for image in pictures(4)]
    path = tmp_path / f"a{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(40):
        content = bytearray(whole[: random.integers(8, len(whole))])
        content[random.integers(6, len(content))] ^= 255
        path.write_bytes(content)
        found = read_all(path)
        assert found
        assert all(text.startswith(str(path)) for _, text in found if isinstance(text, str))


def test_what_is_no_image_says_so_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"no image")
    ((number, text),) = read_all(tmp_path / "a.tif")
    assert number is None and "expected a whole image file" in text
    ((number, text),) = read_all(tmp_path / "gone.tif")
    assert number is None and text.endswith("expected an image file, found none: check the path")
