"""Networks in the form of ONNX Runtime, on most CPUs the fastest that is exact: converted once, then kept."""

import hashlib
import os
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path

import torch

from sparseinst.config import ModelConfig, for_whole_masks
from sparseinst.files import atomic, file_hash
from sparseinst.modeling.model import SparseInst
from sparseinst.runtime.exported import Exported
from sparseinst.runtime.tracing import to_onnx, trace
from sparseinst.version import __version__

CACHE = "SPARSEINST_CACHE"
"""Environment variable that names the folder of converted networks."""

MOST_BYTES = 2 * 10**9
"""Of all converted networks together."""
_NEEDED = ("onnx", "onnxruntime", "onnxscript")


def can_convert() -> bool:
    """Whether the packages are installed (the extra `export`)."""
    return all(find_spec(package) is not None for package in _NEEDED)


def converted_file(config: ModelConfig, weights: Path) -> Path:
    """Where the converted form of a network is kept; it depends on all that goes into it.

    Args:
        config: its settings, which the converted form carries.
        weights: its file.
    """
    source = f"{file_hash(weights)} {config.model_dump_json()} {__version__} {torch.__version__}"
    return _folder() / f"{weights.stem}-{hashlib.sha256(source.encode()).hexdigest()[:16]}.onnx"


def keep_converted(path: Path, network: SparseInst) -> None:
    """Converts a network and writes it to `path` (some seconds); of all, the newest in `MOST_BYTES` are kept."""
    exported = Exported(config=for_whole_masks(network.config))
    content = to_onnx(trace(network, exported), exported).SerializeToString()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    kept = sorted(path.parent.glob("*.onnx"), key=lambda file: file.stat().st_mtime, reverse=True)
    sizes = accumulate(file.stat().st_size for file in kept)
    for file, size in zip(kept, sizes, strict=True):
        if size > MOST_BYTES and file != path:
            file.unlink(missing_ok=True)


def _folder() -> Path:
    if CACHE in os.environ:
        return Path(os.environ[CACHE])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparseinst"
