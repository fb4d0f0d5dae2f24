"""Runs an exported ONNX file with ONNX Runtime."""

from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from sparseinst.config import ModelConfig
from sparseinst.errors import InputError
from sparseinst.files import readable
from sparseinst.runtime.exported import INPUTS, Exported
from sparseinst.runtime.tracing import missing_extra
from sparseinst.structures import Candidates

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class OnnxBackend:
    """A network in ONNX Runtime; it may be called from several threads.

    Args:
        model: the .onnx file, or its content.
        device: "cpu", or "cuda" where ONNX Runtime has its CUDA provider; None is the best of them.
        threads: threads of one call; None takes all cores.

    Attributes:
        exported: what the file says about itself.

    Raises:
        InputError: ONNX Runtime is not installed, has no such device, or the file is no exported network.
    """

    def __init__(
        self, model: str | Path | bytes, *, device: str | torch.device | None = None, threads: int | None = None
    ) -> None:
        ort, providers = _runtime(), onnx_providers(device)
        source = "the ONNX model" if isinstance(model, bytes) else str(model)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        content = model if isinstance(model, bytes) else str(model)
        with readable(source, expected="a network that ONNX Runtime can open", hint="export the network again"):
            self._session = ort.InferenceSession(content, options, providers=providers)
            metadata = self._session.get_modelmeta().custom_metadata_map
        self.exported = Exported.from_metadata(metadata, source=source)
        names = [[port.name for port in ports] for ports in (self._session.get_inputs(), self._session.get_outputs())]
        self.exported.check_ports(*names, source=source)
        self.config: ModelConfig = self.exported.config
        self.frame: tuple[int, int] | None = self.config.preprocess.frame_hw

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        """See `Backend`; the candidates are on the CPU."""
        arrays = (images.cpu().numpy().astype(self.exported.images, copy=False), resized_hw.cpu().numpy())
        outputs = self._session.run(list(self.exported.outputs), dict(zip(INPUTS, arrays, strict=True)))
        return Candidates(*(torch.from_numpy(np.asarray(output)) for output in outputs))


def _runtime() -> ModuleType:
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise missing_extra("onnxruntime", "to run .onnx files") from error
    module: ModuleType = ort
    return module


def onnx_providers(device: str | torch.device | None) -> list[str | tuple[str, dict[str, int]]]:
    """What of ONNX Runtime runs a network on a device; None is the best there is.

    Raises:
        InputError: ONNX Runtime is not installed, or has no such device.
    """
    available = _runtime().get_available_providers()
    if device is None:
        device = "cuda" if _CUDA in available else "cpu"
    kind, _, number = str(device).partition(":")
    if kind == "cpu":
        return [_CPU]
    if kind == "cuda" and (number.isdigit() or not number) and _CUDA in available:
        return [(_CUDA, {"device_id": int(number or 0)}), _CPU]
    raise InputError(
        f"device {str(device)!r}: expected one that ONNX Runtime has here ({', '.join(available)}): use device cpu, or "
        "install onnxruntime-gpu for cuda"
    )
