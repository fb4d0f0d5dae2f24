"""The plugin for napari: labels of layers of any number of axes, and a manifest that napari takes."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import sparseinst.napari.widget as plugin
from inference.standins import ColorBackend
from sparseinst import Predictor
from sparseinst.errors import InputError


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(ColorBackend())


def planes(*left: int) -> np.ndarray:
    """(planes, 64, 64, 3) with a red square in each."""
    image = np.zeros((len(left), 64, 64, 3), np.uint8)
    for plane, start in zip(image, left, strict=True):
        plane[8:40, start : start + 32, 0] = 255
    return image


def test_a_picture_and_stacks_of_any_shape(predictor: Predictor) -> None:
    stack = planes(8, 12, 30, 8)
    one = plugin.label_layer(stack[0], predictor, colours=True)
    assert one.shape == (64, 64) and set(np.unique(one)) == {0, 1}
    labels = plugin.label_layer(stack.reshape(2, 2, 64, 64, 3), predictor, colours=True)
    assert labels.shape == (2, 2, 64, 64)
    np.testing.assert_array_equal(labels[0, 0], one)
    np.testing.assert_array_equal(labels[1, 1], one)


def test_stitched_planes_have_one_number(predictor: Predictor) -> None:
    labels = plugin.label_layer(planes(0, 4, 32), predictor, colours=True, stitch=True)
    assert [plane.max() for plane in labels] == [1, 1, 2]


def test_what_cannot_be_is_said(predictor: Predictor) -> None:
    with pytest.raises(InputError, match="and planes"):
        plugin.label_layer(planes(8)[0], predictor, colours=True, stitch=True)
    with pytest.raises(InputError, match="got both"):
        plugin.find_objects(planes(8)[0], estimate_diameter=True, diameter_px=9)


def test_the_manifest_names_what_is_there() -> None:
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_file(Path(plugin.__file__).with_name("napari.yaml"))
    for command in manifest.contributions.commands:
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(import_module(module), name))
    commands = [command.id for command in manifest.contributions.commands]
    assert [widget.command for widget in manifest.contributions.widgets] == commands
