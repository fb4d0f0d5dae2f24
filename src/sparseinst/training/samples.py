"""A picture of what a network is shown: augmented training images with their masks."""

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sparseinst.data.channels import shown
from sparseinst.data.coco import CocoDataset
from sparseinst.data.loader import EpochSampler, Sample, TrainingSet
from sparseinst.data.transforms import TrainTransform
from sparseinst.drawing.instances import draw_as
from sparseinst.drawing.palette import contrasting
from sparseinst.inference.writers import write_image
from sparseinst.masks import rle
from sparseinst.recipe import Preset
from sparseinst.structures import Instances

SAMPLES = "samples.png"
_COUNT = 12
_COLUMNS = 4
_CELL_PX = 320
"""Longest side of a sample in the picture."""
_GAP_PX = 6


def draw_samples(path: Path, dataset: CocoDataset, preset: Preset) -> None:
    """Draws the first samples that training sees, as it sees them, but for what is padded.

    Args:
        path: the PNG to write.
        dataset: the training images.
        preset: the settings; the samples are those of the run's own seed.
    """
    recipe, model = preset.recipe, preset.model
    samples = TrainingSet(
        dataset.remap(model.classes), TrainTransform(recipe.augment, model.preprocess), model.mask_stride,
        recipe.seed,
    )  # fmt: skip
    keys = (key for batch in EpochSampler(len(samples), recipe.batch, recipe.seed) for key in batch)
    cells = [_drawn(samples[key], model.classes, model.mask_stride) for key in islice(keys, _COUNT)]
    write_image(path, _grid(cells))


def _drawn(sample: Sample, classes: tuple[str, ...], stride: int) -> NDArray[np.uint8]:
    """One sample with its masks, which are those of the mask grid, enlarged."""
    image = shown(sample.image.permute(1, 2, 0).numpy())
    height, width = image.shape[:2]
    grid = sample.targets.masks.float().numpy()
    size_wh = (grid.shape[2] * stride, grid.shape[1] * stride)
    dense = [cv2.resize(mask, size_wh, interpolation=cv2.INTER_LINEAR)[:height, :width] > 0.5 for mask in grid]
    masks = np.array(dense, bool).reshape(-1, height, width)
    instances = Instances(
        np.ones(len(masks), np.float32), sample.targets.labels.numpy(), rle.encode(masks), np.arange(len(masks)),
        (height, width),
    )  # fmt: skip
    instances = instances[instances.areas > 0]
    texts = [classes[label] if len(classes) > 1 else "" for label in instances.labels]
    scale = max(1, _CELL_PX // max(height, width))
    drawn = draw_as(np.ascontiguousarray(image), instances, texts, contrasting(instances.boxes), scale=scale)
    factor = _CELL_PX / max(drawn.shape[:2])
    if factor >= 1:
        return drawn
    size = (max(1, round(drawn.shape[1] * factor)), max(1, round(drawn.shape[0] * factor)))
    return np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), np.uint8)


def _grid(cells: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Cells in rows of four, on white."""
    rows = [cells[start : start + _COLUMNS] for start in range(0, len(cells), _COLUMNS)]
    width = max(cell.shape[1] for cell in cells) + _GAP_PX
    heights = [max(cell.shape[0] for cell in row) + _GAP_PX for row in rows]
    picture = np.full((sum(heights) - _GAP_PX, len(rows[0]) * width - _GAP_PX, 3), 255, np.uint8)
    for row, top in zip(rows, np.cumsum([0, *heights]).tolist(), strict=False):
        for column, cell in enumerate(row):
            left = column * width
            picture[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return picture
