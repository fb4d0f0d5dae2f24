"""Real-time instance segmentation with sparse instance activation maps (SparseInst, CVPR 2022)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sparseinst.version import __version__

if TYPE_CHECKING:
    from sparseinst.errors import InputError as InputError
    from sparseinst.evaluation import evaluate as evaluate
    from sparseinst.hub import push_to_hub as push_to_hub
    from sparseinst.inference import Predictor as Predictor
    from sparseinst.structures import Instances as Instances
    from sparseinst.structures import Predictions as Predictions
    from sparseinst.training import train as train
    from sparseinst.zoo import convert as convert
    from sparseinst.zoo import load_model as load_model

_HOMES = {
    "InputError": "sparseinst.errors",
    "Instances": "sparseinst.structures",
    "Predictions": "sparseinst.structures",
    "Predictor": "sparseinst.inference",
    "evaluate": "sparseinst.evaluation",
    "convert": "sparseinst.zoo",
    "load_model": "sparseinst.zoo",
    "push_to_hub": "sparseinst.hub",
    "train": "sparseinst.training",
}
"""Public name -> module that defines it; imported on first use (PEP 562), so that `import sparseinst` costs nothing."""

__all__ = [
    "InputError", "Instances", "Predictions", "Predictor", "__version__", "convert", "evaluate", "load_model",
    "push_to_hub", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sparseinst' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
