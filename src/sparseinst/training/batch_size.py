"""The largest batch that fits, found by trying."""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from sparseinst.batch import Batch
from sparseinst.data.coco import CocoDataset
from sparseinst.errors import InputError
from sparseinst.ops.processes import largest
from sparseinst.recipe import Preset
from sparseinst.training.batches import batches_from, take
from sparseinst.training.engine import Engine
from sparseinst.training.settings import apply_settings

_LARGEST = {"cuda": 256, "cpu": 32}
_MEMORY_SHARE = 0.8
"""Of the memory; the rest is for batches with more objects than those tried."""
_GAIN = 1.05
"""How much faster (images a second) a larger batch must be on a CPU, where each iteration takes as much longer."""
_WHOLE = 10_000
"""Parts of the memory that processes tell each other of."""
_STEPS = 2
"""Steps timed for each batch, after one that is not."""


class Trial(NamedTuple):
    """What a batch was like."""

    batch: int
    """In each process."""
    images_per_s: float
    """Of all processes."""
    memory_share: float
    """Of the fullest device, in 0..1."""


def fitting_batch(preset: Preset, dataset: CocoDataset, engine: Engine) -> tuple[int, str]:
    """The batch over all processes, and a line that says why.

    On a GPU it is the largest power of two whose steps take at most 80 % of the memory. On a CPU, where memory is
    rarely the limit, it is doubled as long as that trains more images a second.

    Several processes try the same batches together, and the slowest and the fullest of them decides. None of them may
    run out of memory while others wait for it: a batch is tried where twice the memory of the one before is not too
    much.

    Args:
        preset: the settings, with any batch.
        dataset: training images, of which the trial takes those that training begins with.
        engine: fresh; it is not fresh afterwards.

    Raises:
        InputError: not even two images fit.
    """
    device, processes = engine.accelerator.device, engine.accelerator.num_processes
    most = max(1, min(_LARGEST.get(device.type, _LARGEST["cpu"]), len(dataset) // processes))
    tried: list[Trial] = []
    batch = min(2, most)
    while batch <= most:
        if processes > 1 and tried and 2 * tried[-1].memory_share > _MEMORY_SHARE:
            break
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
    whole = best.batch * processes
    each = f" ({best.batch} in each of {processes} processes)" if processes > 1 else ""
    return whole, f"batch {whole}{each}: {best.images_per_s:.3g} images/s, {why}"


def _try(preset: Preset, dataset: CocoDataset, engine: Engine, batch: int) -> Trial | None:
    """Steps with so many images in each process; None if they do not fit into the memory."""
    device, processes = engine.accelerator.device, engine.accelerator.num_processes
    batches = batches_from(0, dataset, apply_settings(preset, {"batch": batch * processes, "workers": 0}), engine)
    count = preset.recipe.optim.accumulate
    steps = [take(batches, count) for _ in range(1 + _STEPS)]
    share = _memory(device)
    try:
        seconds = _timed(lambda own: engine.step(own, done=0), iter(steps), device)
    except torch.cuda.OutOfMemoryError as error:
        if processes > 1:  # the others wait for this step: they end with this process
            raise InputError(
                f"batch: expected {batch} images to fit on {device} in each process, they do not: lower --size"
            ) from error
        torch.cuda.empty_cache()
        return None
    slowest_us, fullest = largest((max(1, round(1e6 * seconds)), round(_WHOLE * share())), device)
    return Trial(batch, _STEPS * count * batch * processes / (1e-6 * slowest_us), fullest / _WHOLE)


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
