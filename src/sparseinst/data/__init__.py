"""From image files and COCO annotations to batches."""

from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats import DataSource, Split, resolve_data
from sparseinst.data.geometry import Prepared, frame_hw, prepare, resize, resized_hw, stack
from sparseinst.data.images import read_image, to_rgb8
from sparseinst.data.large import LargeImage, is_zarr, large_size_hw, open_large
from sparseinst.data.loader import (
    EpochSampler,
    Sample,
    TrainingSet,
    batches_per_epoch,
    collate,
    iterations_of,
    training_loader,
)
from sparseinst.data.pages import Page, read_pages
from sparseinst.data.sizes import ObjectSizes, describe_sizes, measure_sizes
from sparseinst.data.synthetic import Synthesis, synthesise
from sparseinst.data.synthetic_scene import SceneConfig
from sparseinst.data.targets import reduce_masks
from sparseinst.data.transforms import TrainTransform

__all__ = [
    "CocoDataset",
    "DataSource",
    "EpochSampler",
    "LargeImage",
    "ObjectSizes",
    "Page",
    "Prepared",
    "Sample",
    "SceneConfig",
    "Split",
    "Synthesis",
    "TrainTransform",
    "TrainingSet",
    "batches_per_epoch",
    "collate",
    "describe_sizes",
    "frame_hw",
    "is_zarr",
    "iterations_of",
    "large_size_hw",
    "measure_sizes",
    "open_large",
    "prepare",
    "read_image",
    "read_pages",
    "reduce_masks",
    "resize",
    "resized_hw",
    "resolve_data",
    "stack",
    "synthesise",
    "to_rgb8",
    "training_loader",
]
