"""`Predictor.stream`: the instances of every frame of a video."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ahead import Ahead, Behind
from clips import pictures, write_clip
from inference.standins import ColorBackend
from sparseinst import InputError, Predictor


@pytest.mark.parametrize("batch", [1, 3])
def test_arrays_get_the_instances_they_get_alone(batch: int) -> None:
    predictor, images = Predictor(ColorBackend(), batch=batch), pictures(14)
    found = list(predictor.stream(images))
    assert [frame.index for frame, _ in found] == list(range(14))
    for image, (frame, instances) in zip(images, found, strict=True):
        assert (frame.image == image).all()
        assert instances.rles == predictor(image).rles and len(instances) == 1


def test_frames_of_another_size_and_tiles() -> None:
    images = [*pictures(3), *pictures(2, size_hw=(90, 200)), *pictures(1)]
    predictor = Predictor(ColorBackend(), tile=64, overlap=16)
    sizes = [(frame.size_hw, instances.size_hw) for frame, instances in predictor.stream(images)]
    assert sizes == [(image.shape[:2], image.shape[:2]) for image in images]


def test_a_file(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV is not installed (extra video)")
    path = write_clip(tmp_path / "clip.mp4", pictures(6), rate=5)
    found = [(frame.seconds, instances.boxes[0, 0]) for frame, instances in Predictor(ColorBackend()).stream(path)]
    assert [seconds for seconds, _ in found] == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert np.diff([left for _, left in found]).min() > 0, "the block moves to the right"


def test_whoever_has_seen_enough_leaves_nothing_behind() -> None:
    before = threading.active_count()
    for frame, _ in Predictor(ColorBackend()).stream(pictures(3)[0] for _ in iter(int, 1)):
        if frame.index == 3:
            break
    deadline = time.monotonic() + 20
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_skipping_keeps_up_with_the_source() -> None:
    ahead = Ahead(40)
    stream = Predictor(Behind(ahead)).stream(ahead.source(pictures(40)), skip=True, fps=1000)
    indices = [frame.index for frame, _ in stream]
    assert indices == sorted(set(indices)) and len(indices) < 15 and indices[-1] == 39


def test_a_frame_that_is_none_is_an_error_where_it_comes() -> None:
    found = Predictor(ColorBackend()).stream([*pictures(4), np.zeros((4, 4, 7))])
    assert next(found)[0].index == 0
    with pytest.raises(InputError, match="expected an image"):
        list(found)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_frame_comes_when_it_is_done_and_not_with_the_next_ones(batch: int) -> None:
    came = [threading.Event() for _ in range(3)]

    def one_by_one() -> Iterator[NDArray[np.uint8]]:
        for number in range(3):
            assert number == 0 or came[number - 1].wait(60), "it waited for others"
            yield np.zeros((64, 96, 3), np.uint8)

    predictor = Predictor(ColorBackend(), batch=batch)
    for number, _ in enumerate(predictor.stream(one_by_one())):
        came[number].set()
    assert all(event.is_set() for event in came)
