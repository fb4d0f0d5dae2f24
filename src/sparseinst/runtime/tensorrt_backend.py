"""Runs a TensorRT engine that was built from an exported ONNX file."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparseinst.config.model import ModelConfig
from sparseinst.errors import InputError
from sparseinst.files import is_file
from sparseinst.parsing import read_json
from sparseinst.predictions import Candidates
from sparseinst.runtime.exported import INPUTS, Exported


class TensorRTBackend:
    """A network in TensorRT, with the shapes and the precision it was built for; not for several threads.

    Args:
        engine: the .engine file; its metadata are beside it, in the .json that was exported with the ONNX file.
        device: a CUDA device; None is the first.

    Attributes:
        exported: what the file says about itself.

    Raises:
        InputError: there is no CUDA device, TensorRT is not installed, or the engine or its metadata cannot be read.
    """

    def __init__(self, engine: str | Path, *, device: torch.device) -> None:
        path = Path(engine)
        self.exported = _read_metadata(path)
        if device.type != "cuda":
            raise InputError(f"device {str(device)!r}: TensorRT engines run on NVIDIA GPUs: use device cuda")
        try:
            import tensorrt as trt
        except ImportError as error:
            raise InputError(
                "expected tensorrt to run .engine files, found no such package: install it with `pip install tensorrt`"
            ) from error
        self.device = device
        self.config: ModelConfig = self.exported.config
        self.frame: tuple[int, int] | None = self.config.preprocess.frame_hw
        self._logger = trt.Logger(trt.Logger.WARNING)
        with torch.cuda.device(device):
            self._engine = trt.Runtime(self._logger).deserialize_cuda_engine(path.read_bytes())
            if self._engine is None:
                raise InputError(
                    f"{path}: TensorRT {trt.__version__} cannot open this engine: build it again on this machine, with "
                    f"python {path.with_suffix('.build.py').name}"
                )
            self._context = self._engine.create_execution_context()
        self._types = {name: _torch_type(trt, self._engine.get_tensor_dtype(name)) for name in self._names}

    @property
    def _names(self) -> tuple[str, ...]:
        return (*INPUTS, *self.exported.outputs)

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        """Candidates of padded images (B, C, H, W) and their sizes within the frame (B, 2); they stay on the device."""
        with torch.cuda.device(self.device):
            tensors: dict[str, Tensor] = {}
            for name, value in zip(INPUTS, (images, resized_hw), strict=True):
                tensors[name] = value.to(self.device).to(self._types[name]).contiguous()
                if not self._context.set_input_shape(name, tuple(value.shape)):
                    raise InputError(
                        f"{name} of shape {tuple(value.shape)}: the engine was built for other shapes: build it again "
                        "with larger limits (--help of its build script)"
                    )
            for name in self.exported.outputs:
                shape = tuple(self._context.get_tensor_shape(name))
                tensors[name] = torch.empty(shape, dtype=self._types[name], device=self.device)
            for name, tensor in tensors.items():
                self._context.set_tensor_address(name, tensor.data_ptr())
            stream = torch.cuda.current_stream()
            if not self._context.execute_async_v3(stream.cuda_stream):
                raise RuntimeError("TensorRT could not run the engine")
            stream.synchronize()  # before the inputs may be freed
        outputs = (tensors[name] for name in self.exported.outputs)
        return Candidates(*(value if value.is_floating_point() else value.long() for value in outputs))


def _read_metadata(engine: Path) -> Exported:
    beside = engine.with_suffix(".json")
    for path in (engine, beside):
        if not is_file(path):
            raise InputError(
                f"{path}: expected an engine and its metadata beside it ({beside.name}), found no such file: build the "
                "engine with the script that `sparseinst export --format tensorrt` wrote"
            )
    metadata = read_json(beside, expected="the metadata of an engine")
    return Exported.from_metadata(metadata, source=str(beside))


def _torch_type(trt: Any, kind: Any) -> torch.dtype:
    return {
        trt.float32: torch.float32,
        trt.float16: torch.float16,
        trt.int64: torch.int64,
        trt.int32: torch.int32,
        trt.uint8: torch.uint8,
    }[kind]
