"""All that what is found in images depends on, so that a run that goes on does so with nothing changed."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from sparseinst.inference.pipeline import Pipeline


def of_pipeline(pipeline: Pipeline) -> dict[str, Any]:
    """Network, weights and options, as values that JSON holds."""
    exported = getattr(pipeline.backend, "exported", None)
    network = getattr(pipeline.backend, "network", None)
    return {
        "network": pipeline.backend.config.model_dump(mode="json"),
        "weights": _digest(network) if exported is None and isinstance(network, nn.Module) else repr(exported),
        "preprocess": pipeline.preprocess.model_dump(mode="json"),
        "diameter": "auto" if pipeline.estimates else None,
        "score": pipeline.score,
        "tiling": repr(pipeline.tiling) if pipeline.cuts_itself or pipeline.tiling else "none",
        "max_instances": pipeline.max_instances,
    }


def of_files(paths: Sequence[Path]) -> str:
    """A digest of names, sizes and times of files; 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            stat = path.stat()
            state = (stat.st_size, stat.st_mtime_ns)
        except OSError:
            state = (-1, -1)  # of a list, and not there
        digest.update(repr((str(path), *state)).encode(errors="surrogateescape"))
    return digest.hexdigest()


def _digest(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()
