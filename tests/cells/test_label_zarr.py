"""The image with its labels as OME-Zarr: what zarr and ome-zarr read is what was found."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from cells.test_files import BrightBackend, run
from sparseinst.cells.files import CellFiles, Wanted
from sparseinst.cells.label_stack import LabelPlane, LabelStack
from sparseinst.cells.label_zarr import write_label_zarr
from sparseinst.data.sources import find_sources
from sparseinst.data.stacks.opening import open_stack
from sparseinst.data.stacks.stack import Place, View
from sparseinst.errors import InputError
from sparseinst.inference.prediction import predict_files
from sparseinst.inference.writers import label_image
from sparseinst.structures import Instances
from stack_files import write_ome

zarr = pytest.importorskip("zarr")
BOTH = Wanted(stack=True, zarr=True, stitch=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two channels, three planes; a square in two of them, another in the last."""
    array = np.zeros((2, 3, 70, 90), np.uint16)
    array[0, 0, 8:40, 8:40] = array[0, 1, 8:40, 16:48] = array[0, 2, 30:62, 50:82] = 4000
    array[1] = np.random.default_rng(0).integers(0, 60_000, array[1].shape)
    (tmp_path / "in").mkdir()
    return write_ome(tmp_path / "in/a.ome.tif", array, "CZYX", "DAPI", "GFP")


def pairs(image: np.ndarray) -> np.ndarray:
    """The average of two by two pixels, of an even number."""
    return (image[..., ::2, ::2] + image[..., 1::2, ::2] + image[..., ::2, 1::2] + image[..., 1::2, 1::2]) / 4


def test_image_and_labels_are_those_of_the_tiff_files(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    files = run(source, out, BOTH, View("DAPI"))
    assert out / "a.ome_labels.ome.zarr" in files.written
    group = zarr.open_group(str(out / "a.ome_labels.ome.zarr"), mode="r")
    np.testing.assert_array_equal(group["0"][0], tifffile.imread(source))
    labels = tifffile.imread(out / "a.ome_labels.ome.tif")
    np.testing.assert_array_equal(group["labels/0/0"][0], labels)
    assert group["labels"].attrs["labels"] == ["0"] and set(np.unique(labels)) == {0, 1, 2}
    for node, axes in ((group, "tczyx"), (group["labels/0"], "tzyx")):
        (scales,) = node.attrs["multiscales"]
        assert [axis["name"] for axis in scales["axes"]] == list(axes)
        units = {axis["name"]: axis.get("unit") for axis in scales["axes"]}
        assert units.pop("z") == units.pop("y") == units.pop("x") == "micrometer" and not any(units.values())
        assert scales["datasets"][0]["coordinateTransformations"][0]["scale"][-3:] == [2, 0.325, 0.325]
    assert [channel["label"] for channel in group.attrs["omero"]["channels"]] == ["DAPI", "GFP"]
    about = group["labels/0"].attrs["image-label"]
    assert about["source"] == {"image": "../../"}
    assert [(one["label-value"], one["class"]) for one in about["properties"]] == [(1, "red"), (2, "red")]


def test_it_is_opened_as_an_image_again_but_not_taken_from_a_folder(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "in", BOTH, View("DAPI"))
    run(source, tmp_path / "in", BOTH, View("DAPI"))  # in the place of the first
    assert find_sources(tmp_path / "in").images == [source]
    with open_stack(tmp_path / "in/a.ome_labels.ome.zarr") as stack, open_stack(source) as original:
        assert (stack.channels, stack.depth, stack.pixel) == (original.channels, 3, original.pixel)
        np.testing.assert_array_equal(stack.values(Place(0, 2), 1), original.values(Place(0, 2), 1))


def test_folders_of_others_stay(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "out/a.ome_labels.ome.zarr"
    zarr.open_group(str(other), mode="w", zarr_format=2).create_array("0", data=np.ones((2, 2)))
    with pytest.raises(InputError, match="move it away"):
        run(source, tmp_path / "out", BOTH, View("DAPI"))
    assert zarr.open_group(str(other), mode="r")["0"].shape == (2, 2)


def test_levels_and_tiles_of_larger_images(tmp_path: Path) -> None:
    height, width = 1100, 1500
    image = np.random.default_rng(1).integers(0, 65_000, (height, width)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image)
    mask = np.zeros((height, width), np.uint8)
    mask[500:530, 1000:1040] = 1
    from faster_coco_eval.core import mask as coco_mask

    code = coco_mask.encode(np.asfortranarray(mask))["counts"]
    found = Instances(np.ones(1, np.float32), np.zeros(1, np.int64), (code,), np.zeros(1, np.int64), mask.shape)
    labels = LabelStack(1, 1, [LabelPlane(Place(), found, np.array([70_000]))])
    with open_stack(tmp_path / "a.tif") as stack:
        write_label_zarr(tmp_path / "b.ome.zarr", stack, labels, None)
    group = zarr.open_group(str(tmp_path / "b.ome.zarr"), mode="r")
    assert [group[str(level)].shape[-2:] for level in range(3)] == [(1100, 1500), (550, 750), (275, 375)]
    np.testing.assert_allclose(group["1"][0, 0, 0], pairs(image.astype(float)), atol=0.5)
    expected = label_image(found).astype(np.int64) * 70_000
    for level in range(3):
        np.testing.assert_array_equal(group[f"labels/0/{level}"][0, 0], expected[:: 2**level, :: 2**level])
    moved = group.attrs["multiscales"][0]["datasets"][2]["coordinateTransformations"][1]["translation"]
    assert moved == [0, 0, 0, 1.5, 1.5]


def test_planes_that_cannot_be_read_are_empty(source: Path, tmp_path: Path) -> None:
    backend, seen = BrightBackend(), []
    with CellFiles(tmp_path / "out", backend.config.classes, BOTH._replace(measure=True)) as files:
        predict_files(source, model=backend, out=tmp_path / "out", view=View("DAPI"), on_image=seen.append)
        for result in (seen[0], seen[2]):  # as if the middle one had failed
            files.add(result)
    labels = tifffile.imread(tmp_path / "out/a.ome_labels.ome.tif")
    assert labels.shape == (3, 70, 90) and [int(plane.max()) for plane in labels] == [1, 0, 2]


@pytest.mark.parametrize("wanted", [BOTH, Wanted(zarr=True)])
def test_ome_zarr_reads_image_and_labels(source: Path, tmp_path: Path, wanted: Wanted) -> None:
    reader = pytest.importorskip("ome_zarr.reader")
    from ome_zarr.io import parse_url

    run(source, tmp_path / "out", wanted, View("DAPI"))
    image, _, labels = reader.Reader(parse_url(tmp_path / "out/a.ome_labels.ome.zarr"))()
    assert image.data[0].shape == (1, 2, 3, 70, 90) and labels.data[0].shape == (1, 3, 70, 90)
    assert int(labels.data[0].max()) == (2 if wanted.stitch else 1)
