"""Objects of another size than those trained on: the scale of a network at native scale."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.standins import ColorBackend
from sparseinst.config.preprocess import NativeConfig, PreprocessConfig, ShortSideConfig
from sparseinst.errors import InputError
from sparseinst.inference.predictor import Predictor
from sparseinst.inference.scaling import at_scale

positive = st.floats(0.01, 100)


def backend(preprocess: PreprocessConfig) -> ColorBackend:
    made = ColorBackend(frame=preprocess.frame_hw)
    made.config = made.config.model_copy(update={"preprocess": preprocess})
    return made


def picture(height: int, width: int) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    image[height // 4 : height // 2, width // 4 : width // 2, 0] = 255
    return image


@given(positive, positive, positive)
def test_a_diameter_brings_objects_to_the_size_trained_on(scale: float, trained: float, given_px: float) -> None:
    network = NativeConfig(scale=scale, diameter_px=trained)
    found = at_scale(network, diameter=given_px)
    assert isinstance(found, NativeConfig)
    assert found.scale * given_px == pytest.approx(scale * trained)
    assert at_scale(network, diameter=trained).scale == pytest.approx(scale)
    assert at_scale(network, scale=given_px) == network.model_copy(update={"scale": given_px})
    assert at_scale(network) is network


@pytest.mark.parametrize(
    ("network", "asked", "said"),
    [
        (NativeConfig(diameter_px=9), {"scale": 1, "diameter": 9}, "leave one out"),
        (NativeConfig(), {"diameter": 9}, "states none: give scale"),
        (NativeConfig(), {"scale": 0}, "scale: expected .* above 0, got 0"),
        (NativeConfig(diameter_px=9), {"diameter": float("nan")}, "diameter: expected .* got nan"),
        (ShortSideConfig(), {"scale": 2}, "640 px on the short side.*leave scale out"),
        (ShortSideConfig(), {"diameter": 2}, "leave diameter out"),
    ],
)
def test_what_cannot_be_scaled_is_said(network: PreprocessConfig, asked: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Predictor(backend(network), **asked)


@pytest.mark.parametrize(
    ("asked", "frame"), [({}, (64, 96)), ({"scale": 2}, (96, 160)), ({"diameter": 20.0}, (32, 64))]
)
def test_the_network_sees_images_at_the_scale_asked_for(asked: dict[str, float], frame: tuple[int, int]) -> None:
    network = backend(NativeConfig(diameter_px=10))
    found = Predictor(network, **asked)(picture(48, 80))
    assert network.calls == [(1, 3, *frame)]
    assert np.abs(found.boxes[0] - (20, 12, 40, 24)).max() <= 4
    assert found.size_hw == (48, 80)


def test_a_fixed_frame_shrinks_what_it_cannot_hold_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    network = backend(NativeConfig(frame_hw=(64, 96)))
    predictor = Predictor(network, scale=2, tile=0)
    with caplog.at_level(logging.WARNING, "sparseinst"):
        predictor(picture(30, 40))
        assert not caplog.records
        predictor([picture(48, 80), picture(49, 80)])
    assert [record.getMessage() for record in caplog.records] == [
        "an image of 48 x 80 at a scale of 2 does not fit the fixed frame of 64 x 96: it is shrunk to fit, and its "
        "objects seem smaller than asked for; cut it with tile 32, or take the network without a fixed frame"
    ]
    assert set(network.calls) == {(1, 3, 64, 96)}
