"""Copies from a device to the host that are waited for as late as possible."""

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def fetch(*tensors: Tensor) -> Callable[[], list[NDArray[Any]]]:
    """Starts copying tensors of one device to the host.

    Returns:
        What waits for the copies, and for nothing that the GPU was given later, and gives them as arrays. They may lie
        in page-locked memory, of which there is little: copy what is to be kept.
    """
    copies = [tensor.to("cpu", non_blocking=tensor.is_cuda) for tensor in tensors]  # non-blocking: page-locked
    if not tensors or not tensors[0].is_cuda:
        return lambda: [copy.numpy() for copy in copies]
    arrived = torch.cuda.Event()
    arrived.record(torch.cuda.current_stream(tensors[0].device))

    def wait() -> list[NDArray[Any]]:
        arrived.synchronize()
        return [copy.numpy() for copy in copies]

    return wait
