from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from inference.standins import ActiveBackend, ColorBackend
from maps import dense
from sparseinst.data.prepare import stack
from sparseinst.drawing.activation_sheet import draw_activation
from sparseinst.errors import InputError
from sparseinst.inference.outcome import ImageResult
from sparseinst.inference.prediction import predict_files
from sparseinst.inference.predictor import Predictor
from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.runtime.torch_backend import TorchBackend
from tiny import tiny_config


def picture(height: int, width: int, *boxes: tuple[int, int, int, int, int]) -> NDArray[np.uint8]:
    """Black with coloured boxes (channel, x0, y0, x1, y1)."""
    image = np.zeros((height, width, 3), np.uint8)
    for channel, x0, y0, x1, y1 in boxes:
        image[y0:y1, x0:x1, channel] = 255
    return image


@pytest.fixture(params=["sigmoid", "softmax"])
def network(request: pytest.FixtureRequest) -> SparseInst:
    torch.manual_seed(0)
    return build_model(tiny_config(activation=request.param)).eval()


@pytest.mark.parametrize("size", [(64, 64), (50, 117), (240, 150)])
def test_maps_lie_over_the_objects_of_any_image(size: tuple[int, int]) -> None:
    height, width = size
    image = picture(
        height, width, (0, width // 2, height // 2, width, height), (2, 0, 0, width // 3, height // 3)
    )  # fmt: skip
    instances, maps = Predictor(ActiveBackend()).explain(image)
    assert instances.labels.tolist() == [0, 2] and len(maps) == 2
    for i, mask in enumerate(instances.masks):
        (own,) = maps.upsampled(i)
        assert own.shape == size
        assert own[mask].mean() > 0.7 and own[~mask].mean() < 0.2
        assert mask[np.unravel_index(own.argmax(), size)]


def test_slots_lead_to_the_maps_of_the_network(network: SparseInst) -> None:
    image = np.random.default_rng(0).integers(0, 255, (50, 90, 3), np.uint8)
    predictor = Predictor(network, score=0)
    instances, maps = predictor.explain(image)
    plain = predictor(image)
    assert len(instances) > 1 and maps.groups == 2
    assert (instances.rles, instances.slots.tolist()) == (plain.rles, plain.slots.tolist())
    logits = TorchBackend(network, activation=True)(*stack([predictor.pipeline.prepare(image)])).activation
    assert logits is not None and logits.shape[1] == 12
    values = dense(maps, logits.shape[-2:])
    for i, slot in enumerate(instances.slots):
        for group in range(2):
            own = logits[0, group * 6 + slot]
            expected = own.sigmoid()
            if network.config.decoder.activation == "softmax":
                expected = own.flatten().softmax(0).view_as(own)
            np.testing.assert_allclose(values[i, group], expected.numpy(), rtol=1e-4, atol=1e-6)


def test_a_list_gives_a_list_whatever_the_frames_and_batches(network: SparseInst) -> None:
    images = [np.random.default_rng(i).integers(0, 255, (64 - 40 * (i % 2), 64, 3), np.uint8) for i in range(5)]
    alone = [Predictor(network, score=0).explain(image) for image in images]
    together = Predictor(network, score=0, batch=2).explain(images)
    assert len({maps.size_hw for _, maps in together}) == 2
    for (instances, maps), (other, others), image in zip(alone, together, images, strict=True):
        assert instances.slots.tolist() == other.slots.tolist()
        assert others.size_hw == image.shape[:2]
        np.testing.assert_allclose(dense(maps, (16, 16)), dense(others, (16, 16)), atol=1e-4)
    assert Predictor(network).explain([]) == []


def test_half_gives_maps_in_full(network: SparseInst) -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    instances, maps = Predictor(network, score=0, half=True).explain(image)
    assert {crop.dtype for crop in maps.crops} == {np.dtype(np.float32)} and len(maps) == len(instances) > 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = {
        "a.png": picture(64, 96, (0, 8, 8, 40, 40), (1, 50, 8, 90, 50)),
        "a_iam.png": picture(96, 64, (2, 8, 8, 40, 40)),
        "b.jpg": picture(64, 64),
    }
    (tmp_path / "in").mkdir()
    for name, image in images.items():
        Image.fromarray(image).save(tmp_path / "in" / name)
    return tmp_path / "in"


@pytest.mark.parametrize("batch", [1, 3])
def test_every_image_gets_a_sheet(folder: Path, tmp_path: Path, batch: int) -> None:
    backend, seen = ActiveBackend(), []
    predict_files(folder, model=backend, out=tmp_path / "out", iam=True, batch=batch, on_image=seen.append)
    predictor = Predictor(backend)
    assert len({result.iam for result in seen}) == 3
    for result in seen:
        image = predictor.pipeline.read(result.path)
        expected = draw_activation(image, *predictor.explain(image), predictor.classes)
        np.testing.assert_array_equal(cv2.imread(str(result.iam))[..., ::-1], expected)
        assert result.iam.name.endswith("_iam.png") and result.overlay.is_file()
    assert [len(result.instances) for result in seen] == [2, 1, 0]


def test_only_the_classes_asked_for_are_drawn(folder: Path, tmp_path: Path) -> None:
    seen: list[ImageResult] = []
    predict_files(
        folder / "a.png", model=ActiveBackend(), out=tmp_path, iam=True, classes=["grün"], on_image=seen.append
    )
    predictor = Predictor(ActiveBackend())
    instances, maps = predictor.explain(folder / "a.png")
    assert instances.labels.tolist() == [0, 1]
    expected = draw_activation(predictor.pipeline.read(folder / "a.png"), instances[[1]], maps[[1]], predictor.classes)
    np.testing.assert_array_equal(cv2.imread(str(seen[0].iam))[..., ::-1], expected)


def test_nothing_meets_an_input_or_another_output(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    seen: list[ImageResult] = []
    predict_files(folder, model=ActiveBackend(), out=folder, iam=True, on_image=seen.append)
    assert {path: path.read_bytes() for path in before} == before
    assert {path for result in seen for path in (result.iam, result.overlay)}.isdisjoint(before)


def test_sheets_are_drawn_only_when_asked_for(folder: Path, tmp_path: Path) -> None:
    seen: list[ImageResult] = []
    predict_files(folder, model=ActiveBackend(), out=tmp_path / "out", on_image=seen.append)
    assert [result.iam for result in seen] == [None] * 3
    assert not list((tmp_path / "out").glob("*_iam.png"))


def test_a_backend_without_maps_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"activation maps, got ColorBackend.*export it with"):
        Predictor(ColorBackend()).explain(folder / "a.png")
    with pytest.raises(InputError, match="activation maps"):
        predict_files(folder, model=ColorBackend(), out=tmp_path / "out", iam=True)
    assert not list((tmp_path / "out").iterdir())
    with pytest.raises(InputError, match="give out"):
        predict_files(folder, model=ActiveBackend(), iam=True)
