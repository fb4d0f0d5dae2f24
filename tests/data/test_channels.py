"""Images of several channels: whatever axis of whatever file holds them, all come to the network."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from pydantic import ValidationError

from sparseinst.config.preprocess import IntensityConfig, NativeConfig, ShortSideConfig
from sparseinst.data.channels import read_all_channels, read_picture, read_pixels, shown, shown_as, to_pixels
from sparseinst.data.formats.content import image_hw
from sparseinst.data.photometric import Color, Photometric
from sparseinst.data.stacks.channels import channels_in
from sparseinst.errors import InputError
from stack_files import write_ome

FIVE = ShortSideConfig(channels=5)
BYTES = np.random.default_rng(0).integers(0, 256, (24, 32, 5), dtype=np.uint8)
PLANES = np.ascontiguousarray(np.moveaxis(BYTES, 2, 0))


def write(path: Path, kind: str) -> Path:
    """The same image of five channels, as programs write it."""
    plain = {"photometric": "minisblack"}
    if kind in ("last.npy", "first.npy"):
        np.save(path / kind, BYTES if kind == "last.npy" else PLANES)
    elif kind == "ome.tif":
        write_ome(path / kind, PLANES, "CYX", *"ABCDE")
    elif kind == "imagej.tif":
        tifffile.imwrite(path / kind, PLANES, imagej=True, metadata={"axes": "CYX"})
    elif kind == "interleaved.tif":
        tifffile.imwrite(path / kind, BYTES, planarconfig="contig", metadata=None, **plain)
    elif kind == "separate.tif":
        tifffile.imwrite(path / kind, PLANES, planarconfig="separate", metadata=None, **plain)
    elif kind == "pages.tif":
        tifffile.imwrite(path / kind, PLANES, **plain)
    elif kind == "thin_pages.tif":  # what tifffile makes of (H, W, 5)
        tifffile.imwrite(path / kind, BYTES)
    elif kind == "slices.tif":
        tifffile.imwrite(path / kind, PLANES, imagej=True, metadata={"axes": "ZYX"})
    else:
        zarr = pytest.importorskip("zarr")
        zarr.save_array(str(path / kind), PLANES if kind == "first.zarr" else BYTES)
    return path / kind


SURE = ["last.npy", "first.npy", "ome.tif", "imagej.tif", "interleaved.tif", "separate.tif", "first.zarr", "last.zarr"]
UNTOLD = ["pages.tif", "thin_pages.tif"]


@pytest.mark.parametrize("kind", [*SURE, *UNTOLD, "slices.tif"])
def test_all_channels_of_any_file(tmp_path, kind):
    path = write(tmp_path, kind)
    np.testing.assert_array_equal(read_pixels(path, FIVE), BYTES)
    (image,) = (placed.page.read() for placed in read_all_channels(path, FIVE))
    np.testing.assert_array_equal(image, BYTES)
    with pytest.raises(InputError, match=r"4 channels|got 5|got shape"):
        read_pixels(path, ShortSideConfig(channels=4))


@pytest.mark.parametrize("kind", [*SURE, *UNTOLD])
def test_what_a_file_holds_is_seen_without_being_told(tmp_path, kind):
    path = write(tmp_path, kind)
    found = channels_in(path, pages=True)
    assert found is not None and len(found) == 5
    assert (channels_in(path) is None) == (kind in UNTOLD)
    assert image_hw(path) == (24, 32)
    np.testing.assert_array_equal(read_picture(path), BYTES[:, :, :3])


@pytest.mark.parametrize("kind", SURE)
def test_a_network_of_colours_refuses_other_channels(tmp_path, kind):
    path = write(tmp_path, kind)
    with pytest.raises(InputError, match=r"grey or in colours.*got 5 channels .*preprocess.channels=5"):
        read_pixels(path, ShortSideConfig())


def test_three_channels_that_are_no_colours_are_not_read_as_one(tmp_path):
    path = write_ome(tmp_path / "a.ome.tif", PLANES[:3], "CYX", "DAPI", "GFP", "Cy5")
    with pytest.raises(InputError, match=r"got 3 channels \(DAPI, GFP, Cy5\): save the three as one picture"):
        read_pixels(path, ShortSideConfig())


def test_colours_stay_colours(tmp_path):
    for name, options in {"a.tif": {}, "b.png": {}}.items():
        Image.fromarray(BYTES[:, :, :3]).save(tmp_path / name, **options)
    np.save(tmp_path / "c.npy", BYTES[:, :, :3])
    tifffile.imwrite(tmp_path / "d.tif", BYTES[:, :, :4], photometric="rgb", extrasamples=["unassalpha"])
    for path in sorted(tmp_path.iterdir()):
        assert channels_in(path) is None
        np.testing.assert_array_equal(read_pixels(path, ShortSideConfig()), BYTES[:, :, :3])


def test_four_channels_of_a_picture_with_alpha_and_of_a_band_beside_colours(tmp_path):
    four = ShortSideConfig(channels=4)
    Image.fromarray(BYTES[:, :, :4]).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", BYTES[:, :, :4], photometric="rgb", extrasamples=["unspecified"])
    for name in ("a.png", "b.tif"):
        np.testing.assert_array_equal(read_pixels(tmp_path / name, four), BYTES[:, :, :4])
    assert channels_in(tmp_path / "a.png") is None  # taken for colours where nobody says otherwise
    assert len(channels_in(tmp_path / "b.tif") or ()) == 4


def test_each_plane_and_time_point_of_a_stack_is_an_image(tmp_path):
    values = np.random.default_rng(1).integers(0, 256, (2, 3, 5, 24, 32), dtype=np.uint8)
    path = write_ome(tmp_path / "a.ome.tif", values, "TZCYX")
    seen = [(placed.place, placed.page.read()) for placed in read_all_channels(path, FIVE)]
    assert [place for place, _ in seen] == [(t, z) for t in range(2) for z in range(3)]
    np.testing.assert_array_equal(seen[4][1], np.moveaxis(values[1, 1], 0, 2))
    with pytest.raises(InputError, match=r"2 time points and 3 planes: save each as an image"):
        read_pixels(path, FIVE)


def test_deep_channels_are_stretched_each_by_its_own_values():
    deep = np.random.default_rng(2).integers(0, 1000, (24, 32, 2), dtype=np.uint16)
    deep[:, :, 1] *= 40
    config = ShortSideConfig(channels=2, intensity=IntensityConfig(low=0, high=100))
    seen = to_pixels(deep, config)
    assert seen[:, :, 0].max() == seen[:, :, 1].max() == 255
    fixed = ShortSideConfig(channels=2, intensity=IntensityConfig(mode="range", low=0, high=40_000))
    assert to_pixels(deep, fixed)[:, :, 0].max() < 8 < to_pixels(deep, fixed)[:, :, 1].max()
    with pytest.raises(InputError, match=r"expected an image \(H, W, 2\).*got shape \(24, 32\)"):
        to_pixels(deep[:, :, 0], config)


def test_an_array_that_needs_a_pickle_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"masks": 1}], object), allow_pickle=True)
    with pytest.raises(InputError, match="expected an array of numbers"):
        read_pixels(tmp_path / "a.npy", FIVE)


def test_what_is_shown():
    assert shown(BYTES[:, :, :2]).shape == (24, 32, 3)
    np.testing.assert_array_equal(shown(BYTES[:, :, :2])[:, :, 2], BYTES[:, :, 0])
    np.testing.assert_array_equal(shown(BYTES), BYTES[:, :, :3])
    assert shown_as(3) is None and shown_as(2) and shown_as(5)


def test_settings_have_a_mean_for_each_channel():
    assert NativeConfig().mean == (123.675, 116.28, 103.53)
    config = NativeConfig(channels=5, std=(1, 2, 3))
    assert config.mean == pytest.approx([114.495] * 5) and config.std == (2,) * 5
    assert NativeConfig(channels=2, mean=(1, 2)).mean == (1, 2)
    assert NativeConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(ValidationError, match="a value for each of the 5 channels, got 2"):
        NativeConfig(channels=5, mean=(1, 2))
    for channels in (1, 17):
        with pytest.raises(ValidationError):
            NativeConfig(channels=channels)


@pytest.mark.parametrize("channels", [2, 5])
def test_augmentation_keeps_the_channels_apart(channels):
    image = torch.from_numpy(PLANES[:channels].copy())
    torch.manual_seed(0)
    coloured = Color(0.5, channels)(image)
    assert coloured.shape == image.shape and coloured.dtype == torch.uint8
    # each channel is an increasing curve of itself, and not that of its neighbour
    curves = [torch.stack([coloured[c][image[c] == value].float().mean() for value in (40, 200)]) for c in range(2)]
    assert all(dark < bright for dark, bright in curves) and not torch.equal(*curves)
    seen = {tuple(Photometric(1.0)(image).shape) for _ in range(30)}
    assert seen == {tuple(image.shape)}
