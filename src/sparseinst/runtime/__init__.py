"""Whatever turns images into candidates: PyTorch, ONNX Runtime, OpenVINO, TensorRT."""

from sparseinst.runtime.backends import BACKENDS, SUFFIXES, Backend, is_exported, open_backend
from sparseinst.runtime.devices import resolve_device
from sparseinst.runtime.rewrites import optimise
from sparseinst.runtime.torch_backend import EagerBackend, TorchBackend
from sparseinst.runtime.windowed import WindowedSegmenter

__all__ = [
    "BACKENDS", "SUFFIXES", "Backend", "EagerBackend", "TorchBackend", "WindowedSegmenter", "is_exported",
    "open_backend", "optimise", "resolve_device",
]  # fmt: skip
