"""How images reach what runs the network: prepared on the host, or on the GPU while it still works on those before."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparseinst.config import PreprocessConfig
from sparseinst.data.preprocess import Prepared, frame_of, prepare, resize, stack


class Feed(Protocol):
    """Brings images to a backend."""

    def prepare(self, image: NDArray[np.uint8], config: PreprocessConfig) -> Prepared:
        """See `data.preprocess.prepare`."""

    def stack(self, prepared: Sequence[Prepared]) -> tuple[Tensor, Tensor]:
        """See `data.preprocess.stack`."""


class HostFeed:
    """Prepares images on the host."""

    prepare = staticmethod(prepare)
    stack = staticmethod(stack)


class CudaFeed:
    """Sends images to a GPU as they are and resizes them there, on a stream of its own.

    A GPU resizes in floating point and rounds once, where the host rounds after each axis: some values differ by 1.

    Args:
        device: the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device)

    def prepare(self, image: NDArray[np.uint8], config: PreprocessConfig) -> Prepared:
        """See `Feed`; the image is on the GPU, or on its way."""
        frame = frame_of((image.shape[0], image.shape[1]), config)
        with torch.cuda.stream(self._stream):
            pixels = self._sent(torch.from_numpy(np.ascontiguousarray(image)))
            return Prepared(resize(pixels.permute(2, 0, 1), frame.resized_hw), frame)

    def stack(self, prepared: Sequence[Prepared]) -> tuple[Tensor, Tensor]:
        """See `Feed`; takes images that were prepared on the host, too."""
        with torch.cuda.device(self.device):
            current = torch.cuda.current_stream()
            current.wait_stream(self._stream)
            for item in prepared:
                if item.image.is_cuda:
                    item.image.record_stream(current)  # its memory is not free before this stream is done with it
            sent = [item._replace(image=self._sent(item.image)) for item in prepared]
            images, resized_hw = stack(sent)
            return images, self._sent(resized_hw)

    def _sent(self, tensor: Tensor) -> Tensor:
        return tensor if tensor.is_cuda else tensor.pin_memory().to(self.device, non_blocking=True)


def feed_for(backend: object) -> Feed:
    """The feed that suits a backend: that of its GPU, or of the host."""
    device = getattr(backend, "device", None)
    return CudaFeed(device) if isinstance(device, torch.device) and device.type == "cuda" else HostFeed()
