"""What runs the network: a backend takes padded uint8 images and gives candidates; nothing else knows which it is."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol, TypeGuard, runtime_checkable

import torch
from torch import Tensor
from torch.export import ExportedProgram

from sparseinst.config.model import ModelConfig, for_whole_masks
from sparseinst.config.network import SeedsConfig
from sparseinst.errors import InputError, shown
from sparseinst.files import is_file
from sparseinst.modeling.model import SparseInst, with_max_instances
from sparseinst.predictions import Candidates
from sparseinst.runtime.converting import onnx_of, run_onnx, run_openvino
from sparseinst.runtime.devices import Device, is_auto, resolve_device
from sparseinst.runtime.exported import Exported
from sparseinst.runtime.exported_backend import ExportedBackend, load_program
from sparseinst.runtime.names import backend_name, check_backend, is_exported
from sparseinst.runtime.onnx_backend import OnnxBackend, onnx_device, open_session
from sparseinst.runtime.openvino_backend import OpenVINOBackend, check_openvino_device
from sparseinst.runtime.seeds_file import is_seeds_file, run_seeds_file
from sparseinst.runtime.torch_backend import EagerBackend, TorchBackend
from sparseinst.runtime.tracing import to_onnx, trace
from sparseinst.zoo.models import load_model


@runtime_checkable
class Backend(Protocol):
    """A network ready to run."""

    @property
    def config(self) -> ModelConfig:
        """Classes, sizes, thresholds: all that prediction needs to know."""

    @property
    def frame(self) -> tuple[int, int] | None:
        """The only padded frame (height, width) that it takes, or None for any."""

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        """(B, channels, H, W) uint8 and (B, 2) int64 sizes within the frame to candidates."""


Model = str | Path | SparseInst


class Wanted(NamedTuple):
    """What `open_backend` was asked for."""

    device: Device
    half: bool
    threads: int | None
    compile: bool
    max_instances: int | None = None


Opener = Callable[[Model, Wanted], Backend]


def _open_torch(model: Model, wanted: Wanted) -> Backend:
    _refuse_threads(wanted)
    network = _network(model, wanted, on=wanted.device)
    return TorchBackend(network, device=wanted.device, half=wanted.half, compile=wanted.compile)


def _open_eager(model: Model, wanted: Wanted) -> Backend:
    if wanted.half or wanted.threads is not None:
        raise InputError("backend 'eager': computes in float32 on PyTorch's threads: leave half and threads out")
    return EagerBackend(_network(model, wanted, on=wanted.device), device=wanted.device)


def _open_onnxruntime(model: Model, wanted: Wanted) -> Backend:
    _refuse_half(wanted)
    device = onnx_device(wanted.device)  # before a network is converted, which takes long
    if _is_file(model, ".onnx"):
        opened = open_session(model, device=device, threads=wanted.threads)
        return run_seeds_file(opened) if is_seeds_file(opened) else OnnxBackend(opened)
    network = _network(model, wanted)
    if device == "cpu":
        return run_onnx(network, onnx_of(network), threads=wanted.threads)
    program, exported = _traced(network)
    return OnnxBackend(to_onnx(program, exported).SerializeToString(), device=device, threads=wanted.threads)


def _open_openvino(model: Model, wanted: Wanted) -> Backend:
    check_openvino_device(wanted.device)  # before a network is converted, which takes long
    if _is_file(model, ".xml"):
        return OpenVINOBackend(model, device=wanted.device, half=wanted.half, threads=wanted.threads)
    return run_openvino(_network(model, wanted), half=wanted.half, threads=wanted.threads)


def _open_exported(model: Model, wanted: Wanted) -> Backend:
    _refuse_half(wanted)
    _refuse_threads(wanted)
    chosen = resolve_device(wanted.device)
    if _is_file(model, ".pt2"):
        return ExportedBackend(*load_program(model), device=chosen)
    return ExportedBackend(*_traced(_network(model, wanted), in_multiples=True), device=chosen)


def _open_tensorrt(model: Model, wanted: Wanted) -> Backend:
    from sparseinst.runtime.tensorrt_backend import TensorRTBackend

    _refuse_half(wanted)
    if not _is_file(model, ".engine"):
        raise InputError(
            "backend 'tensorrt': expected an .engine file: run `sparseinst export --format tensorrt`, then the build "
            "script that it writes"
        )
    return TensorRTBackend(model, device=torch.device("cuda" if wanted.device is None else wanted.device))


_OPENERS: dict[str, Opener] = {
    "torch": _open_torch,
    "eager": _open_eager,
    "onnxruntime": _open_onnxruntime,
    "openvino": _open_openvino,
    "exported": _open_exported,
    "tensorrt": _open_tensorrt,
}
"""Name of a backend -> how to open it."""

_PYTORCH = ("torch", "eager")
_EXPORTED = "leave the backend's name out, as the file brings its own, or give the weights that it was exported from"


def open_backend(
    model: Model,
    *,
    name: str | None = None,
    device: Device = "auto",
    half: bool = False,
    threads: int | None = None,
    compile: bool = False,
    max_instances: int | None = None,
) -> Backend:
    """Opens whatever runs a network.

    Args:
        model: an exported file, a network, or the name or checkpoint of one.
        name: one of `names.BACKENDS`; None goes by the file's suffix, and takes torch for a network, a name or a
            checkpoint. "onnxruntime", "openvino" and "exported" take these, too, and convert them first (some seconds).
        device: where to run (see `Device`); "auto" is the best that the runtime has for an exported file.
        half: compute in 16 bits (torch and OpenVINO; ONNX, .pt2 and TensorRT files are exported so).
        threads: threads of one call (the backends of `names.OWN_THREADS`); None takes all cores.
        compile: of the torch backend, compile the network anew for each shape, which takes long.
        max_instances: of a network of seeds, how many instances it finds in each image at most, in place of what its
            settings say; None, or another network, leaves it as it is.

    Raises:
        InputError: there is no such backend, device, name or file, or a package it needs is missing.
    """
    name = backend_name(model) if name is None else name
    check_backend(name)
    if threads is not None and threads < 1:
        raise InputError(f"threads must be at least 1, got {threads}: give the number of threads, or leave it out")
    if compile and name != "torch":
        raise InputError(f"compile: expected the backend torch, got {name!r}: leave compile out")
    if is_auto(device):
        device = resolve_device(None) if name in _PYTORCH and not isinstance(model, SparseInst) else None
    return _OPENERS[name](model, Wanted(device, half, threads, compile, max_instances))


def _is_file(model: Model, suffix: str) -> TypeGuard[str | Path]:
    """Whether this is an exported file of the runtime; a file of another one is an error, as is one that is absent."""
    if not is_exported(model):
        return False
    if Path(model).suffix != suffix:
        raise InputError(f"{model}: expected a {suffix} file, a network or its name: leave the backend's name out")
    if not is_file(model):
        raise InputError(f"{shown(model)}: expected an exported network, found no such file: check the path")
    return True


def _network(model: Model, wanted: Wanted, *, on: Device = None) -> SparseInst:
    if on is not None:
        resolve_device(on)  # before the weights are read: a mistyped device is the cheaper error
    if is_exported(model):
        raise InputError(f"{shown(model)}: expected a network or its weights, got an exported file: {_EXPORTED}")
    network = model if isinstance(model, SparseInst) else load_model(model)
    if wanted.max_instances is None or not isinstance(network.config.decoder, SeedsConfig):
        return network
    return with_max_instances(network, wanted.max_instances)


def _traced(network: SparseInst, *, in_multiples: bool = False) -> tuple[ExportedProgram, Exported]:
    exported = Exported(config=for_whole_masks(network.config))
    return trace(network, exported, in_multiples=in_multiples), exported


def _refuse_threads(wanted: Wanted) -> None:
    if wanted.threads is not None:
        raise InputError(
            "threads: PyTorch has one number for the whole process: leave threads out and call torch.set_num_threads"
        )


def _refuse_half(wanted: Wanted) -> None:
    if wanted.half:
        raise InputError(
            "half: what this runtime computes in is chosen when the file is written: leave half out, and export with "
            "--half (onnx, openvino, tensorrt)"
        )
