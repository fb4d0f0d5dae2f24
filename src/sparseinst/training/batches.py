"""The batches of a run, as this process takes them."""

from collections.abc import Iterator
from itertools import islice

from sparseinst.batch import Batch
from sparseinst.data.coco import CocoDataset
from sparseinst.data.loader import training_loader
from sparseinst.errors import InputError
from sparseinst.recipe import Preset
from sparseinst.training.engine import Engine


def batches_from(iteration: int, dataset: CocoDataset, preset: Preset, engine: Engine) -> Iterator[Batch]:
    """This process's share of the batches after so many iterations."""
    accelerator = engine.accelerator
    return iter(training_loader(
        dataset, preset.model, preset.recipe, start_iteration=iteration, rank=accelerator.process_index,
        world=accelerator.num_processes, pin_memory=accelerator.device.type == "cuda",
    ))  # fmt: skip


def take(batches: Iterator[Batch], count: int) -> list[Batch]:
    """The next batches.

    Raises:
        InputError: a training image cannot be read.
    """
    try:
        return list(islice(batches, count))
    except InputError as error:
        # A loader process sends its traceback within the message.
        raise InputError(str(error).rsplit("InputError: ", 1)[-1].strip()) from error
