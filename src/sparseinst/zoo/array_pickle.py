"""Arrays in pickles, such as detectron2's .pkl files, of which only shape, type and bytes are taken.

NumPy's own functions trust what a pickle hands them: a damaged one ends the process. None of them is called here.
"""

import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_NUMBER = re.compile(r"[biuf][1248]")
"""What NumPy calls types of plain numbers."""


class _Type:
    """A type by NumPy's name for it."""

    def __init__(self, name: object, *_: object) -> None:
        self._name, self._order = name, "="

    def __setstate__(self, state: Any) -> None:
        self._order = state[1]

    def numpy(self) -> np.dtype[Any]:
        """The type.

        Raises:
            UnpicklingError: it is none of plain numbers.
        """
        if not (isinstance(self._name, str) and _NUMBER.fullmatch(self._name) and self._order in ("<", ">", "=", "|")):
            raise pickle.UnpicklingError("an array of other than numbers")
        return np.dtype(self._order + self._name)


class PickledArray:
    """An array as its pickle tells of it."""

    def __init__(self, *parts: Any) -> None:
        self._parts = parts

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_column, content = state
        self._parts = (content, kind, shape, "F" if by_column else "C")

    def numpy(self) -> NDArray[Any]:
        """The array.

        Raises:
            UnpicklingError: it is none of plain numbers.
            ValueError: shape and bytes do not fit.
        """
        content, kind, shape, order = self._parts
        if isinstance(content, str):  # as pickles of Python 2 are read
            content = content.encode("latin1")
        if not (isinstance(content, bytes | bytearray) and isinstance(kind, _Type) and isinstance(shape, tuple)):
            raise pickle.UnpicklingError("no array")
        values = np.frombuffer(content, kind.numpy()) if content else np.zeros(0, kind.numpy())
        return values.reshape(shape, order=order).astype(values.dtype.newbyteorder("="))


def _text_to_bytes(text: str, encoding: str) -> bytes:
    """What old pickles use codecs for, and nothing else of it."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the encoding {encoding} is no part of an array")
    return text.encode(encoding)


def _parts() -> dict[tuple[str, str], Callable[..., object]]:
    """All that a pickle of arrays names, and what stands in its place; made anew, for a pickle can write into it."""

    def nothing(*_: object) -> None:
        """A number alone is no tensor."""

    parts: dict[tuple[str, str], Callable[..., object]] = {
        ("numpy", "dtype"): lambda *given: _Type(*given),
        ("numpy", "ndarray"): nothing,
        ("__builtin__", "bytes"): lambda: b"",  # how old protocols write no bytes
        ("_codecs", "encode"): lambda text, encoding: _text_to_bytes(text, encoding),
    }
    for core in ("numpy.core", "numpy._core"):
        parts[f"{core}.multiarray", "_reconstruct"] = lambda *_: PickledArray()
        parts[f"{core}.numeric", "_frombuffer"] = lambda *given: PickledArray(*given)
        parts[f"{core}.multiarray", "scalar"] = nothing
    return parts


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="latin1")
        self._parts = _parts()

    def find_class(self, module: str, name: str) -> Any:
        """Only what arrays are made of."""
        if (module, name) not in self._parts:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")
        return self._parts[module, name]


def read_arrays(file: BinaryIO, size: int) -> Any:
    """The content of a pickle of plain containers and arrays, the latter as `PickledArray`.

    Args:
        file: it, from its beginning.
        size: its bytes.

    Raises:
        Exception: of any kind; the bytes are no such pickle.
    """
    for code, value, _ in pickletools.genops(file):
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and (value or 0) > size:  # Python would make room for as many
            raise pickle.UnpicklingError("an object's number is beyond the file")
    file.seek(0)
    return _Unpickler(file).load()
