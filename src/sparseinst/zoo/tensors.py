"""Reading tensors out of files of any origin, without ever running code that a file brings."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sparseinst.errors import InputError

PICKLED = (".pth", ".pt", ".pkl")
"""Suffixes of pickled weights: torch's files, and detectron2's raw pickles."""

_WRAPPERS = ("model", "state_dict")
"""Keys under which checkpoints keep their tensors."""


def _text_to_bytes(text: str, encoding: str) -> bytes:
    """What old pickles use codecs for, and nothing else of it."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the encoding {encoding} is no part of an array")
    return text.encode(encoding)


# As NumPy itself names them, which is private and differs from version to version.
_rebuild = np.zeros(1).__reduce__()[0]
_rebuild_from_buffer = np.zeros(1).__reduce_ex__(5)[0]
_rebuild_scalar = np.float32(1).__reduce__()[0]

_ARRAY_PARTS = {
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("_codecs", "encode"): _text_to_bytes,
    ("numpy.core.multiarray", "_reconstruct"): _rebuild,
    ("numpy._core.multiarray", "_reconstruct"): _rebuild,
    ("numpy.core.numeric", "_frombuffer"): _rebuild_from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _rebuild_from_buffer,
    ("numpy.core.multiarray", "scalar"): _rebuild_scalar,
    ("numpy._core.multiarray", "scalar"): _rebuild_scalar,
}
"""All that a pickle of arrays names."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a .safetensors file or a pickled state dict, under the names they have there.

    Torch's files are read by its restricted loader, detectron2's raw .pkl files by one that knows NumPy arrays alone. A
    dict under `model` or `state_dict` is unwrapped.

    Raises:
        InputError: the file is missing, damaged, holds more than tensors, or no tensors.
    """
    if path.suffix == ".safetensors":
        return read_safetensors(path)[1]
    content = read_pickle(path)
    for key in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), Mapping):
            content = content[key]
    items = content.items() if isinstance(content, Mapping) else ()
    tensors = {str(name): _tensor(value) for name, value in items if isinstance(value, Tensor | np.ndarray)}
    if not tensors:
        raise InputError(f"{path}: expected a dict of tensors (or one under 'model'), found none: give a weights file")
    return tensors


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file.

    Raises:
        InputError: the file is missing or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a .safetensors file, found none: check the path")
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"{path}: not a readable safetensors file ({error}): fetch or write it again") from error


def read_pickle(path: Path) -> Any:
    """The content of a pickled checkpoint that holds nothing but plain containers, tensors and arrays.

    Raises:
        InputError: the file is missing, damaged or holds other objects.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a weights file, found none: check the path")
    try:
        if path.suffix == ".pkl":
            with path.open("rb") as file:
                raw = file.read(2) != b"PK"  # torch's own files are zip archives, whatever their suffix
                file.seek(0)
                if raw:
                    return _ArrayUnpickler(file, encoding="latin1").load()
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError, IndexError,
            AttributeError, ImportError, MemoryError, OverflowError) as error:  # fmt: skip
        # The error's own text is left out: it advises to load the file without this protection.
        raise InputError(
            f"{path}: expected a state dict of tensors that loads without running code; the file is damaged or holds "
            "other Python objects: fetch it again, or give a .safetensors or a .pth of plain tensors"
        ) from error


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Only what arrays are made of."""
        if (module, name) not in _ARRAY_PARTS:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")
        return _ARRAY_PARTS[module, name]


def _tensor(value: Tensor | np.ndarray[Any, Any]) -> Tensor:
    return value if isinstance(value, Tensor) else torch.from_numpy(np.ascontiguousarray(value))
