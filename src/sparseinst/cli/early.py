"""What of a command is wrong and can be told at once, before PyTorch or a network is loaded."""

from collections.abc import Sequence
from pathlib import Path

from sparseinst.errors import InputError, listed
from sparseinst.files import is_file

FILES = (".safetensors", ".pth", ".pt", ".pkl", ".onnx", ".xml", ".pt2", ".engine")
"""Suffixes of models that are files."""
BACKENDS = ("torch", "eager", "onnxruntime", "openvino", "exported", "tensorrt")
"""As `runtime.backends` has them, which is slow to load."""


def check_model(model: str | None, weights: Path | None = None, backend: str | None = None) -> None:
    """Whether a model can be there: a preset of that name, or a file.

    Raises:
        InputError: there is none, or no such backend.
    """
    from sparseinst.zoo.names import load_preset

    for path in (None if model is None else Path(model), weights):
        if path is not None and path.suffix in FILES and not str(path).startswith("hf:") and not is_file(path):
            raise InputError(f"{path}: expected a weights file or an exported network, found none: check the path")
    if model is not None and Path(model).suffix not in FILES and not model.startswith("hf:"):
        load_preset(model)
    if backend is not None and backend not in BACKENDS:
        raise InputError(f"backend {backend!r}: unknown; expected one of {', '.join(BACKENDS)}")


def check_tiles(tile: int | None, overlap: int | None) -> None:
    """Whether two options make a tiling.

    Raises:
        InputError: they do not.
    """
    from sparseinst.inference.tiling import Tiling

    Tiling.of(tile or None, overlap)


def check_resume(resume: bool, *, save_json: bool, tables: bool) -> None:
    """Whether a run over images can go on.

    Raises:
        InputError: it keeps no lines of what was done, or writes files about cells, whose tables are of one run.
    """
    if resume and not save_json:
        raise InputError("--resume: expected --save-json, which keeps what was done: give it, too")
    if resume and tables:
        raise InputError("--resume: expected no files about cells (--measure and the like), got some: begin anew")


def check_source(source: str) -> None:
    """Whether what is named as a file or folder is there; addresses, cameras and patterns are looked at later.

    Raises:
        InputError: it is not.
    """
    from sparseinst.data.sources import IMAGE_SUFFIXES, find_sources

    named = Path(source).suffix.lower() in (*IMAGE_SUFFIXES, "")
    if named and not source.isdigit() and not any(sign in source for sign in "*?[%:") and not Path(source).exists():
        find_sources(source, stacks=True)  # says what was expected


def check_settings(model: str | None, assignments: Sequence[str]) -> None:
    """Whether settings given by name fit a preset; those of a file of weights are looked at later.

    Raises:
        InputError: they do not, or there is no such preset.
    """
    from sparseinst.training.settings import apply_settings, parse_assignments
    from sparseinst.zoo.names import load_preset

    settings = parse_assignments(assignments)
    if model is None or (Path(model).suffix not in FILES and not model.startswith("hf:")):
        apply_settings(load_preset("lite" if model is None else model), settings)


def check_paths(*paths: Path | None) -> None:
    """Whether files and folders that are to be read are there.

    Raises:
        InputError: one is not.
    """
    absent = [path for path in paths if path is not None and not path.exists()]
    if absent:
        raise InputError(f"{listed(absent)}: expected a file or folder, found nothing: check the path")
