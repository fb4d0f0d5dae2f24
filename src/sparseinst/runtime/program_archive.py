"""A .pt2 archive of any origin, made anew from those of its parts that are data alone.

`torch.export.load` runs code that an archive brings: pickled inputs, weights and constants, compiled libraries, and in
the graph itself expressions that are evaluated, names that become Python source, and operators that may be any function
below `torch`. So it is never given the archive, but one that holds the graph, where every text has been checked (see
`program_graph`), the plain tensors and the metadata.
"""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from sparseinst.errors import InputError, brief, shown
from sparseinst.files import is_file
from sparseinst.parsing import parse_json, readable
from sparseinst.runtime.program_graph import Refused, checked_graph, checked_tensors

METADATA_FILE = "sparseinst.json"
"""Name under which a .pt2 file keeps its metadata."""

_ROOT = "archive/"
_GRAPH = "models/model.json"
_SAMPLES = "data/sample_inputs/model.pt"
_METADATA = f"extra/{METADATA_FILE}"
_TENSORS = {
    "data/weights/model_weights_config.json": ("data/weights/", "weight_"),
    "data/constants/model_constants_config.json": ("data/constants/", "tensor_"),
}
_MARKS = {"archive_format": b"pt2", "archive_version": b"0", ".data/version": b"6\n", "byteorder": b"little"}
_IGNORED = re.compile(r"\.data/serialization_id|data/sample_inputs/model\.pt")
_TENSOR = re.compile(r"data/(weights/weight|constants/tensor)_\d{1,6}")


def safe_archive(path: Path) -> tuple[bytes, dict[str, str]]:
    """What torch may open of a .pt2 file, and its metadata; nothing of the file has run.

    Args:
        path: the file, from anybody.

    Raises:
        InputError: there is none, it is damaged, or it has parts that would run code or need not be there.
    """
    parts = _parts(path)
    try:
        graph = checked_graph(parse_json(parts[_GRAPH], source=path))
        kept = {name: parts[name] for name in parts if _TENSOR.fullmatch(name)} | _MARKS
        for name, (folder, prefix) in _TENSORS.items():
            checked = checked_tensors(parse_json(parts[name], source=path), prefix=prefix)
            if missing := [tensor for tensor in checked.values() if folder + tensor not in parts]:
                raise Refused(f"has no {folder}{missing[0]}")
            kept[name] = parts[name]
        metadata = parse_json(parts[_METADATA], source=path)
    except Refused as error:
        raise InputError(
            f"{path}: expected a program of plain tensors and known operators, which runs no code when it is opened; "
            f"this one {error}: export the network again with `sparseinst export --format torch`"
        ) from error
    except KeyError as error:
        raise InputError(f"{path}: expected an exported program, found no {error} in it: export it again") from error
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InputError(f"{path}: expected metadata of text by name, got {brief(metadata)}: export the network again")
    return _written(kept | {_GRAPH: json.dumps(graph).encode(), _SAMPLES: b""}), metadata


def _parts(path: Path) -> dict[str, bytes]:
    """The content of an archive whose parts are all known, by their names below its one folder."""
    if not is_file(path):
        raise InputError(f"{shown(path)}: expected an exported network, found no such file: check it")
    with (
        readable(path, expected="an exported program", hint="export the network again"),
        zipfile.ZipFile(path) as archive,
    ):
        entries = archive.infolist()
        _check_entries(path, entries)
        return {entry.filename.partition("/")[2]: archive.read(entry) for entry in entries}


def _check_entries(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename.partition("/")[2] for entry in entries]
    known = {_GRAPH, _METADATA, *_TENSORS, *_MARKS}
    strange = [
        name for name in names if name not in known and not (_TENSOR.fullmatch(name) or _IGNORED.fullmatch(name))
    ]
    if strange:
        raise InputError(
            f"{path}: expected the graph, plain tensors and metadata of an exported network, found "
            f"{brief(strange[0], most=200)}, which may run code when it is opened: export the network again"
        )
    size = path.stat().st_size
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if len(set(names)) != len(names) or packed or sum(entry.file_size for entry in entries) > size:
        raise InputError(
            f"{path}: expected each part once and unpacked, as torch writes them: export the network again"
        )


def _written(parts: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, part in parts.items():
            archive.writestr(_ROOT + name, part)
    return content.getvalue()


def plain_archive(content: bytes) -> bytes:
    """An archive just written by torch without the inputs that it was traced with, which it pickles."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts: dict[str, Any] = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    return _written({name: part for name, part in parts.items() if not _IGNORED.fullmatch(name)} | {_SAMPLES: b""})
