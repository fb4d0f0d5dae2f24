"""What a run does with its validation images: figures and pictures."""

import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sparseinst.data.channels import shown
from sparseinst.data.coco import CocoDataset, read_told
from sparseinst.data.formats.source import Split
from sparseinst.drawing.instances import draw, legible_scale
from sparseinst.evaluation.evaluator import detect, score_found
from sparseinst.evaluation.figures import Evaluation
from sparseinst.files import fitting
from sparseinst.inference.pipeline import Pipeline
from sparseinst.inference.predictor import Predictor
from sparseinst.inference.writers import write_image
from sparseinst.modeling.model import SparseInst
from sparseinst.recipe import Recipe
from sparseinst.structures import Instances

_TIMED_IMAGES = 8
_GAP_PX = 8
"""White pixels between truth and prediction."""


class Validation:
    """Measures and shows a network on the validation images.

    Args:
        split: the validation images.
        classes: class names of the network.
        recipe: batch, workers, number of pictures and detections counted.
        device: where to run.
        batch: images at once.
        dataset: the same images, where they have been read already.
        rank: number of this process, which looks at every `world`-th image.
        world: number of processes.

    Raises:
        InputError: the annotation file does not fit its images or the classes.
    """

    def __init__(
        self, split: Split, classes: Sequence[str], recipe: Recipe, device: torch.device, *, batch: int,
        dataset: CocoDataset | None = None, rank: int = 0, world: int = 1,
    ) -> None:  # fmt: skip
        self.split, self.recipe, self.device, self.batch = split, recipe, device, batch
        # Read now, so that a mistake in the file is an error before the training and not after it.
        self._content = None if dataset is not None else read_told(split)
        self.dataset = (CocoDataset.of(split, self._content) if dataset is None else dataset).remap(tuple(classes))
        self.images = range(len(self.dataset))[rank::world]

    def find(self, model: SparseInst) -> list[dict[str, Any]]:
        """What a network in eval mode finds in this process's share of the images, as COCO results."""
        pipeline = Pipeline(model, device=self.device, batch=self.batch, score=0.0)
        return detect(pipeline, self.dataset, workers=self.recipe.workers, images=self.images)

    def measure(self, model: SparseInst, shares: Sequence[Sequence[Mapping[str, Any]]]) -> Evaluation:
        """AP of a network by what all processes found: that of one process, which finds the same in the same order."""
        place = {image_id: place for place, image_id in enumerate(self.dataset.image_ids.tolist())}
        results = sorted(chain.from_iterable(shares), key=lambda item: place[item["image_id"]])
        self._content = read_told(self.split) if self._content is None else self._content
        return score_found(
            self.split, results, score=model.config.postprocess.score, max_dets=self.recipe.max_dets,
            content=self._content,
        ).evaluation  # fmt: skip

    def expected_seconds(self, model: SparseInst) -> float:
        """About what measuring and drawing will take: from a few images, which a network that has learnt finds more in.

        The network may be fresh: finding, encoding and matching what a trained one sees is counted as much again.
        """
        predictor = Predictor(model, device=self.device, batch=self.batch, score=0.0)
        count, preprocess = min(_TIMED_IMAGES, len(self.dataset)), model.config.preprocess
        for _ in range(2):  # the first time is slower
            began = time.monotonic()
            predictor([self.dataset.image(index, preprocess) for index in range(count)])
        each_s = (time.monotonic() - began) / max(1, count)
        return 2 * each_s * (len(self.images) + min(self.recipe.pictures, len(self.dataset)))

    def picture(self, model: SparseInst, folder: Path) -> None:
        """Draws the first `recipe.pictures` images to `folder`, ground truth left, prediction right."""
        count = min(self.recipe.pictures, len(self.dataset))
        if not count:
            return
        folder.mkdir(parents=True, exist_ok=True)
        predictor = Predictor(model, device=self.device, batch=self.batch)
        for index in range(count):
            image = self.dataset.image(index, model.config.preprocess)
            found = predictor(image)
            picture = side_by_side(shown(image), ground_truth(self.dataset, index), found, model.config.classes)
            write_image(folder / f"{index:03}_{fitting(self.dataset.path(index).stem)}.png", picture)


def ground_truth(dataset: CocoDataset, index: int) -> Instances:
    """The annotated instances of an image, with score 1."""
    labels = dataset.labels(index)
    return Instances(
        np.ones(len(labels), np.float32), labels, dataset.rles(index), np.arange(len(labels)), dataset.size_hw(index)
    )


def side_by_side(
    image: NDArray[np.uint8], truth: Instances, found: Instances, classes: Sequence[str]
) -> NDArray[np.uint8]:
    """One picture of an image twice: with its ground truth (left) and with what was found (right)."""
    scale = legible_scale(truth.size_hw)
    left, right = (draw(image, instances, classes, scale=scale) for instances in (truth, found))
    gap = np.full((len(left), _GAP_PX, 3), 255, np.uint8)
    return np.concatenate([left, gap, right], axis=1)
