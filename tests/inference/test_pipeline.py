"""What a GPU does from image to encoded masks, as far as it shows without one."""

import cv2
import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.nn import functional as F

from inference.standins import ColorBackend
from sparseinst.config import ShortSideConfig
from sparseinst.data.preprocess import prepare, resize
from sparseinst.inference.pipeline import CudaFeed, HostFeed, feed_for
from sparseinst.modeling import Segmenter, begin_select, build_model, optimise
from sparseinst.structures import Frame
from tiny import tiny_config


def resized_as_on_a_gpu(image: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """In floating point, rounded once: the way torchvision resizes 8-bit images on anything but a CPU."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    return F.interpolate(pixels, size=hw, mode="bilinear", antialias=True).round()[0].numpy()


@pytest.mark.parametrize("number", range(3))
def test_a_gpu_resizes_as_a_cpu_but_for_rounding(number: int, shared) -> None:
    files = sorted((shared / "data" / "coco_mini").rglob("*.jpg"))
    image = cv2.imread(str(files[number]))[:, :, ::-1].copy()
    for short, long in ((640, 864), (200, 300)):
        prepared = prepare(image, ShortSideConfig(short_px=short, long_px=long))
        difference = np.abs(prepared.image.numpy() - resized_as_on_a_gpu(image, prepared.frame.resized_hw))
        assert difference.max() <= 1 and difference.mean() < 0.25


def test_images_on_a_gpu_are_resized_there() -> None:
    with FakeTensorMode():
        image = torch.empty(3, 100, 120, dtype=torch.uint8, device="cuda")
        resized = resize(image, (50, 60))
        assert (resized.device.type, resized.dtype, tuple(resized.shape)) == ("cuda", torch.uint8, (3, 50, 60))


def test_the_feed_is_that_of_the_backends_device(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = ColorBackend()
    assert isinstance(feed_for(backend), HostFeed)
    backend.device = torch.device("cpu")
    assert isinstance(feed_for(backend), HostFeed)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: None)
    backend.device = torch.device("cuda", 1)
    feed = feed_for(backend)
    assert isinstance(feed, CudaFeed) and feed.device == backend.device


class Event:
    """Takes the place of what a GPU reaches; nobody may wait for it here."""

    def record(self, stream: object) -> None: ...


@pytest.mark.parametrize("half", [False, True])
def test_the_host_asks_a_gpu_nothing_before_it_waits_for_the_result(
    half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shapes that depend on the data, and values needed by the host, raise here."""
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    network = optimise(build_model(tiny_config()))
    if half:
        network.set_dtype(torch.float16)
    segmenter = Segmenter(network).eval()
    named = [*segmenter.named_parameters(), *segmenter.named_buffers()]
    real = {name: tensor.detach() for name, tensor in named}
    frames = [Frame((64, 96), (60, 96), (120, 192)), Frame((64, 96), (64, 80), (32, 40))]
    with FakeTensorMode() as fake, torch.no_grad():
        tensors = {name: fake.from_tensor(tensor).to("cuda") for name, tensor in real.items()}
        images = torch.empty(2, 3, 64, 96, dtype=torch.uint8, device="cuda")
        candidates = functional_call(segmenter, tensors, (images, torch.empty(2, 2, dtype=torch.int64, device="cuda")))
        assert candidates.masks.is_cuda and candidates.masks.dtype == torch.float32
        begin_select(candidates, frames, gate=0.1, mask_threshold=0.45)
