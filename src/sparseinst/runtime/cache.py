"""Networks in the form of ONNX Runtime, on most CPUs the fastest that is exact: converted once, then kept."""

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path

import torch

from sparseinst.config import for_whole_masks
from sparseinst.files import atomic, file_hash
from sparseinst.modeling.model import SparseInst
from sparseinst.runtime.exported import Exported
from sparseinst.runtime.tracing import to_onnx, trace
from sparseinst.version import __version__

CACHE = "SPARSEINST_CACHE"
"""Environment variable that names the folder of converted networks."""

_NEEDED = ("onnx", "onnxruntime", "onnxscript")


def can_convert() -> bool:
    """Whether the packages are installed (the extra `export`)."""
    return all(find_spec(package) is not None for package in _NEEDED)


def converted_file(name: str, weights: Path) -> Path:
    """Where the converted form of a network is kept; it depends on name, weights and versions.

    Args:
        name: the model's name, which with the weights says which network it is.
        weights: its file.
    """
    source = f"{file_hash(weights)} {name} {__version__} {torch.__version__}"
    return _folder() / f"{weights.stem}-{hashlib.sha256(source.encode()).hexdigest()[:16]}.onnx"


def keep_converted(path: Path, network: SparseInst) -> None:
    """Converts a network and writes it to `path` (some seconds)."""
    exported = Exported(config=for_whole_masks(network.config))
    content = to_onnx(trace(network, exported), exported).SerializeToString()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def _folder() -> Path:
    if CACHE in os.environ:
        return Path(os.environ[CACHE])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparseinst"
