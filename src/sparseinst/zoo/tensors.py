"""Reading tensors out of files of any origin, without ever running code that a file brings."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from sparseinst.errors import InputError, brief, shown
from sparseinst.files import is_file
from sparseinst.parsing import readable
from sparseinst.zoo.array_pickle import PickledArray, read_arrays

_WRAPPERS = ("model", "state_dict")
"""Keys under which checkpoints keep their tensors."""


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
    tensors = {str(n): _tensor(path, str(n), value) for n, value in items if isinstance(value, Tensor | PickledArray)}
    if not tensors:
        raise InputError(f"{path}: expected a dict of tensors (or one under 'model'), found none: give a weights file")
    return tensors


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file.

    Raises:
        InputError: the file is missing or damaged.
    """
    if not is_file(path):
        raise InputError(f"{shown(path)}: expected a .safetensors file, found none: check the path")
    with (
        readable(path, expected="a safetensors file", hint="fetch or write it again"),
        safe_open(path, framework="pt") as file,
    ):
        return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def read_pickle(path: Path) -> Any:
    """The content of a pickled checkpoint that holds nothing but plain containers, tensors and arrays.

    Raises:
        InputError: the file is missing, damaged or holds other objects.
    """
    if not is_file(path):
        raise InputError(f"{shown(path)}: expected a weights file, found none: check the path")
    try:
        with path.open("rb") as file:
            zipped = zipfile.is_zipfile(file)
            if zipped:
                _check_unpacked(file, path.stat().st_size)
            file.seek(0)
            if zipped or path.suffix != ".pkl":
                return torch.load(file, map_location="cpu", weights_only=True)
            return read_arrays(file, path.stat().st_size)
    except Exception as error:  # whatever bytes that are no such file lead to
        # The error's own text is left out: it advises to load the file without this protection.
        raise InputError(
            f"{path}: expected a state dict of tensors that loads without running code; the file is damaged or holds "
            "other Python objects: fetch it again, or give a .safetensors or a .pth of plain tensors"
        ) from error


def _check_unpacked(file: BinaryIO, size: int) -> None:
    """Refuses an archive that holds more than the file, as none that torch writes does."""
    with zipfile.ZipFile(file) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > size:
            raise pickle.UnpicklingError("the archive is packed")


def _tensor(path: Path, name: str, value: Tensor | PickledArray) -> Tensor:
    with readable(path, expected=f"numbers as tensor {brief(name)}", hint="fetch or write it again"):
        tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.ascontiguousarray(value.numpy()))
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError("it holds fewer numbers than it says")
    return tensor
