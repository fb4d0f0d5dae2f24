"""What runs the network: a backend takes padded uint8 images and gives candidates; nothing else knows which it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sparseinst.config import ModelConfig
from sparseinst.errors import InputError
from sparseinst.modeling import Segmenter, SparseInst
from sparseinst.structures import Candidates
from sparseinst.zoo import load_model


@runtime_checkable
class Backend(Protocol):
    """A network ready to run."""

    @property
    def metadata(self) -> ModelConfig:
        """Classes, sizes, thresholds: all that prediction needs to know."""

    @property
    def frame(self) -> tuple[int, int] | None:
        """The only padded frame (height, width) that it takes, or None for any."""

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        """(B, 3, H, W) uint8 RGB and (B, 2) int64 sizes within the frame to candidates."""


class TorchBackend:
    """The PyTorch module itself, eager.

    Args:
        model: moved to the device and put in eval mode.
        device: "cpu", "cuda", "cuda:1", "mps" or a torch device.
        half: run in 16 bits where that is safe (autocast: float16, on a CPU bfloat16); scores and masks stay float32.
    """

    def __init__(self, model: SparseInst, *, device: str | torch.device | None = None, half: bool = False) -> None:
        self.device = resolve_device(model.mean.device if device is None else device)
        self.metadata: ModelConfig = model.config
        self.frame: tuple[int, int] | None = model.config.preprocess.frame_hw
        self.half = half
        self._segmenter = Segmenter(model).to(self.device).eval()

    @torch.inference_mode()
    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        """See `Backend`; the candidates stay on the device."""
        dtype = torch.bfloat16 if self.device.type == "cpu" else torch.float16
        with torch.autocast(self.device.type, dtype=dtype, enabled=self.half):
            candidates: Candidates = self._segmenter(
                images.to(self.device, non_blocking=True), resized_hw.to(self.device, non_blocking=True)
            )
        return candidates


def _open_torch(path_or_module: str | Path | SparseInst, device: str | torch.device | None, half: bool) -> Backend:
    device = (
        None if device is None else resolve_device(device)
    )  # before the weights are read: a mistyped device is the cheaper error
    model = path_or_module if isinstance(path_or_module, SparseInst) else load_model(path_or_module)
    return TorchBackend(model, device=device, half=half)


BACKENDS: dict[str, Callable[[str | Path | SparseInst, str | torch.device | None, bool], Backend]] = {
    "torch": _open_torch
}
"""Name of a backend -> how to open it."""


def open_backend(
    name: str, path_or_module: str | Path | SparseInst, *, device: str | torch.device | None = None, half: bool = False
) -> Backend:
    """Opens a backend by name.

    Args:
        name: one of `BACKENDS`.
        path_or_module: a network, or the name or file of one.
        device: where to run; None is where a network is, cpu for a name or file.
        half: compute in 16 bits.

    Raises:
        InputError: there is no such backend, device, name or file.
    """
    if name not in BACKENDS:
        raise InputError(f"backend {name!r}: unknown; expected one of {', '.join(BACKENDS)}")
    return BACKENDS[name](path_or_module, device, half)


def resolve_device(device: str | torch.device) -> torch.device:
    """The torch device of this name.

    Raises:
        InputError: the name means nothing or this machine has no such device.
    """
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device {str(device)!r}: expected cpu, cuda, cuda:0, ... or mps") from error
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (resolved.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if resolved.type not in present:
        raise InputError(f"device {str(device)!r}: expected cpu, cuda, cuda:0, ... or mps")
    if not present[resolved.type]:
        raise InputError(f"device {str(device)!r}: this machine (or this build of torch) has none; use device cpu")
    return resolved
