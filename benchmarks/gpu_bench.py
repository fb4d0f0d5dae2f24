"""What the parts of benchmarks/gpu.py share: sizes, a network, and moments on a device."""

import gc
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from sparseinst import load_model
from sparseinst.modeling.model import SparseInst


class Sizes(NamedTuple):
    """How large everything is."""

    model: str = "r50-giam"
    frame_hw: tuple[int, int] = (640, 864)
    images: tuple[tuple[int, int], ...] = ((480, 640), (1080, 1920))
    batch: int = 32
    masks: int = 100
    masks_hw: tuple[int, int] = (1080, 1920)
    train_batch: int = 16
    train_px: int = 640
    side: int = 8192
    rounds: int = 50


class Bench:
    """A network with random weights on a device, and what parts have found out so far."""

    def __init__(self, sizes: Sizes, device: str) -> None:
        self.sizes, self.device = sizes, torch.device(device)
        self.cuda = self.device.type == "cuda"
        torch.manual_seed(0)
        self.model: SparseInst = load_model(sizes.model, random_weights=True, device=device).eval()
        preprocess = self.model.config.preprocess
        short, long = min(preprocess.short_px, *sizes.frame_hw), max(sizes.frame_hw)
        preprocess = preprocess.model_copy(update={"short_px": short, "long_px": long})
        self.model.config = self.model.config.model_copy(update={"preprocess": preprocess})
        self.rate_tflops: float | None = None

    def inputs(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Images that fill the frame, and their sizes."""
        height, width = self.sizes.frame_hw
        images = torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8, device=self.device)
        return images, torch.tensor([[height, width]] * batch, device=self.device)

    def milliseconds(self, work: Callable[[], object], *, rounds: int) -> float:
        """Of one call among many, the host never waiting in between."""
        work()
        start = self.mark()
        for _ in range(rounds):
            work()
        return elapsed_ms(start, self.mark()) / rounds

    def mark(self) -> Any:
        """A moment: on a GPU, of its stream."""
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def elapsed_ms(start: Any, end: Any) -> float:
    if isinstance(start, float):
        return 1e3 * (end - start)
    end.synchronize()
    return start.elapsed_time(end)


def release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
