"""Runs an exported ONNX file with ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sparseinst.config.model import ModelConfig
from sparseinst.errors import InputError
from sparseinst.modeling.seeds.decoder import Fields
from sparseinst.parsing import readable
from sparseinst.predictions import Candidates
from sparseinst.runtime.exported import INPUTS, Exported
from sparseinst.runtime.fields import FieldsNote
from sparseinst.runtime.tracing import missing_extra

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class OnnxBackend:
    """A network in ONNX Runtime; it may be called from several threads.

    Args:
        model: the .onnx file, its content, or what `open_session` gave.
        device: "cpu", or "cuda" where ONNX Runtime has its CUDA provider; None is the best of them.
        threads: threads of one call; None takes all cores.

    Attributes:
        exported: what the file says about itself.

    Raises:
        InputError: ONNX Runtime is not installed, has no such device, or the file is no exported network.
    """

    def __init__(
        self,
        model: "str | Path | bytes | Opened",
        *,
        device: str | torch.device | None = None,
        threads: int | None = None,
    ) -> None:
        opened = model if isinstance(model, Opened) else open_session(model, device=device, threads=threads)
        self._session, metadata, source = opened
        self.exported = Exported.from_metadata(metadata, source=source)
        names = [[port.name for port in ports] for ports in (self._session.get_inputs(), self._session.get_outputs())]
        self.exported.check_ports(*names, source=source)
        self.config: ModelConfig = self.exported.config
        self.frame: tuple[int, int] | None = self.config.preprocess.frame_hw

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        """Candidates of padded images (B, C, H, W) and their sizes within the frame (B, 2); they are on the CPU."""
        images = images.cpu().to(getattr(torch, self.exported.images))
        return Candidates(*_run(self._session, self.exported.outputs, images, resized_hw))


class OnnxFields:
    """What every cell of a network of seeds says, by ONNX Runtime on the CPU; it may be called from several threads.

    Args:
        session: of `open_session`, for the converted `CellsOfSeeds`.
        note: of it.
    """

    def __init__(self, session: Any, note: FieldsNote) -> None:
        self._session, self._note = session, note

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Fields:
        """See `fields.ComputeFields`; images are uint8."""
        return self._note.gathered(_run(self._session, self._note.outputs, images, resized_hw))


def _run(session: Any, outputs: Sequence[str], images: Tensor, resized_hw: Tensor) -> list[Tensor]:
    arrays = (images.cpu().numpy(), resized_hw.cpu().numpy())
    return [torch.from_numpy(np.asarray(it)) for it in session.run(outputs, dict(zip(INPUTS, arrays, strict=True)))]


def onnx_device(device: str | torch.device | None) -> str:
    """The device that is asked for, if ONNX Runtime has it; for None the best that it has.

    Raises:
        InputError: it has no such device, or is not installed.
    """
    available = _runtime().get_available_providers()
    if device is None:
        return "cuda" if _CUDA in available else "cpu"
    kind, _, number = str(device).partition(":")
    if str(device) == "cpu" or (kind == "cuda" and (number.isdigit() or not number) and _CUDA in available):
        return str(device)
    raise InputError(
        f"device {str(device)!r}: expected one that ONNX Runtime has here ({', '.join(available)}): use device cpu, or "
        "install onnxruntime-gpu for cuda"
    )


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_extra("onnxruntime", "to run .onnx files") from error
    return onnxruntime


class Opened(NamedTuple):
    """A model that ONNX Runtime has opened."""

    session: Any
    """An `onnxruntime.InferenceSession`."""
    metadata: dict[str, str]
    source: str
    """The file, for messages."""


def open_session(model: str | Path | bytes, *, device: str | torch.device | None, threads: int | None) -> Opened:
    """Opens a model; arguments and errors are those of `OnnxBackend`."""
    source = "the ONNX model" if isinstance(model, bytes) else str(model)
    with readable(source, expected="a network that ONNX Runtime can open", hint="export the network again"):
        session = _session(model, device=device, threads=threads)
        return Opened(session, session.get_modelmeta().custom_metadata_map, source)


def _session(model: str | Path | bytes, *, device: str | torch.device | None, threads: int | None) -> Any:
    kind, _, number = onnx_device(device).partition(":")
    providers: list[Any] = [_CPU] if kind == "cpu" else [(_CUDA, {"device_id": int(number or 0)}), _CPU]
    options = _runtime().SessionOptions()
    options.log_severity_level = 3
    options.enable_mem_pattern = False  # holds a third more, for each size of a frame that came, and gains nothing
    if threads is not None:
        options.intra_op_num_threads = threads
    content = model if isinstance(model, bytes) else str(model)
    return _runtime().InferenceSession(content, options, providers=providers)
