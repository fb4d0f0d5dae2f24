"""From images to instances and to files: backends, the predictor, what it reads and what it writes."""

from sparseinst.inference.backends import BACKENDS, SUFFIXES, Backend, is_exported, open_backend
from sparseinst.inference.devices import resolve_device
from sparseinst.inference.label_tiff import write_label_tiff
from sparseinst.inference.predict import predict_files
from sparseinst.inference.predictor import Predictor
from sparseinst.inference.results import Failure, ImageResult, Report, Table
from sparseinst.inference.sources import IMAGE_SUFFIXES, Sources, find_sources, list_sources
from sparseinst.inference.torch_backend import EagerBackend, TorchBackend
from sparseinst.inference.video_frame import VideoFrame, VideoSource
from sparseinst.inference.video_source import VIDEO_SUFFIXES, is_video, open_video
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
    "BACKENDS", "IMAGE_SUFFIXES", "SUFFIXES", "VIDEO_SUFFIXES", "Backend", "EagerBackend", "Failure", "ImageResult",
    "OutputStems", "Predictor", "Report", "Sources", "Table", "TorchBackend", "VideoFrame", "VideoSource",
    "find_sources", "is_exported", "is_video", "label_image", "list_sources", "open_backend", "open_video",
    "predict_files", "resolve_device", "to_coco", "to_detections", "write_image", "write_json", "write_label_tiff",
    "write_labels",
]  # fmt: skip
