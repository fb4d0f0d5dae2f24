"""Real-time instance segmentation with sparse instance activation maps (SparseInst, CVPR 2022)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sparseinst.version import __version__

if TYPE_CHECKING:
    from sparseinst.drawing import draw as draw
    from sparseinst.errors import InputError as InputError
    from sparseinst.evaluation import evaluate as evaluate
    from sparseinst.exporting import export_model as export
    from sparseinst.hub import push_to_hub as push_to_hub
    from sparseinst.inference import Predictor as Predictor
    from sparseinst.inference import predict_files as predict_files
    from sparseinst.inference import to_coco as to_coco
    from sparseinst.inference import to_detections as to_detections
    from sparseinst.structures import Instances as Instances
    from sparseinst.structures import Predictions as Predictions
    from sparseinst.training import train as train
    from sparseinst.video import Tracker as Tracker
    from sparseinst.video import VideoResult as VideoResult
    from sparseinst.video import predict_video as predict_video
    from sparseinst.video import track as track
    from sparseinst.zoo import convert as convert
    from sparseinst.zoo import load_model as load_model

_HOMES = {
    "InputError": "sparseinst.errors",
    "Instances": "sparseinst.structures",
    "Predictions": "sparseinst.structures",
    "Predictor": "sparseinst.inference",
    "Tracker": "sparseinst.video",
    "VideoResult": "sparseinst.video",
    "convert": "sparseinst.zoo",
    "draw": "sparseinst.drawing",
    "evaluate": "sparseinst.evaluation",
    "export": "sparseinst.exporting:export_model",
    "load_model": "sparseinst.zoo",
    "predict_files": "sparseinst.inference",
    "predict_video": "sparseinst.video",
    "push_to_hub": "sparseinst.hub",
    "to_coco": "sparseinst.inference",
    "to_detections": "sparseinst.inference",
    "track": "sparseinst.video",
    "train": "sparseinst.training",
}
"""Public name -> module that defines it (and its name there, if another); imported on first use (PEP 562), so that
`import sparseinst` costs nothing.
"""

__all__ = [
    "InputError",
    "Instances",
    "Predictions",
    "Predictor",
    "Tracker",
    "VideoResult",
    "__version__",
    "convert",
    "draw",
    "evaluate",
    "export",
    "load_model",
    "predict_files",
    "predict_video",
    "push_to_hub",
    "to_coco",
    "to_detections",
    "track",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sparseinst' has no attribute {name!r}")
    module, _, own = _HOMES[name].partition(":")
    value = getattr(import_module(module), own or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
