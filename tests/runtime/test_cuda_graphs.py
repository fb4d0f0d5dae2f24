"""What is recorded and when, and that results outlive the next run."""

import pytest
import torch
from torch import Tensor

from sparseinst.predictions import Candidates
from sparseinst.runtime.cuda_graphs import CudaGraphs, Forward, ShapeCache


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

    def __call__(self, run: Forward, images: Tensor, resized_hw: Tensor) -> Forward:
        shape = tuple(images.shape)
        self.recorded.append(shape)

        def replay(images: Tensor, resized_hw: Tensor) -> Candidates:
            assert tuple(images.shape) == shape
            self.replayed.append(shape)
            return run(images, resized_hw)

        return replay


def call(run: Forward, width: int, *, value: int = 7, device: str = "cpu") -> Candidates:
    images = torch.full((1, 3, 2, width), value, dtype=torch.uint8, device=device)
    return run(images, torch.tensor([[2, width]], device=device))


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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that records CUDA graphs")
def test_what_was_handed_out_stays_and_what_was_given_is_not_kept() -> None:
    device = torch.device("cuda")
    images = torch.full((1, 3, 2, 4), 9, dtype=torch.uint8, device=device)
    replay = CudaGraphs(device)(brightness, images, torch.tensor([[2, 4]], device=device))
    images.fill_(0)
    first, second = (call(replay, 4, value=value, device="cuda") for value in (3, 5))
    torch.cuda.synchronize()
    assert first.scores.tolist() == [[3.0] * 3] and second.scores.tolist() == [[5.0] * 3]
    assert first.activation is None and first.labels.tolist() == [[2, 4]]
