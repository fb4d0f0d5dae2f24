"""What a batch job was asked for, and how a later call knows that it is the same job."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sparseinst.errors import InputError, brief, listed
from sparseinst.files import file_hash
from sparseinst.inference.options import colours_only
from sparseinst.inference.pipeline import Pipeline
from sparseinst.runtime.backends import Backend, open_backend
from sparseinst.runtime.converting import run_onnx
from sparseinst.runtime.names import OWN_THREADS, backend_name, is_exported
from sparseinst.version import __version__
from sparseinst.zoo.models import load_model, weights_file
from sparseinst.zoo.names import shipped_weights


@dataclass(frozen=True)
class BatchSettings:
    """How images are predicted; all but `threads` decides what the rows say.

    Args:
        model: a preset, a file of weights, an exported file, or hf:owner/name.
        weights: those of a preset.
        backend: what runs it (see `open_backend`); None goes by the model.
        runs: the form of the model for ONNX Runtime, where it has been converted (see `run_onnx`).
        device: cpu, cuda, cuda:1, mps; None is the choice of an exported file's runtime.
        half: compute in 16 bits.
        batch: images at once.
        score: lowest score to keep, 0..1; None is the model's own.
        tile: side in pixels of the tiles that larger images are cut into; 0 cuts nothing.
        overlap: pixels that neighbouring tiles share at least.
        scale: network pixels for each pixel of the image, at native scale.
        diameter: or that of most objects in pixels of the image.
        max_instances: most instances in an image.
        column: of Parquet files, the one that holds the images; None looks for it.
        limit: how many of the images, from the first on; None is all.
        rows: images whose rows share a file; a call that is ended loses no more of each process.
        threads: of each process.
    """

    model: str
    weights: str | None = None
    backend: str | None = None
    runs: str | None = None
    device: str | None = "cpu"
    half: bool = False
    batch: int = 1
    score: float | None = None
    tile: int | None = None
    overlap: int | None = None
    scale: float | None = None
    diameter: float | None = None
    max_instances: int | None = None
    column: str | None = None
    limit: int | None = None
    rows: int = 256
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("rows", "threads", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, got {value}: give a number of {_COUNTED[name]}")

    @property
    def backend_name(self) -> str:
        """What runs the network."""
        return "onnxruntime" if self.runs else self.backend or backend_name(self.model)

    def open(self) -> Pipeline:
        """The network, ready to run in this process.

        Raises:
            InputError: no such model, backend or device, or settings that it cannot have.
        """
        threads = self.threads if self.backend_name in OWN_THREADS else None
        if self.runs:
            network = load_model(self.model, weights=self.weights)
            backend: Backend = run_onnx(network, Path(self.runs), threads=threads)
        else:
            exported, device = is_exported(self.model), self.device or "cpu"
            model = self.model if exported else load_model(self.model, weights=self.weights, device=device)
            backend = open_backend(
                model, name=self.backend, device=self.device, half=self.half, threads=threads,
                max_instances=self.max_instances,
            )  # fmt: skip
        colours_only(backend.config, "batch")
        return Pipeline(
            backend, batch=self.batch, score=self.score, tile=self.tile, overlap=self.overlap, scale=self.scale,
            diameter=self.diameter, max_instances=self.max_instances,
        )  # fmt: skip

    def identity(self) -> dict[str, Any]:
        """All that rows depend on: the model by the hash of its weights, the settings, the version.

        Raises:
            InputError: the model has no weights.
        """
        settings = asdict(self) | {"backend": self.backend_name}
        for name in ("model", "weights", "runs", "threads"):
            del settings[name]
        name = self.model if self.weights is None else f"{self.model} {self.weights}"
        return {"version": __version__, "model": name, "model_sha256": self._hash(), "settings": settings}

    def _hash(self) -> str:
        found = None if self.weights is None else Path(self.weights)
        if is_exported(self.model):
            found = Path(self.model)
            if found.suffix == ".xml":  # a description alone, with its weights beside it
                found = found.with_suffix(".bin")
        found = found or weights_file(self.model) or shipped_weights(self.model)
        if found is None or not found.is_file():
            raise InputError(
                f"model {self.model}: expected weights, found none: give a .safetensors file, --weights, or "
                "--random-weights"
            )
        return file_hash(found)


_COUNTED = {"rows": "images a file", "threads": "threads a process", "limit": "images"}
_MAY_DIFFER = frozenset({"model", "root"})
"""A copy of the model or of the images under another path is the same."""


def refuse_changes(then: Mapping[str, Any], now: Mapping[str, Any], where: object) -> None:
    """Raises InputError unless two identities are of one job; the message names what differs."""
    differ = [
        f"{name} was {brief(before)}, is {brief(after)}"
        for name, before, after in _differences(then, now)
        if name.rpartition(".")[2] not in _MAY_DIFFER
    ]
    if differ:
        raise InputError(
            f"{where}: expected the job that was begun there, got another ({listed(differ, between='; ')}): give the "
            "same input, model and settings, or another --out"
        )


def _differences(then: Mapping[str, Any], now: Mapping[str, Any], within: str = "") -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for name in sorted({*then, *now}):
        before, after = then.get(name), now.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += _differences(before, after, f"{within}{name}.")
        elif before != after:
            found.append((f"{within}{name}", before, after))
    return found
