"""The plugin in napari's own viewer: what its forms do to layers. Needs napari and a screen (`xvfb-run` is one)."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sparseinst import Predictor
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.inference.writers import label_image
from sparseinst.zoo.names import DEMO_IMAGE

napari = pytest.importorskip("napari")
if sys.platform == "linux" and not os.environ.get("DISPLAY"):
    pytest.skip("napari draws with OpenGL, which needs a screen: xvfb-run pytest tests/napari", allow_module_level=True)

UM = (0.5, 0.5)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    with Image.open(DEMO_IMAGE) as image:
        return np.asarray(image.convert("L"))


@pytest.fixture
def viewer() -> Iterator[Any]:
    opened = napari.Viewer(show=False)
    yield opened
    opened.close()


def form(viewer: Any, name: str) -> Any:
    return viewer.window.add_plugin_dock_widget("sparseinst", name)[1]


def found(viewer: Any, picture: np.ndarray, **options: Any) -> tuple[Any, Any]:
    """The image layer, and the labels that the form finds in it."""
    image = viewer.add_image(picture, name="cells", scale=(1,) * (picture.ndim - 2) + UM, units="um")
    finder = form(viewer, "Find objects")
    finder(image=image, **options)
    return image, viewer.layers["cells objects"]


def test_labels_lie_on_their_image_and_are_those_of_the_predictor(viewer: Any, picture: np.ndarray) -> None:
    image, labels = found(viewer, picture)
    np.testing.assert_array_equal(labels.data, label_image(Predictor("nuclei")(picture)))
    assert labels.extent.world.tolist() == image.extent.world.tolist() and tuple(labels.scale) == UM


def test_stacks_are_stitched_and_tiles_taken(viewer: Any, picture: np.ndarray) -> None:
    stack = np.stack([picture, np.roll(picture, 2, 1)])
    _, labels = found(viewer, stack, stitch_planes=True, tile_px=160)
    first, second = (np.unique(plane)[1:] for plane in labels.data)
    assert labels.data.shape == stack.shape and len(second) > 5
    assert np.isin(second, first).mean() > 0.8


def test_labels_are_measured(viewer: Any, picture: np.ndarray, tmp_path: Path) -> None:
    image, labels = found(viewer, picture)
    labels.data[labels.data == 1] = 0  # corrected by hand
    form(viewer, "Measure objects")(image=image, labels=labels, save_csv=tmp_path / "cells.csv")
    table = labels.features.set_index("index")
    instances = Predictor("nuclei")(picture)
    expected = instances.measure(picture, channels=["cells"], pixel=0.5)
    assert 1 not in table.index and len(table) == len(instances) - 1
    alone = [i for i in table.index if table["area"][i] == instances.areas[i - 1]]
    assert len(alone) > 0.9 * len(table)
    for column in ("mean_cells", "area_um2", "solidity"):
        np.testing.assert_allclose(table[column][alone], expected[column].iloc[[i - 1 for i in alone]], rtol=1e-6)
    assert len((tmp_path / "cells.csv").read_text().splitlines()) == len(table) + 1


def test_the_map_of_the_selected_object_is_shown_over_it(viewer: Any, picture: np.ndarray) -> None:
    image, labels = found(viewer, np.stack([np.zeros_like(picture), picture]))
    viewer.dims.set_current_step(0, 1)
    labels.selected_label = int(np.argmax(np.bincount(labels.data[1].ravel())[1:])) + 1
    form(viewer, "Show activation map")(image=image, labels=labels)
    heat = viewer.layers[f"activation of {labels.selected_label}"]
    assert heat.data.shape == picture.shape and tuple(heat.scale) == UM
    y, x = np.unravel_index(np.argmax(heat.data), heat.data.shape)
    assert labels.data[1][y, x] == labels.selected_label


def test_corrections_are_annotations_to_train_on(viewer: Any, picture: np.ndarray, tmp_path: Path) -> None:
    image, labels = found(viewer, picture)
    for _ in range(2):  # the second time in place of the first
        labels.data[labels.data == labels.data.max()] = 0
        form(viewer, "Save annotations")(image=image, labels=labels, folder=tmp_path)
    split = resolve_data(tmp_path).train
    dataset = CocoDataset.of(split)
    assert dataset.classes == ("nucleus",) and len(dataset) == 1
    assert len(dataset.rles(0)) == len(np.unique(labels.data)) - 1


def test_what_cannot_be_is_told(viewer: Any, picture: np.ndarray, tmp_path: Path) -> None:
    image = viewer.add_image(picture, name="cells")
    other = viewer.add_labels(np.zeros((8, 8), int), name="others")
    for name, options in (
        ("Measure objects", {}), ("Show activation map", {}), ("Save annotations", {"folder": tmp_path}),
    ):  # fmt: skip
        with pytest.raises(Exception, match="choose its labels"):
            form(viewer, name)(image=image, labels=other, **options)
