"""What the processes of a run tell each other about their parts of a batch; alone, a process is all there is."""

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

Value = TypeVar("Value")


def share(count: int, device: torch.device | str) -> Tensor:
    """What a sum over this process's part of a batch is divided by, so that the mean over processes is the whole's.

    Args:
        count: terms of the sum in this process.
        device: where to put the number; every process must ask for it.

    Returns:
        () the mean of the counts over processes, of which all together have at least 1.
    """
    total = torch.tensor(float(count), device=device)
    if not _several():
        return total.clamp(min=1)
    distributed.all_reduce(total)
    return total.clamp(min=1) / distributed.get_world_size()


def largest(values: tuple[int, int], device: torch.device) -> tuple[int, int]:
    """The larger of two numbers each, over all processes, every one of which must ask."""
    if not _several():
        return values
    joint = torch.tensor(values, device=device)
    distributed.all_reduce(joint, op=distributed.ReduceOp.MAX)
    first, second = joint.tolist()
    return first, second


def gathered(value: Value) -> list[Value]:
    """In the first process what all processes gave, in their order, and nothing in the others; all must take part."""
    if not _several():
        return [value]
    first = distributed.get_rank() == 0
    found: list[Any] | None = [None] * distributed.get_world_size() if first else None
    distributed.gather_object(value, found)
    return found or []


def take_of_first(tensors: Iterable[Tensor]) -> None:
    """Overwrites tensors with those of the first process, in place; all must take part."""
    if _several():
        for tensor in tensors:
            distributed.broadcast(tensor, 0)


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()
