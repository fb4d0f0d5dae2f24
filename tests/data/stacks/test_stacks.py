"""Image files by their axes: what is read is what was written, whoever wrote it."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.formats.labels import read_labels
from sparseinst.data.physical import PixelSize
from sparseinst.data.stacks.channels import open_channels
from sparseinst.data.stacks.opening import open_stack, pixel_size_of
from sparseinst.data.stacks.pages import read_places
from sparseinst.data.stacks.stack import Place, View
from sparseinst.errors import InputError
from stack_files import values, write_ome

WHOLE = IntensityConfig(mode="range", low=0, high=65535)


@pytest.mark.parametrize("axes", ["TZCYX", "ZTCYX", "CZTYX", "TCYX", "ZYX", "CYX", "YX"])
def test_ome_tiff_of_any_order(tmp_path: Path, axes: str) -> None:
    sizes = {"T": 2, "Z": 3, "C": 2, "Y": 8, "X": 9}
    array = values(*(sizes[axis] for axis in axes))
    path = write_ome(tmp_path / "a.ome.tif", array, axes)
    with open_stack(path) as stack:
        assert (stack.times, stack.depth) == (sizes["T"] if "T" in axes else 1, sizes["Z"] if "Z" in axes else 1)
        assert len(stack.channels) == (2 if "C" in axes else 1)
        for place in stack.places(View()):
            for channel in range(len(stack.channels)):
                at = {"T": place.time, "Z": place.plane, "C": channel}
                expected = array[tuple(at.get(axis, slice(None)) for axis in axes)]
                np.testing.assert_array_equal(stack.values(place, channel), expected)
                np.testing.assert_array_equal(stack.all_values(place)[channel], expected)
        assert stack.pixel is not None and stack.pixel[:2] == (0.325, 0.325)


def test_channels_by_name_and_number(tmp_path: Path) -> None:
    array = values(2, 3, 8, 9)
    path = write_ome(tmp_path / "a.ome.tif", array, "CZYX", "DAPI", "GFP 488")
    with open_stack(path) as stack:
        assert stack.channels == ("DAPI", "GFP 488") and stack.named() == "0 DAPI, 1 GFP 488"
        for name in ("GFP 488", "gfp 488", "1"):
            np.testing.assert_array_equal(stack.picture(Place(0, 2), View(name)), array[1, 2])
        with pytest.raises(InputError, match=r"0 DAPI, 1 GFP 488, got 'Cy5'"):
            stack.picture(Place(), View("Cy5"))
        with pytest.raises(InputError, match=r"there are 2 .* give --channel"):
            stack.picture(Place(), View())


def test_a_projection_is_the_brightest_of_all_planes(tmp_path: Path) -> None:
    array = values(2, 3, 8, 9)
    path = write_ome(tmp_path / "a.ome.tif", array, "TZYX")
    for time, placed in enumerate(read_places(path, WHOLE, View(project="max"))):
        assert placed.place == Place(time, None) and placed.page.number == time and placed.page.pages == 2
        expected = np.rint(array[time].max(0) * (255 / 65535))
        np.testing.assert_allclose(placed.page.read()[:, :, 0], expected, atol=1)


def test_what_imagej_writes(tmp_path: Path) -> None:
    array = values(2, 3, 2, 8, 9)
    metadata = {"axes": "TZCYX", "unit": "micron", "spacing": 1.5}
    tifffile.imwrite(tmp_path / "a.tif", array, imagej=True, resolution=(2.0, 4.0), metadata=metadata)
    with open_stack(tmp_path / "a.tif") as stack:
        assert (stack.times, stack.depth, stack.channels) == (2, 3, ("0", "1"))
        np.testing.assert_array_equal(stack.values(Place(1, 2), 1), array[1, 2, 1])
        assert stack.pixel == PixelSize(0.25, 0.5, 1.5)


def test_planes_in_one_page_and_planes_without_a_name(tmp_path: Path) -> None:
    array = values(4, 8, 9)
    tifffile.imwrite(
        tmp_path / "volume.tif",
        array,
        volumetric=True,
        tile=(16, 16, 16),
        photometric="minisblack",
        metadata={"axes": "ZYX"},
    )
    tifffile.imwrite(tmp_path / "plain.tif", array, metadata=None, photometric="minisblack")
    tifffile.imwrite(tmp_path / "shaped.tif", array, photometric="minisblack")
    for name in ("volume", "plain", "shaped"):
        with open_stack(tmp_path / f"{name}.tif") as stack:
            assert (stack.times, stack.depth) == (1, 4), name
            np.testing.assert_array_equal(stack.values(Place(0, 3), 0), array[3])


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.ome.tif"])
def test_colours_are_one_picture_of_three_channels(tmp_path: Path, name: str) -> None:
    array = (values(8, 9, 3) % 256).astype(np.uint8)
    if name == "a.ome.tif":
        write_ome(tmp_path / name, array, "YXS")
    else:
        Image.fromarray(array).save(tmp_path / name)
    (placed,) = read_places(tmp_path / name, WHOLE, View())
    with open_stack(tmp_path / name) as stack:
        np.testing.assert_array_equal(stack.picture(Place(), View()), array)
        np.testing.assert_array_equal(stack.picture(Place(), View("green")), array[:, :, 1])
    assert placed.page.number is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"resolution": (20_000.0, 10_000.0), "resolutionunit": "CENTIMETER"}, PixelSize(1.0, 0.5)),
        ({"resolution": (300.0, 300.0), "resolutionunit": "INCH"}, None),
        ({"resolution": (2.0, 2.0), "resolutionunit": "NONE"}, None),
        ({}, None),
    ],
)
def test_resolution_tags(tmp_path: Path, options: dict[str, object], expected: PixelSize | None) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values(8, 9), metadata=None, **options)
    assert pixel_size_of(tmp_path / "a.tif") == expected


def test_ome_zarr(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    array = values(2, 2, 3, 8, 9)
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.create_array("0", data=array, chunks=(1, 1, 1, 8, 9))
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    scales = [{"type": "scale", "scale": [1, 1, 2000, 325, 325]}]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scales}]}]
    group.attrs["omero"] = {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}
    with open_stack(tmp_path / "a.zarr") as stack:
        assert (stack.times, stack.depth, stack.channels) == (2, 3, ("DAPI", "GFP"))
        assert stack.pixel == PixelSize(0.325, 0.325, 2.0)
        np.testing.assert_array_equal(stack.values(Place(1, 2), 1), array[1, 1, 2])
        assert stack.part(Place(1, 2), View("GFP")) == {"t": 1, "z": 2, "c": 1}


def test_damaged_files_are_told(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", values(4, 8, 9), "ZYX")
    (tmp_path / "torn.ome.tif").write_bytes(path.read_bytes()[:40])
    (tmp_path / "no.png").write_text("no")
    for name, said in (("torn.ome.tif", "whole"), ("no.png", "image file"), ("absent.tif", "found none")):
        (placed,) = read_places(tmp_path / name, WHOLE, View())
        with pytest.raises(InputError, match=said):
            placed.page.read()


def test_sizes_that_no_file_can_hold_are_refused_at_once(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    for name, axes, shape in (("channels", "cyx", (2**24, 8, 8)), ("planes", "tzyx", (2**12, 2**12, 8, 8))):
        group = zarr.open_group(tmp_path / f"{name}.zarr", mode="w")
        group.create_array("0", shape=shape, dtype="u1", chunks=(1,) * (len(shape) - 2) + (8, 8))
        group.attrs["multiscales"] = [{"axes": [{"name": axis} for axis in axes], "datasets": [{"path": "0"}]}]
        (placed,) = read_places(tmp_path / f"{name}.zarr", WHOLE, View())
        with pytest.raises(InputError, match=rf"{name}\.zarr: expected at most .* {name.rstrip('s')}"):
            placed.page.read()


@pytest.mark.parametrize("kind", ["uint16", "uint8"])
def test_a_page_with_fewer_strips_than_its_size_needs_is_damaged(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values(4, 37, 52).astype(kind), photometric="rgb", planarconfig="separate")
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags[257].overwrite(300_000)
    (placed,) = read_places(path, WHOLE, View())
    with pytest.raises(InputError, match=r"a\.tif.*strips for an image of"):
        placed.page.read()
    with pytest.raises(InputError, match=r"a\.tif.*strips for an image of"):
        read_labels(path)


def test_pages_that_follow_themselves_come_to_an_end(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values(2, 8, 9), photometric="minisblack", metadata=None)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        places = [page.offset for page in file.pages]
    count = int.from_bytes(content[places[1] : places[1] + 2], "little")
    after = places[1] + 2 + 12 * count
    content[after : after + 4] = places[1].to_bytes(4, "little")
    path.write_bytes(content)
    with open_channels(path, 2) as stack:
        assert stack.values(Place(), 0).shape == (8, 9)
