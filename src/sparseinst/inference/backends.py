"""What runs the network: a backend takes padded uint8 images and gives candidates; nothing else knows which it is."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self, TypeGuard, runtime_checkable

import torch
from torch import Tensor
from torch.export import ExportedProgram

from sparseinst.config import ModelConfig
from sparseinst.errors import InputError
from sparseinst.inference.exported import Exported
from sparseinst.inference.exported_backend import ExportedBackend, load_program
from sparseinst.inference.program import to_onnx, to_openvino, trace
from sparseinst.modeling import Segmenter, SparseInst, optimise
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


class EagerBackend:
    """The PyTorch module as it is, in float32: what every other backend is compared with.

    Args:
        model: moved to the device and put in eval mode.
        device: "cpu", "cuda", "cuda:1", "mps" or a torch device; None is where the model is.
        activation: also give the logits of the activation maps (see `Predictor.explain`).
    """

    def __init__(
        self, model: SparseInst, *, device: str | torch.device | None = None, activation: bool = False
    ) -> None:
        self.device = resolve_device(model.mean.device if device is None else device)
        self.metadata: ModelConfig = model.config
        self.frame: tuple[int, int] | None = model.config.preprocess.frame_hw
        self._segmenter = Segmenter(model, activation=activation).to(self.device).eval()

    def with_activation(self) -> Self:
        """The same network, that also gives the logits of the activation maps."""
        explaining = copy.copy(self)
        explaining._segmenter = Segmenter(self._segmenter.model, activation=True).eval()
        return explaining

    @torch.inference_mode()
    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        """See `Backend`; the candidates stay on the device."""
        candidates: Candidates = self._segmenter(
            images.to(self.device, non_blocking=True), resized_hw.to(self.device, non_blocking=True)
        )
        return candidates


class TorchBackend(EagerBackend):
    """A copy of the module rewritten for inference (see `optimise`): the same candidates, sooner.

    Args:
        model: in float32; it is left as it is, and changes made to it later are not seen.
        device: as of `EagerBackend`.
        half: compute in 16 bits (float16, on a CPU bfloat16); scores and masks stay float32.
        activation: as of `EagerBackend`.
    """

    def __init__(
        self,
        model: SparseInst,
        *,
        device: str | torch.device | None = None,
        half: bool = False,
        activation: bool = False,
    ) -> None:
        device = resolve_device(model.mean.device if device is None else device)
        network = optimise(model)
        if half:
            network.set_dtype(torch.bfloat16 if device.type == "cpu" else torch.float16)
        super().__init__(network, device=device, activation=activation)


Device = str | torch.device | None
Model = str | Path | SparseInst
Opener = Callable[[Model, Device, bool, int | None], Backend]


def _open_torch(model: Model, device: Device, half: bool, threads: int | None) -> Backend:
    if threads is not None:
        raise InputError(
            "threads: PyTorch has one number for the whole process: leave threads out and call torch.set_num_threads"
        )
    return TorchBackend(_network(model, device), device=device, half=half)


def _open_eager(model: Model, device: Device, half: bool, threads: int | None) -> Backend:
    if half or threads is not None:
        raise InputError("backend 'eager': computes in float32 on PyTorch's threads: leave half and threads out")
    return EagerBackend(_network(model, device), device=device)


def _open_onnxruntime(model: Model, device: Device, half: bool, threads: int | None) -> Backend:
    from sparseinst.inference.onnx_backend import OnnxBackend

    _refuse_half(half)
    if _is_file(model, ".onnx"):
        return OnnxBackend(model, device=device, threads=threads)
    program, exported = _traced(model)
    return OnnxBackend(to_onnx(program, exported).SerializeToString(), device=device, threads=threads)


def _open_openvino(model: Model, device: Device, half: bool, threads: int | None) -> Backend:
    from sparseinst.inference.openvino_backend import OpenVINOBackend

    if _is_file(model, ".xml"):
        return OpenVINOBackend(model, device=device, half=half, threads=threads)
    # Faster from the rewritten network; ONNX Runtime, which fuses more by itself, is faster from the plain one.
    program = to_openvino(*_traced(optimise(_network(model))))
    return OpenVINOBackend(program, device=device, half=half, threads=threads)


def _open_exported(model: Model, device: Device, half: bool, threads: int | None) -> Backend:
    _refuse_half(half)
    if threads is not None:
        return _open_torch(model, device, half, threads)
    chosen = resolve_device(("cuda" if torch.cuda.is_available() else "cpu") if device is None else device)
    program, exported = load_program(model) if _is_file(model, ".pt2") else _traced(model, in_multiples=True)
    return ExportedBackend(program, exported, device=chosen)


def _open_tensorrt(model: Model, device: Device, half: bool, threads: int | None) -> Backend:
    from sparseinst.inference.tensorrt_backend import TensorRTBackend

    _refuse_half(half)
    if not _is_file(model, ".engine"):
        raise InputError(
            "backend 'tensorrt': expected an .engine file: run `sparseinst export --format tensorrt`, then the build "
            "script that it writes"
        )
    return TensorRTBackend(model, device=torch.device("cuda" if device is None else device))


BACKENDS: dict[str, Opener] = {
    "torch": _open_torch,
    "eager": _open_eager,
    "onnxruntime": _open_onnxruntime,
    "openvino": _open_openvino,
    "exported": _open_exported,
    "tensorrt": _open_tensorrt,
}
"""Name of a backend -> how to open it."""

SUFFIXES: dict[str, str] = {
    ".onnx": "onnxruntime",
    ".xml": "openvino",
    ".pt2": "exported",
    ".engine": "tensorrt",
}
"""Suffix of an exported file -> the backend that runs it."""


def open_backend(
    model: Model, *, name: str | None = None, device: Device = None, half: bool = False, threads: int | None = None
) -> Backend:
    """Opens whatever runs a network.

    Args:
        model: an exported file, a network, or the name or checkpoint of one.
        name: one of `BACKENDS`; None goes by the file's suffix, and takes torch for a network, name or checkpoint.
            "onnxruntime", "openvino" and "exported" also take a network, name or checkpoint, which they convert first
            (some seconds).
        device: where to run. None is where a network is, cpu for a name or checkpoint, and the best that the runtime
            has for an exported file.
        half: compute in 16 bits (torch and OpenVINO; ONNX, .pt2 and TensorRT files are exported so).
        threads: threads of one call (ONNX Runtime and OpenVINO); None takes all cores.

    Raises:
        InputError: there is no such backend, device, name or file, or a package it needs is missing.
    """
    if name is None:
        name = "torch" if isinstance(model, SparseInst) else SUFFIXES.get(Path(model).suffix, "torch")
    if name not in BACKENDS:
        raise InputError(f"backend {name!r}: unknown; expected one of {', '.join(BACKENDS)}")
    if threads is not None and threads < 1:
        raise InputError(f"threads must be at least 1, got {threads}: give the number of threads, or leave it out")
    return BACKENDS[name](model, device, half, threads)


def is_exported(model: object) -> TypeGuard[str | Path]:
    """Whether this is the name of an exported file, which brings its weights and its runtime."""
    return isinstance(model, str | Path) and Path(model).suffix in SUFFIXES


def _is_file(model: Model, suffix: str) -> TypeGuard[str | Path]:
    """Whether this is an exported file of the runtime; a file of another one is an error, as is one that is absent."""
    if not is_exported(model):
        return False
    if Path(model).suffix != suffix:
        raise InputError(f"{model}: expected a {suffix} file, a network or its name: leave the backend's name out")
    if not Path(model).is_file():
        raise InputError(f"{model}: expected an exported network, found no such file: check the path")
    return True


def _network(model: Model, device: Device = None) -> SparseInst:
    if device is not None:
        resolve_device(device)  # before the weights are read: a mistyped device is the cheaper error
    return model if isinstance(model, SparseInst) else load_model(model)


def _traced(model: Model, *, in_multiples: bool = False) -> tuple[ExportedProgram, Exported]:
    network = _network(model)
    exported = Exported(config=network.config)
    return trace(network, exported, in_multiples=in_multiples), exported


def _refuse_half(half: bool) -> None:
    if half:
        raise InputError(
            "half: what this runtime computes in is chosen when the file is written: leave half out, and export with "
            "--half (onnx, openvino, tensorrt)"
        )


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
