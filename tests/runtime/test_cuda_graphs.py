"""What is recorded and when, and that results outlive the next run; stand-ins take the place of a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
import torch
from torch import Tensor

from sparseinst.runtime.cuda_graphs import CudaGraphs, Run, ShapeCache
from sparseinst.structures import Candidates


def brightness(images: Tensor, resized_hw: Tensor) -> Candidates:
    means = images.float().mean((2, 3))
    return Candidates(means, resized_hw, images.float(), 2 * means)


class Recorder:
    """Notes the shapes that it is asked to record."""

    def __init__(self) -> None:
        self.recorded: list[tuple[int, ...]] = []
        self.replayed: list[tuple[int, ...]] = []
        self.waits = 0

    def wait(self) -> None:
        self.waits += 1

    def __call__(self, run: Run, images: Tensor, resized_hw: Tensor) -> Run:
        shape = tuple(images.shape)
        self.recorded.append(shape)

        def replay(images: Tensor, resized_hw: Tensor) -> Candidates:
            assert tuple(images.shape) == shape
            self.replayed.append(shape)
            return run(images, resized_hw)

        return replay


def call(run: Run, width: int, *, value: int = 7) -> Candidates:
    return run(torch.full((1, 3, 2, width), value, dtype=torch.uint8), torch.tensor([[2, width]]))


def test_a_shape_is_recorded_when_it_comes_again() -> None:
    recorder = Recorder()
    cache = ShapeCache(brightness, recorder)
    for value in range(4):
        assert call(cache, 5, value=value).scores.tolist() == [[value] * 3]
    call(cache, 6)
    assert recorder.recorded == [(1, 3, 2, 5)] and len(recorder.replayed) == 3


def test_the_shapes_used_last_are_kept() -> None:
    recorder = Recorder()
    cache = ShapeCache(brightness, recorder, most=2)
    for width in (1, 1, 2, 2, 1, 3, 3):  # 3 takes the place of 2
        call(cache, width)
    call(cache, 1)
    assert [shape[-1] for shape in recorder.recorded] == [1, 2, 3] and recorder.waits == 1
    call(cache, 2)
    assert [shape[-1] for shape in recorder.recorded] == [1, 2, 3, 2] and recorder.waits == 2


class Graph:
    """Replays the last run: with the same inputs, into the same outputs."""

    current: "Graph"

    def replay(self) -> None:
        for output, value in zip(self.outputs, brightness(*self.inputs)[:4], strict=True):
            output.copy_(value)


@contextmanager
def recording(graph: Graph, **_: object) -> Iterator[None]:
    Graph.current = graph
    yield


class Stream:
    def wait_stream(self, other: "Stream") -> None: ...
    def wait_event(self, event: object) -> None: ...


class Event:
    def record(self, stream: Stream) -> None: ...
    def synchronize(self) -> None: ...


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> CudaGraphs:
    one = Stream()
    replaced = {
        "CUDAGraph": Graph, "graph": recording, "Stream": lambda: one, "Event": Event, "current_stream": lambda: one,
        "graph_pool_handle": lambda: None, "stream": lambda _: nullcontext(), "device": lambda _: nullcontext(),
    }  # fmt: skip
    for name, stand_in in replaced.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return CudaGraphs(torch.device("cuda"))


def test_what_was_handed_out_stays_and_what_was_given_is_not_kept(graphs: CudaGraphs) -> None:
    def noted(images: Tensor, resized_hw: Tensor) -> Candidates:
        found = brightness(images, resized_hw)
        if hasattr(Graph, "current"):
            Graph.current.inputs, Graph.current.outputs = (images, resized_hw), found[:4]
        return found

    images = torch.full((1, 3, 2, 4), 9, dtype=torch.uint8)
    replay = graphs(noted, images, torch.tensor([[2, 4]]))
    images.fill_(0)
    first, second = call(replay, 4, value=3), call(replay, 4, value=5)
    assert first.scores.tolist() == [[3.0] * 3] and second.scores.tolist() == [[5.0] * 3]
    assert first.activation is None and first.labels.tolist() == [[2, 4]]
