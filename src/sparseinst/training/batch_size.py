"""The largest batch that fits, found by trying."""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from sparseinst.data.coco import CocoDataset
from sparseinst.errors import InputError
from sparseinst.recipe import Preset
from sparseinst.structures import Batch
from sparseinst.training.batches import batches_from, take
from sparseinst.training.engine import Engine
from sparseinst.training.settings import apply_settings

_LARGEST = {"cuda": 256, "cpu": 32}
_MEMORY_SHARE = 0.8
"""Of the memory; the rest is for batches with more objects than those tried."""
_GAIN = 1.05
"""How much faster (images a second) a larger batch must be on a CPU, where each iteration takes as much longer."""
_STEPS = 2
"""Steps timed for each batch, after one that is not."""


class Trial(NamedTuple):
    """What a batch was like."""

    batch: int
    images_per_s: float
    memory_share: float
    """Of the device, in 0..1."""


def fitting_batch(preset: Preset, dataset: CocoDataset, engine: Engine) -> tuple[int, str]:
    """The batch for a device, and a line that says why.

    On a GPU it is the largest power of two whose steps take at most 80 % of the memory. On a CPU, where memory is
    rarely the limit, it is doubled as long as that trains more images a second.

    Args:
        preset: the settings, with any batch.
        dataset: training images, of which the trial takes those that training begins with.
        engine: fresh; it is not fresh afterwards.

    Raises:
        InputError: there are several processes, or not even two images fit.
    """
    device = engine.accelerator.device
    if engine.accelerator.num_processes > 1:
        raise InputError(
            "batch: expected a number with several processes, got auto: find it with one, and give that times the "
            "number of processes"
        )
    most = min(_LARGEST.get(device.type, _LARGEST["cpu"]), len(dataset))
    tried: list[Trial] = []
    batch = min(2, most)
    while batch <= most:
        trial = _try(preset, dataset, engine, batch)
        if trial is None or trial.memory_share > _MEMORY_SHARE:
            break
        if device.type == "cpu" and tried and trial.images_per_s < _GAIN * tried[-1].images_per_s:
            break
        tried.append(trial)
        batch *= 2
    if not tried:
        raise InputError(f"batch: expected at least {batch} images to fit on {device}, they do not: lower --size")
    best = tried[-1]
    why = "faster than a smaller one, and a larger one is not" if device.type == "cpu" else "the largest that fits"
    if best.batch * 2 > most:
        why = "the largest that was tried"
    return best.batch, f"batch {best.batch}: {best.images_per_s:.3g} images/s, {why}"


def _try(preset: Preset, dataset: CocoDataset, engine: Engine, batch: int) -> Trial | None:
    """Steps with such a batch; None if they do not fit into the memory."""
    batches = batches_from(0, dataset, apply_settings(preset, {"batch": batch, "workers": 0}), engine)
    count = preset.recipe.optim.accumulate
    steps = [take(batches, count) for _ in range(1 + _STEPS)]
    share = _memory(engine.accelerator.device)
    try:
        seconds = _timed(lambda own: engine.step(own, done=0), iter(steps), engine.accelerator.device)
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        return None
    return Trial(batch, _STEPS * count * batch / seconds, share())


def _timed(step: Callable[[list[Batch]], Any], steps: Iterator[list[Batch]], device: torch.device) -> float:
    """Seconds that all steps but the first take."""
    step(next(steps))
    began = time.monotonic()
    for own in steps:
        step(own)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic() - began


def _memory(device: torch.device) -> Callable[[], float]:
    """A function that gives the share of the memory in use at most since now."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        whole = torch.cuda.get_device_properties(device).total_memory
        return lambda: torch.cuda.max_memory_reserved(device) / whole
    import psutil

    return lambda: float(psutil.virtual_memory().percent) / 100
