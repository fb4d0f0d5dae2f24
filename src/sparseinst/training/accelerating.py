"""Accelerate's engine: precision, accumulation, and one process or many."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

from sparseinst.errors import InputError
from sparseinst.recipe import Recipe

_PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
_PATIENCE = timedelta(hours=1)
"""How long processes wait for the one that scores what all of them found."""


def make_accelerator(
    recipe: Recipe,
    device: torch.device,
    *,
    log: Sequence[str] = (),
    folder: Path | None = None,
    batch_is_open: bool = False,
) -> Any:
    """Accelerate's engine for a recipe: precision, accumulation and, under torchrun, several processes.

    Args:
        recipe: what it depends on.
        device: where to run.
        log: names of the trackers that it is to have (see `trackers`).
        folder: where those put their files that have a folder.
        batch_is_open: the batch is still to be found, and the recipe's means nothing.

    Raises:
        InputError: accelerate is missing, the precision does not run on the device, or the batch cannot be split.
    """
    try:
        from accelerate import Accelerator
        from accelerate.utils import InitProcessGroupKwargs
    except ImportError as error:
        raise InputError(f"training needs the extra: pip install 'sparseinst[train]' ({error})") from error
    if recipe.precision == "fp16" and device.type != "cuda":
        raise InputError(f"setting precision: fp16 trains on cuda only, got device {device}: use bf16 or fp32")
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # accelerate takes the current one
    accelerator = Accelerator(
        mixed_precision=_PRECISIONS[recipe.precision],
        gradient_accumulation_steps=recipe.optim.accumulate,
        cpu=device.type == "cpu",
        log_with=list(log) or None,
        project_dir=folder,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
    )
    if accelerator.device.type != device.type:
        raise InputError(f"device {device}: accelerate would run on {accelerator.device}: use that device or cpu")
    if not batch_is_open and recipe.batch % accelerator.num_processes:
        raise InputError(
            f"setting batch: expected a multiple of the {accelerator.num_processes} processes, got {recipe.batch}: "
            "it is the number of images over all processes"
        )
    return accelerator


def release_accelerator() -> None:
    """Forgets accelerate's process-wide state, so that a later run may have another precision or device."""
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
