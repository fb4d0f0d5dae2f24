"""Networks in the form of ONNX Runtime, on most CPUs the fastest that is exact: converted once, then kept."""

import hashlib
import os
import time
from contextlib import suppress
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import torch

from sparseinst.config.model import ModelConfig
from sparseinst.files import atomic, cache_folder, file_hash, fitting
from sparseinst.modeling.model import SparseInst
from sparseinst.runtime.converting import onnx_of
from sparseinst.version import __version__

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
    return cache_folder() / f"{fitting(weights.stem)}-{hashlib.sha256(source.encode()).hexdigest()[:16]}.onnx"


def keep_converted(path: Path, network: SparseInst, weights: Path) -> None:
    """Converts a network and writes it to `path` (some seconds); of all, the last used in `MOST_BYTES` are kept."""
    content = onnx_of(network, weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    trim(MOST_BYTES, spare=path)


def note_use(path: Path) -> None:
    """Remembers that a converted network was used now, so that it is kept before others; where that may be written."""
    with suppress(OSError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


class Kept(NamedTuple):
    """A converted network that is kept.

    Args:
        path: its file.
        bytes: its size.
        used_s: when it was used last, in seconds since 1970.
    """

    path: Path
    bytes: int
    used_s: float


def kept_networks() -> list[Kept]:
    """The converted networks that are kept, last used first."""
    found = []
    for path in cache_folder().glob("*.onnx"):
        with suppress(FileNotFoundError):  # another process may clear them
            stat = path.stat()
            found.append(Kept(path, stat.st_size, max(stat.st_atime, stat.st_mtime)))
    return sorted(found, key=lambda kept: -kept.used_s)


def trim(most_bytes: int, *, spare: Path | None = None) -> list[Kept]:
    """Removes converted networks, those first that were not used for longest, until all others together take no more.

    Args:
        most_bytes: of all together; 0 removes all.
        spare: is not removed.

    Returns:
        What was removed.
    """
    kept = kept_networks()
    sizes = accumulate(one.bytes for one in kept)
    removed = [one for one, size in zip(kept, sizes, strict=True) if size > most_bytes and one.path != spare]
    for one in removed:
        one.path.unlink(missing_ok=True)
    return removed
