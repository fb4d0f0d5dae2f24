"""Names of what runs networks, and of where: told without PyTorch, so that a wrong one costs no time."""

import re
from pathlib import Path
from typing import TypeGuard

from sparseinst.errors import InputError

BACKENDS = ("torch", "eager", "onnxruntime", "openvino", "exported", "tensorrt")
"""What runs networks; `backends` opens them."""

SUFFIXES: dict[str, str] = {
    ".onnx": "onnxruntime",
    ".xml": "openvino",
    ".pt2": "exported",
    ".engine": "tensorrt",
}
"""Suffix of an exported file -> the backend that runs it."""

EXPLAINING = ("torch", "eager")
"""Backends that give the activation maps of any network; exported files have them if they were written so."""

OWN_THREADS = frozenset({"onnxruntime", "openvino"})
"""Backends whose threads are chosen when they are opened; those of the others are PyTorch's."""

_DEVICE = re.compile(r"auto|(cpu|cuda|mps)(:\d{1,3})?")


def backend_name(model: object) -> str:
    """The backend that runs this where none is asked for."""
    return SUFFIXES.get(Path(model).suffix, "torch") if isinstance(model, str | Path) else "torch"


def is_exported(model: object) -> TypeGuard[str | Path]:
    """Whether this is the name of an exported file, which brings its weights and its runtime."""
    return isinstance(model, str | Path) and Path(model).suffix in SUFFIXES


def check_backend(name: str) -> None:
    """Checks that there is a backend of this name.

    Raises:
        InputError: there is none.
    """
    if name not in BACKENDS:
        raise InputError(f"backend {name!r}: unknown; expected one of {', '.join(BACKENDS)}")


def check_device(name: str) -> None:
    """Checks that this can be the name of a device; whether the machine has it `devices` finds out.

    Raises:
        InputError: it cannot.
    """
    if _DEVICE.fullmatch(name) is None:
        raise InputError(f"device {name!r}: expected auto, cpu, cuda, cuda:0, ... or mps")
