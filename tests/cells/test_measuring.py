"""Measurements, against skimage on label images and numpy on real nuclei."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sparseinst.cells.measuring import measure
from sparseinst.data.coco import CocoDataset
from sparseinst.errors import InputError
from sparseinst.inference.writers import label_image
from sparseinst.masks import rle
from sparseinst.structures import Instances
from stack_files import write_ome

measures = pytest.importorskip("skimage.measure")
pytest.importorskip("pandas")


def instances_of(masks: NDArray[np.bool_]) -> Instances:
    none = np.zeros(len(masks), np.int64)
    return Instances(np.linspace(0.5, 1, len(masks), dtype=np.float32), none, rle.encode(masks), none, masks.shape[1:])


@pytest.fixture(scope="module")
def nuclei(shared: Path) -> tuple[Instances, NDArray[np.uint8]]:
    """The annotated nuclei of an image, and its pixels."""
    root = shared / "data/dsb2018"
    dataset = CocoDataset.load(root / "val", root / "val.json")
    index = max(range(len(dataset)), key=lambda i: 20 < len(dataset.rles(i)) < 60)
    rles = tuple(dataset.rles(index))
    none = np.zeros(len(rles), np.int64)
    found = Instances(np.ones(len(rles), np.float32), none, rles, none, dataset.size_hw(index), classes=("nucleus",))
    return found, np.asarray(Image.open(dataset.path(index)).convert("L"))


def test_equals_skimage_on_the_label_image(nuclei: tuple[Instances, NDArray[np.uint8]]) -> None:
    instances, image = nuclei
    table = instances.measure(image, channels=["DAPI"], pixel=0.5)
    regions = measures.regionprops(label_image(instances), intensity_image=image)
    assert len(table) == len(regions) == len(instances) and set(table["class"]) == {"nucleus"}
    for row, region in zip(table.to_dict("records"), regions, strict=True):
        assert row["id"] == region.label and row["area"] == region.area
        assert (row["centroid_y"], row["centroid_x"]) == pytest.approx(region.centroid)
        for ours, theirs in (("perimeter", "perimeter"), ("major_axis", "axis_major_length"), ("solidity", "solidity")):
            assert row[ours] == pytest.approx(region[theirs])
        assert row["mean_DAPI"] == pytest.approx(region.intensity_mean) and row["max_DAPI"] == region.intensity_max
        assert row["sum_DAPI"] == pytest.approx(region.image_intensity.sum())
        assert row["area_um2"] == region.area / 4 and row["perimeter_um"] == pytest.approx(region.perimeter / 2)


def test_a_ring_leaves_other_objects_out() -> None:
    masks = np.zeros((2, 30, 40), bool)
    masks[0, 10:20, 10:20] = masks[1, 10:20, 22:30] = True
    image = np.where(masks[0], 100, np.where(masks[1], 200, 7)).astype(np.uint16)
    table = instances_of(masks).measure(image, ring_px=4)
    assert table["mean_0"].tolist() == [100, 200] and table["std_0"].tolist() == [0, 0]
    assert table["ring_mean_0"].tolist() == table["ring_max_0"].tolist() == [7, 7]
    assert table["ring_sum_0"].iloc[0] > 4 * 4 * 10 * 7 * 0.7


@pytest.mark.parametrize(("degrees", "along"), [(0, (0, 1)), (45, (-1, 1)), (-45, (1, 1)), (90, (1, 0))])
def test_orientation_is_counted_from_the_x_axis_anticlockwise(degrees: float, along: tuple[int, int]) -> None:
    mask = np.zeros((1, 61, 61), bool)
    for step in range(-20, 21):
        mask[0, 30 + step * along[0] - 1 : 32 + step * along[0], 30 + step * along[1] - 1 : 32 + step * along[1]] = True
    (found,) = instances_of(mask).measure(np.zeros((61, 61)))["orientation"]
    assert abs(found) == pytest.approx(90) if degrees == 90 else found == pytest.approx(degrees)


def test_overlapping_and_empty_masks_are_measured_whole() -> None:
    masks = np.zeros((3, 20, 20), bool)
    masks[0, 2:12, 2:12] = masks[1, 8:18, 8:18] = True
    table = instances_of(masks).measure(np.ones((20, 20, 2)), channels=["a", "b"])
    assert table["area"].tolist()[:2] == [100, 100] and table["sum_b"].tolist()[:2] == [100, 100]
    assert table.iloc[2][["area", "mean_a", "ring_mean_b"]].isna().all()
    assert len(instances_of(masks[:0]).measure(np.ones((20, 20)))) == 0


def test_a_file_gives_channels_and_sizes(tmp_path: Path) -> None:
    masks = np.zeros((1, 16, 16), bool)
    masks[0, 4:8, 4:8] = True
    array = np.stack([np.full((16, 16), 10, np.uint16), np.full((16, 16), 20, np.uint16)])
    path = write_ome(tmp_path / "a.ome.tif", array, "CYX", "DAPI", "GFP")
    (row,) = measure(instances_of(masks), path).to_dict("records")
    assert (row["mean_DAPI"], row["ring_mean_GFP"]) == (10, 20)
    assert row["area_um2"] == pytest.approx(16 * 0.325**2)
    assert json.dumps(row)


@pytest.mark.parametrize(
    ("image", "options", "said"),
    [
        (np.zeros((9, 9)), {}, "expected 20 x 20"),
        (np.zeros((20, 20, 2)), {"channels": ["a"]}, r"\(H, W, 1\)"),
        (np.zeros((20, 20)), {"ring_px": 0}, "at least 1"),
    ],
)
def test_what_does_not_fit_is_said(image: NDArray[np.float64], options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        instances_of(np.ones((1, 20, 20), bool)).measure(image, **options)
