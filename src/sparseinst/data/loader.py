"""Training batches in an order, and with a randomness, that (seed, epoch, index) alone decide.

So a run can be resumed at any iteration, and neither the number of workers nor that of processes changes what an image
looks like in an epoch.
"""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from sparseinst.batch import Batch, Targets
from sparseinst.config.model import ModelConfig
from sparseinst.data.coco import CocoDataset
from sparseinst.data.copy_paste import View, copy_paste
from sparseinst.data.geometry import frame_hw as padded_hw
from sparseinst.data.prepare import pad
from sparseinst.data.seen import Seen, draw_layers
from sparseinst.data.targets import draw_targets, reduce_masks
from sparseinst.data.transforms import TrainTransform
from sparseinst.errors import InputError
from sparseinst.recipe import Recipe

Key = tuple[int, int]
"""(epoch, index of the image)."""

_OUTLIVES_SIGTERM_S = 300.0
"""How long a loader process outlives SIGTERM: longer than a step takes on a machine that is busy with other things."""


class Sample(NamedTuple):
    """One transformed training image."""

    image: Tensor
    """(channels, h, w) uint8, in whatever order it lies in memory."""
    targets: Targets
    """On the mask grid of the image padded to the next multiples of 32."""
    image_id: int


class TrainingSet(Dataset[Sample]):
    """Transformed images and their targets, indexed by (epoch, index); with copy-paste, also of another image.

    Args:
        dataset: images and masks; its labels are those that the targets get.
        transform: random changes drawn from torch's global generator.
        mask_stride: input pixels of one cell of the mask grid.
        seed: decides the randomness together with epoch and index.
    """

    def __init__(self, dataset: CocoDataset, transform: TrainTransform, mask_stride: int, seed: int) -> None:
        self.dataset = dataset
        self.transform = transform
        self.mask_stride = mask_stride
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> Sample:
        epoch, index = key
        # Only the CPU generator is touched, and given back: without workers this runs in the training process.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(_hash(self.seed, epoch, index))
            image, seen = self._changed(index)
            augment = self.transform.augment
            if torch.rand(()).item() < augment.copy_paste and len(self) > 1:
                other = self._other(index)
                view = copy_paste(
                    self._layered(index, image, seen), self._layered(other, *self._changed(other)),
                    augment.copy_paste_share,
                )  # fmt: skip
                image, targets = view.image, reduce_masks(view.layers, view.labels, self.mask_stride)
            else:
                strips, labels = self.dataset.strips(index), self.dataset.labels(index)
                targets = draw_targets(strips, seen, self.dataset.size_hw(index), labels, self.mask_stride)
        return Sample(image, targets, int(self.dataset.image_ids[index]))

    def _changed(self, index: int) -> tuple[Tensor, Seen]:
        image_hw = self.dataset.size_hw(index)
        shrink = self.transform.shrink(image_hw)
        image = torch.from_numpy(self.dataset.image(index, self.transform.preprocess, shrink=shrink))
        return self.transform(image.permute(2, 0, 1), image_hw)

    def _layered(self, index: int, image: Tensor, seen: Seen) -> View:
        layers = draw_layers(self.dataset.strips(index), seen, self.dataset.size_hw(index))
        return View(image, torch.from_numpy(layers), self.dataset.labels(index))

    def _other(self, index: int) -> int:
        """Another image, each with the same probability."""
        other = int(torch.randint(len(self) - 1, ()).item())
        return other + (other >= index)


class EpochSampler(Sampler[list[Key]]):
    """Batches of (epoch, index), for ever.

    Each epoch is shuffled by (seed, epoch) and holds every image once, whatever the batch and the number of processes;
    the epochs follow each other without a gap, so that a batch may hold images of two, or of several.

    Args:
        size: number of images.
        batch: images of a batch over all processes.
        seed: decides the order together with the epoch.
        start: number of the batch to begin with.
        rank: number of this process, which gets every `world`-th image of each batch.
        world: number of processes.

    Raises:
        InputError: the batch cannot be split evenly over the processes, or there is no image.
    """

    def __init__(self, size: int, batch: int, seed: int, *, start: int = 0, rank: int = 0, world: int = 1) -> None:
        if size < 1:
            raise InputError("expected at least one training image, got none: check the annotation file")
        if batch % world:
            raise InputError(
                f"batch: expected a multiple of the {world} processes, got {batch}: the batch is split evenly over them"
            )
        self.size, self.batch, self.seed = size, batch, seed
        self.start, self.rank, self.world = start, rank, world

    def __iter__(self) -> Iterator[list[Key]]:
        number = self.start
        orders: dict[int, list[int]] = {}
        while True:
            first = number * self.batch
            keys = [divmod(first + item, self.size) for item in range(self.batch)]  # epoch, place in its order
            orders = {epoch: orders.get(epoch) or self._order(epoch) for epoch in {epoch for epoch, _ in keys}}
            yield [(epoch, orders[epoch][place]) for epoch, place in keys[self.rank :: self.world]]
            number += 1

    def _order(self, epoch: int) -> list[int]:
        generator = np.random.default_rng(np.random.SeedSequence([self.seed, epoch]))
        return [int(index) for index in generator.permutation(self.size)]


def collate(samples: Sequence[Sample], mask_stride: int, frame_hw: tuple[int, int] | None = None) -> Batch:
    """Pads images and targets at the bottom and right to one frame: the fixed one, or the batch's largest.

    Raises:
        InputError: an image does not fit into the fixed frame.
    """
    frames = [padded_hw((sample.image.shape[1], sample.image.shape[2]), frame_hw) for sample in samples]
    frame = max(height for height, _ in frames), max(width for _, width in frames)
    sizes = [len(sample.targets) for sample in samples]
    # One storage for all masks: each storage that a worker sends costs a file descriptor.
    masks = torch.zeros(sum(sizes), frame[0] // mask_stride, frame[1] // mask_stride, dtype=torch.float16)
    labels = torch.cat([sample.targets.labels for sample in samples])
    for part, sample in zip(masks.split(sizes), samples, strict=True):
        height, width = sample.targets.masks.shape[1:]
        part[:, :height, :width] = sample.targets.masks
    images = torch.zeros(len(samples), samples[0].image.shape[0], *frame, dtype=torch.uint8)
    for place, sample in zip(images, samples, strict=True):
        place[:, : sample.image.shape[1], : sample.image.shape[2]] = sample.image
    return Batch(
        images,
        torch.tensor([sample.image.shape[1:] for sample in samples], dtype=torch.int64),
        tuple(map(Targets, labels.split(sizes), masks.split(sizes))),
        tuple(sample.image_id for sample in samples),
    )


def enlarged(batch: Batch, frame_hw: tuple[int, int]) -> Batch:
    """A batch padded on, at the bottom and right, to a frame that is no smaller than its own."""
    own_hw = batch.images.shape[2:]
    if tuple(own_hw) == frame_hw:
        return batch

    def masks(target: Targets) -> Tensor:
        height, width = target.masks.shape[1:]
        return pad(target.masks, (height * frame_hw[0] // own_hw[0], width * frame_hw[1] // own_hw[1]))

    targets = tuple(Targets(target.labels, masks(target)) for target in batch.targets)
    return Batch(pad(batch.images, frame_hw), batch.resized_hw, targets, batch.image_ids)


def iterations_of(epochs: float, images: int, recipe: Recipe) -> int:
    """Optimiser steps of so many passes over the images, at least one."""
    return max(1, round(epochs * images / (recipe.batch * recipe.optim.accumulate)))


def training_loader(
    dataset: CocoDataset,
    model_config: ModelConfig,
    recipe: Recipe,
    *,
    start_iteration: int = 0,
    rank: int = 0,
    world: int = 1,
    pin_memory: bool = False,
) -> DataLoader[Batch]:
    """An endless loader of training batches; `recipe.optim.accumulate` of them make an iteration.

    Args:
        dataset: the training images; their categories meet the model's classes by name.
        model_config: classes, preprocessing and mask stride of the network.
        recipe: batch, seed, workers and augmentation.
        start_iteration: optimiser steps already taken; the loader goes on from there.
        rank: number of this process.
        world: number of processes.
        pin_memory: give batches in page-locked memory.

    Raises:
        InputError: there is nothing to learn from, categories are missing in the model, or the batch cannot be split.
    """
    if not dataset.instances:
        raise InputError(f"{dataset.annotations}: expected annotated instances, got none: nothing can be learnt")
    preprocess, augment = model_config.preprocess, recipe.augment
    samples = TrainingSet(
        dataset.remap(model_config.classes),
        TrainTransform(augment, preprocess),
        model_config.mask_stride,
        recipe.seed,
    )
    start = start_iteration * recipe.optim.accumulate
    sampler = EpochSampler(len(samples), recipe.batch, recipe.seed, start=start, rank=rank, world=world)
    items: Dataset[Any] = samples  # collated to batches
    return DataLoader(
        items,
        batch_sampler=sampler,
        num_workers=recipe.workers,
        collate_fn=partial(collate, mask_stride=model_config.mask_stride, frame_hw=augment.frame_hw),
        pin_memory=pin_memory,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # its draw is used by nobody: leave the global one, which training uses, alone
    )


def _hash(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def _start_worker(worker: int) -> None:
    """The processes are the parallelism; threads within them only fight for the cores.

    Ctrl-C and SIGTERM often reach every process of a group, but it is for the training process to end its loaders:
    until it has saved what it has learnt, it needs them.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_later)


def _end_later(number: int, frame: FrameType | None) -> None:
    timer = threading.Timer(_OUTLIVES_SIGTERM_S, os._exit, (0,))
    timer.daemon = True
    timer.start()
