"""Sizes of objects: estimated in a first pass, or stated in micrometres."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inference.test_scaling import backend, picture
from sparseinst import Predictor
from sparseinst.config.preprocess import NativeConfig, ShortSideConfig
from sparseinst.data.prepare import resize
from sparseinst.errors import InputError
from sparseinst.inference.scaling import at_pixel_size
from sparseinst.inference.sizing import estimated_diameter
from sparseinst.masks import rle
from sparseinst.structures import Instances


@pytest.fixture(scope="module")
def estimating() -> Predictor:
    return Predictor("nuclei", diameter="auto")


@pytest.fixture(scope="module")
def nuclei(shared: Path) -> np.ndarray:
    """An image of a few nuclei."""
    images = sorted((shared / "data/dsb2018/val").glob("*.png"))
    return next(pixels for pixels in map(_rgb, images) if pixels.shape == (256, 256, 3))


def _rgb(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_an_estimate_follows_the_size_of_the_image(estimating: Predictor, nuclei: np.ndarray, factor: float) -> None:
    own = estimating.pipeline.sized(nuclei)
    side = round(factor * 256)
    pixels = torch.from_numpy(nuclei.copy()).permute(2, 0, 1)
    rescaled = resize(pixels, (side, side)).permute(1, 2, 0).contiguous().numpy()
    found = estimating.pipeline.sized(rescaled)
    assert isinstance(own, NativeConfig) and isinstance(found, NativeConfig)
    assert found.scale * factor == pytest.approx(own.scale, rel=0.2)
    assert abs(len(estimating(rescaled)) - len(estimating(nuclei))) <= 2


def discs(diameter: float, number: int) -> Instances:
    """So many of them in an image of 400 x 400, sure."""
    y, x = np.mgrid[:400, :400]
    places = [(40 + 45 * (i % 8), 40 + 45 * (i // 8)) if number > 1 else (200, 200) for i in range(number)]
    masks = np.stack([(x - a) ** 2 + (y - b) ** 2 <= diameter**2 / 4 for a, b in places])
    scores = np.full(number, 0.9, np.float32)
    return Instances(scores, np.zeros(number, np.int64), rle.encode(masks), np.arange(number), (400, 400))


def test_one_false_giant_does_not_outweigh_many_nuclei() -> None:
    seen = {1.0: discs(18, 60), 0.5: discs(18, 30), 0.25: discs(320, 1)}
    preprocess = NativeConfig(diameter_px=19, largest_px=72)
    image = np.zeros((400, 400, 3), np.uint8)
    assert estimated_diameter(image, lambda _, at: seen[at.scale], preprocess) == pytest.approx(18, abs=0.5)
    seen[0.25] = discs(200, 1)  # as large as the trained ones would be at that scale
    assert estimated_diameter(image, lambda _, at: seen[at.scale], preprocess) == pytest.approx(200, abs=1)


def test_an_empty_image_keeps_the_networks_scale(estimating: Predictor) -> None:
    assert estimating.pipeline.sized(np.zeros((64, 64, 3), np.uint8)) == estimating.pipeline.preprocess
    assert len(estimating(np.zeros((64, 64), np.uint8))) == 0


def test_micrometres_bring_an_image_to_the_network() -> None:
    network = NativeConfig(scale=2.0, pixel_um=0.5)
    assert at_pixel_size(network, 0.25).scale == 1.0  # type: ignore[union-attr]
    assert at_pixel_size(network, None) is network
    for without in (NativeConfig(), ShortSideConfig()):
        assert at_pixel_size(without, 0.25) is without
    predictor = Predictor(backend(network))
    assert predictor.pipeline.sized(picture(40, 60), 0.25).scale == 1.0  # type: ignore[union-attr]
    given = Predictor(backend(network), scale=3)
    assert given.pipeline.sized(picture(40, 60), 0.25).scale == 3  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("network", "more", "said"),
    [
        (ShortSideConfig(), {}, "native scale"),
        (NativeConfig(), {}, "states the diameter"),
        (NativeConfig(diameter_px=9), {"scale": 2}, "leave one out"),
    ],
)
def test_what_cannot_be_estimated_is_said(network, more: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Predictor(backend(network), diameter="auto", **more)
