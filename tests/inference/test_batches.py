"""Batches that run at once give what they give one after the other, in the same order."""

from threading import Barrier

import numpy as np
import torch
from torch import Tensor

from sparseinst.data.prepare import prepare
from sparseinst.inference.batches import Batches
from sparseinst.predictions import Candidates
from sparseinst.runtime.torch_backend import TorchBackend
from tiny import tiny_seeds


class Meeting:
    """A backend each of whose calls waits for another one that runs meanwhile."""

    def __init__(self) -> None:
        self.backend = TorchBackend(tiny_seeds(candidates=20), device="cpu")
        self.config, self.frame, self.barrier = self.backend.config, None, Barrier(2, timeout=30)

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        self.barrier.wait()
        return self.backend(images, resized_hw)


def test_two_at_once_in_their_order() -> None:
    meeting, random = Meeting(), np.random.default_rng(0)
    images = [random.integers(0, 256, (40 + 8 * number, 64, 3), np.uint8) for number in range(6)]
    prepared = [prepare(image, meeting.config.preprocess) for image in images]
    at_once = Batches(meeting, size=1, score=0.1, max_instances=None, calls=2)
    in_turn = Batches(meeting.backend, size=1, score=0.1, max_instances=None)
    assert (at_once.lookahead, in_turn.lookahead) == (2, 1)
    found, expected = list(at_once.found(prepared)), list(in_turn.found(prepared))
    assert [len(one) for one in found] == [len(one) for one in expected] and sum(map(len, found)) > 6
    for one, other in zip(found, expected, strict=True):
        assert one.size_hw == other.size_hw and np.array_equal(one.scores, other.scores) and one.rles == other.rles


def test_where_another_runtime_computes_one_part_grows_while_the_other_computes(monkeypatch) -> None:
    model = tiny_seeds(candidates=20)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert TorchBackend(model, device="cpu").calls_at_once == 1
    assert TorchBackend(model, device="cpu", fields=lambda images, sizes: None).calls_at_once == 2  # type: ignore[arg-type]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert TorchBackend(model, device="cpu", fields=lambda images, sizes: None).calls_at_once == 1  # type: ignore[arg-type]
