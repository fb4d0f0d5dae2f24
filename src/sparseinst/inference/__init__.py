"""Images in, instances out, and files about them."""

from sparseinst.inference.label_tiff import write_label_tiff
from sparseinst.inference.outcome import Failure, ImageResult, RunSummary, Table
from sparseinst.inference.prediction import predict_files
from sparseinst.inference.predictor import Predictor
from sparseinst.inference.writers import (
    OutputStems,
    label_image,
    to_coco,
    to_detections,
    write_image,
    write_json,
    write_labels,
)

__all__ = [
    "Failure", "ImageResult", "OutputStems", "Predictor", "RunSummary", "Table", "label_image", "predict_files",
    "to_coco",
    "to_detections", "write_image", "write_json", "write_label_tiff", "write_labels",
]  # fmt: skip
