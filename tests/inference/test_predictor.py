import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from inference.standins import CLASSES, ColorBackend
from sparseinst.config.model import ModelConfig
from sparseinst.config.network import BackboneConfig, EncoderConfig, SlotsConfig
from sparseinst.config.preprocess import ShortSideConfig
from sparseinst.errors import InputError
from sparseinst.inference.predictor import Predictor
from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.runtime.backends import Backend, open_backend
from sparseinst.runtime.devices import resolve_device
from sparseinst.runtime.torch_backend import EagerBackend, TorchBackend
from sparseinst.zoo.checkpoint import save_checkpoint


def canvas(height: int, width: int, *boxes: tuple[int, int, int, int, int], value: int = 255) -> NDArray[np.uint8]:
    """Black with coloured boxes (channel, x0, y0, x1, y1)."""
    image = np.zeros((height, width, 3), np.uint8)
    for channel, x0, y0, x1, y1 in boxes:
        image[y0:y1, x0:x1, channel] = value
    return image


@pytest.fixture(scope="module")
def tiny() -> SparseInst:
    torch.manual_seed(0)
    config = ModelConfig(
        classes=("a", "b"),
        preprocess=ShortSideConfig(short_px=64, long_px=96),
        backbone=BackboneConfig(name="test_resnet"),
        encoder=EncoderConfig(channels=16),
        decoder=SlotsConfig(slots=6, channels=16, convs=1, kernel_channels=8),
    )
    return build_model(config).eval()


@pytest.mark.parametrize("size", [(64, 64), (50, 117), (240, 150)])
def test_masks_come_back_at_the_original_place_and_size(size: tuple[int, int]) -> None:
    height, width = size
    box = (1, width // 4, height // 4, width // 2, 3 * height // 4)
    image = canvas(height, width, box)
    found = Predictor(ColorBackend())(image)
    assert found.size_hw == size
    assert found.labels.tolist() == [1] and found.slots.tolist() == [1]
    mask, truth = found.masks[0], image[..., 1] > 0
    assert (mask & truth).sum() / (mask | truth).sum() > 0.75
    assert np.abs(found.boxes[0] - box[1:]).max() <= 4 * max(1, min(size) / 64)


def test_one_image_gives_instances_and_a_list_gives_a_list() -> None:
    predictor = Predictor(ColorBackend())
    image = canvas(64, 64, (0, 10, 10, 40, 40))
    assert len(predictor(image)) == 1
    assert [len(found) for found in predictor([image])] == [1]
    assert [len(found) for found in predictor((image, image))] == [1, 1]
    assert predictor([]) == []


def test_order_is_kept_when_frames_are_grouped() -> None:
    backend = ColorBackend()
    wide = [canvas(64, 120, (channel, 8, 8, 56, 56)) for channel in (0, 1, 2)]
    square = [canvas(64, 64, (channel, 8, 8, 56, 56)) for channel in (2, 1, 0)]
    images = [picture for pair in zip(wide, square, strict=True) for picture in pair]
    found = Predictor(backend, batch=2)(images)
    assert [int(instances.labels[0]) for instances in found] == [0, 2, 1, 1, 2, 0]
    assert [instances.size_hw for instances in found] == [image.shape[:2] for image in images]
    assert sorted(backend.calls) == [(1, 3, 64, 64), (1, 3, 64, 128), (2, 3, 64, 64), (2, 3, 64, 128)]


def test_a_fixed_frame_is_obeyed() -> None:
    backend = ColorBackend(frame=(128, 160))
    found = Predictor(backend)(canvas(64, 64, (0, 16, 16, 48, 48)))
    assert backend.calls == [(1, 3, 128, 160)]
    assert np.abs(found.boxes[0] - (16, 16, 48, 48)).max() <= 4


def test_score_defaults_to_the_checkpoint_and_can_be_set() -> None:
    dim = canvas(64, 64, (0, 0, 0, 32, 64), value=102)  # scores 0.4
    assert len(Predictor(ColorBackend())(dim)) == 1
    assert len(Predictor(ColorBackend(), score=0.5)(dim)) == 0
    assert len(Predictor(ColorBackend(), score=0)(dim)) == 1


def test_instances_without_a_pixel_are_dropped() -> None:
    backend = ColorBackend()

    def faint(images: torch.Tensor, resized_hw: torch.Tensor) -> object:
        candidates = ColorBackend.__call__(backend, images, resized_hw)
        return candidates._replace(masks=candidates.masks * torch.tensor([1.0, 0.4, 1.0])[:, None, None])

    wrapped = type("Faint", (), {"config": backend.config, "frame": None, "__call__": staticmethod(faint)})()
    found = Predictor(wrapped)(canvas(64, 64, (0, 0, 0, 24, 64), (1, 40, 0, 64, 64)))
    assert found.slots.tolist() == [0]


def test_arrays_pillow_images_and_files_agree(tmp_path) -> None:
    image = canvas(70, 90, (2, 20, 10, 60, 50))
    path = tmp_path / "größe.png"
    Image.fromarray(image).save(path)
    predictor = Predictor(ColorBackend())
    results = predictor([image, Image.fromarray(image), path, str(path)])
    assert len({instances.rles for instances in results}) == 1
    assert len(results[0]) == 1


@pytest.mark.parametrize("bad", [{"batch": 0}, {"score": 1.5}, {"score": -0.1}])
def test_settings_out_of_range(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        Predictor(ColorBackend(), **bad)


def test_a_network_a_backend_and_a_file_agree(tiny: SparseInst, tmp_path) -> None:
    save_checkpoint(tmp_path / "tiny.safetensors", tiny)
    image = np.random.default_rng(0).integers(0, 255, (80, 100, 3), np.uint8)
    ways = [tiny, TorchBackend(tiny), open_backend(tiny), tmp_path / "tiny.safetensors"]
    results = [Predictor(way, score=0)(image) for way in ways]
    assert len(results[0]) > 0 and results[0].size_hw == (80, 100)
    for other in results[1:]:
        np.testing.assert_allclose(other.scores, results[0].scores, rtol=1e-5)
        assert other.rles == results[0].rles


def test_batch_mates_do_not_matter(tiny: SparseInst) -> None:
    images = [np.random.default_rng(i).integers(0, 255, (60 + 13 * i, 100, 3), np.uint8) for i in range(5)]
    alone = [Predictor(tiny, score=0)(image) for image in images]
    together = Predictor(tiny, score=0, batch=3)(images)
    for one, other in zip(alone, together, strict=True):
        assert one.slots.tolist() == other.slots.tolist()
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
        assert np.abs(one.areas - other.areas).max(initial=0) <= 0.01 * 100 * 112


def test_half_stays_close(tiny: SparseInst) -> None:
    images = torch.randint(0, 255, (2, 3, 64, 96), dtype=torch.uint8)
    sizes = torch.tensor([[64, 96], [60, 90]])
    full, half = TorchBackend(tiny)(images, sizes), TorchBackend(tiny, half=True)(images, sizes)
    assert half.scores.dtype == half.masks.dtype == torch.float32
    assert not torch.equal(full.masks, half.masks)
    torch.testing.assert_close(full.masks, half.masks, atol=0.05, rtol=0)


def test_torch_backend_leaves_the_network_as_it_is_and_gives_what_it_gives(tiny: SparseInst) -> None:
    images, sizes = torch.randint(0, 255, (2, 3, 64, 96), dtype=torch.uint8), torch.tensor([[64, 96], [60, 90]])
    backend = TorchBackend(tiny.train())
    assert tiny.training
    for found, expected in zip(backend(images, sizes)[:4], EagerBackend(tiny)(images, sizes)[:4], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert not tiny.training  # of the plain one, which runs the network itself
    assert isinstance(backend, Backend) and backend.config.classes == ("a", "b") and backend.frame is None


def test_unknown_names_are_input_errors(tiny: SparseInst) -> None:
    with pytest.raises(InputError, match=r"backend 'tpu'.*torch"):
        open_backend(tiny, name="tpu")
    with pytest.raises(InputError, match="device 'gpu'"):
        resolve_device("gpu")
    with pytest.raises(InputError, match="use device cpu"):
        resolve_device("cuda:99")
    assert Predictor(ColorBackend()).classes == CLASSES


def test_a_score_may_be_given_for_some_images_alone() -> None:
    predictor = Predictor(ColorBackend(), score=0.2)
    faint = canvas(64, 96, (0, 16, 8, 48, 40), value=128)

    def found(score: float | None) -> int:
        return len(next(predictor.pipeline.found([predictor.pipeline.cut(faint)], score=score)))

    assert (found(None), found(0.4), found(0.6)) == (1, 1, 0)


def test_it_knows_whether_it_can_explain(tiny: SparseInst) -> None:
    assert Predictor(TorchBackend(tiny)).pipeline.explains
    assert not Predictor(ColorBackend()).pipeline.explains
