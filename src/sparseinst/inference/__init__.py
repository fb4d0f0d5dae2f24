"""From images to instances and to files: backends, the predictor, what it reads and what it writes."""

from sparseinst.inference.backends import BACKENDS, SUFFIXES, Backend, is_exported, open_backend
from sparseinst.inference.devices import resolve_device
from sparseinst.inference.predict import predict_files
from sparseinst.inference.predictor import Predictor
from sparseinst.inference.results import Failure, ImageResult, Report, Table
from sparseinst.inference.sources import IMAGE_SUFFIXES, list_sources
from sparseinst.inference.torch_backend import EagerBackend, TorchBackend
from sparseinst.inference.writers import (
    label_image,
    output_stems,
    to_coco,
    to_detections,
    write_image,
    write_json,
    write_labels,
)

__all__ = [
    "BACKENDS", "IMAGE_SUFFIXES", "SUFFIXES", "Backend", "EagerBackend", "Failure", "ImageResult", "Predictor",
    "Report", "Table", "TorchBackend", "is_exported", "label_image", "list_sources", "open_backend", "output_stems",
    "predict_files", "resolve_device", "to_coco", "to_detections", "write_image", "write_json", "write_labels",
]  # fmt: skip
