"""The network as CUDA graphs: hundreds of kernels that one call starts, where starting each takes longer than it runs.

A graph is recorded for one shape and always reads and writes the same memory. So inputs are copied in and candidates
copied out, all in the order of the stream: what was handed out stays as it is.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from sparseinst.predictions import Candidates

Forward = Callable[[Tensor, Tensor], Candidates]
"""(B, channels, H, W) uint8 padded images and (B, 2) int64 sizes within the frame to candidates."""


class Capture(Protocol):
    """Records runs."""

    def __call__(self, run: Forward, images: Tensor, resized_hw: Tensor) -> Forward:
        """What does the same as `run` for inputs of these shapes, sooner; the values do not matter."""

    def wait(self) -> None:
        """Returns when nothing that was recorded is still under way."""


class ShapeCache:
    """Runs each shape plainly the first time and recorded from the second on; may be called from several threads.

    An image of a size that never comes again is not worth recording.

    Args:
        run: what is run.
        capture: what records it.
        most: records kept, those used last.
    """

    def __init__(self, run: Forward, capture: Capture, *, most: int = 16) -> None:
        self._run, self._capture, self._most = run, capture, most
        self._seen: set[tuple[object, ...]] = set()
        self._recorded: OrderedDict[tuple[object, ...], Forward] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        """Candidates of padded images; of a shape that came before by its recorded graph."""
        key = (images.dtype, *images.shape)
        with self._lock:
            if key not in self._seen:
                self._seen.add(key)
                return self._run(images, resized_hw)
            if key not in self._recorded:
                self._make_room()
                self._recorded[key] = self._capture(self._run, images, resized_hw)
            self._recorded.move_to_end(key)
            return self._recorded[key](images, resized_hw)

    def _make_room(self) -> None:
        if len(self._recorded) == self._most:
            self._capture.wait()
            self._recorded.popitem(last=False)


class CudaGraphs:
    """Records CUDA graphs. One runs at a time, so all share the memory for what they compute in between.

    Args:
        device: the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._done = torch.cuda.Event()

    def wait(self) -> None:
        """Waits until the graph that ran last is done, so that its memory may go."""
        self._done.synchronize()

    def __call__(self, run: Forward, images: Tensor, resized_hw: Tensor) -> Forward:
        """Records what `run` does with tensors of these shapes, and gives what does it again."""
        with torch.cuda.device(self._device):
            inputs = images.clone(), resized_hw.clone()
            torch.cuda.current_stream().wait_event(self._done)
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):  # libraries choose and load their kernels on first use, which none records
                run(*inputs)
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            # Other threads, such as those that read images, may go on using the GPU meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                outputs = run(*inputs)

        def replay(images: Tensor, resized_hw: Tensor) -> Candidates:
            with torch.cuda.device(self._device):
                stream = torch.cuda.current_stream()
                stream.wait_event(self._done)  # of the run before, which may have been given to another stream
                for static, given in zip(inputs, (images, resized_hw), strict=True):
                    static.copy_(given, non_blocking=True)
                graph.replay()
                found = Candidates._make(output.clone() if isinstance(output, Tensor) else None for output in outputs)
                self._done.record(stream)
                return found

        return replay
