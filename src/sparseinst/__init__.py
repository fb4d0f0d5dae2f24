"""Real-time instance segmentation with sparse instance activation maps (SparseInst, CVPR 2022)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sparseinst.version import __version__

if TYPE_CHECKING:
    from sparseinst.drawing.instances import draw as draw
    from sparseinst.errors import InputError as InputError
    from sparseinst.evaluation.evaluator import evaluate as evaluate
    from sparseinst.exporting.exporter import export_model as export
    from sparseinst.hub.publish import push_to_hub as push_to_hub
    from sparseinst.inference.prediction import predict_files as predict_files
    from sparseinst.inference.predictor import Predictor as Predictor
    from sparseinst.inference.writers import to_coco as to_coco
    from sparseinst.inference.writers import to_detections as to_detections
    from sparseinst.predictions import Predictions as Predictions
    from sparseinst.structures import Instances as Instances
    from sparseinst.training.trainer import train as train
    from sparseinst.video.follow import track as track
    from sparseinst.video.outcome import VideoResult as VideoResult
    from sparseinst.video.prediction import predict_video as predict_video
    from sparseinst.video.tracking import Tracker as Tracker
    from sparseinst.zoo.conversion import convert as convert
    from sparseinst.zoo.models import load_model as load_model

_HOMES = {
    "InputError": "sparseinst.errors",
    "Instances": "sparseinst.structures",
    "Predictions": "sparseinst.predictions",
    "Predictor": "sparseinst.inference.predictor",
    "Tracker": "sparseinst.video.tracking",
    "VideoResult": "sparseinst.video.outcome",
    "convert": "sparseinst.zoo.conversion",
    "draw": "sparseinst.drawing.instances",
    "evaluate": "sparseinst.evaluation.evaluator",
    "export": "sparseinst.exporting.exporter:export_model",
    "load_model": "sparseinst.zoo.models",
    "predict_files": "sparseinst.inference.prediction",
    "predict_video": "sparseinst.video.prediction",
    "push_to_hub": "sparseinst.hub.publish",
    "to_coco": "sparseinst.inference.writers",
    "to_detections": "sparseinst.inference.writers",
    "track": "sparseinst.video.follow",
    "train": "sparseinst.training.trainer",
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
