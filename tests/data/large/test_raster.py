"""What is decoded, and how often."""

import tracemalloc
from collections import Counter
from typing import Any

import numpy as np
import pytest

from sparseinst.data.large.raster import Layout, Raster
from sparseinst.errors import InputError
from sparseinst.masks.grid import Window

VALUES = np.arange(60 * 80, dtype=np.int32).reshape(60, 80, 1)


class Blocks:
    """Counts how often each block is asked for."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[int, int]] = Counter()

    def __call__(self, window: Window) -> np.ndarray[Any, Any]:
        self.asked[window[0].start, window[1].start] += 1
        return VALUES[window]


def raster(blocks: Blocks, cache_bytes: int) -> Raster:
    return Raster("a.tif", Layout((60, 80), (16, 32), 1, VALUES.dtype), blocks, cache_bytes)


def test_overlapping_windows_decode_each_block_once() -> None:
    blocks = Blocks()
    image = raster(blocks, VALUES.nbytes)
    for top in range(0, 40, 10):
        for left in range(0, 60, 10):
            part = slice(top, top + 20), slice(left, left + 20)
            np.testing.assert_array_equal(image.read(part), VALUES[part])
    assert blocks.asked == {(top, left): 1 for top in (0, 16, 32, 48) for left in (0, 32, 64)}


def test_the_blocks_asked_for_last_are_kept() -> None:
    blocks = Blocks()
    image = raster(blocks, 2 * 16 * 32 * 4)
    at = {left: (slice(0, 4), slice(left, left + 4)) for left in (0, 32, 64)}
    for left in (0, 32, 0, 64, 0):
        image.read(at[left])
    assert blocks.asked == {(0, 0): 1, (0, 32): 1, (0, 64): 1}
    image.read(at[32])
    assert blocks.asked[0, 32] == 2


@pytest.mark.parametrize("most", [1, 7, 100, 1000, 4800, 10_000])
def test_samples_are_spread_evenly(most: int) -> None:
    blocks = Blocks()
    sample = np.sort(raster(blocks, 0).sample(most).ravel())
    step = next(k for k in range(1, 100) if 4800 / k**2 <= most)
    np.testing.assert_array_equal(sample, VALUES[::step, ::step].ravel())
    assert max(blocks.asked.values()) == 1


def test_a_sample_takes_no_more_memory_than_its_pixels() -> None:
    layout = Layout((16_000, 1000), (1000, 1000), 1, np.dtype(np.uint16))
    image = Raster("a.tif", layout, lambda window: np.zeros((1000, 1000, 1), np.uint16), 0)
    tracemalloc.start()
    assert len(image.sample(10_000)) == 400 * 25
    assert tracemalloc.get_traced_memory()[1] < 3 * 1000 * 1000 * 2
    tracemalloc.stop()


def test_whatever_a_decoder_raises_names_the_file_and_the_place() -> None:
    def damaged(window: Window) -> np.ndarray[Any, Any]:
        raise KeyError("codec")

    layout = Layout((60, 80), (16, 32), 1, VALUES.dtype)
    with pytest.raises(InputError, match=r"a\.tif.*rows 16 to 32, columns 64 to 80.*codec.*replace"):
        Raster("a.tif", layout, damaged, 0).read((slice(20, 22), slice(70, 72)))
    with pytest.raises(InputError, match=r"a\.tif.*\(5, 5, 1\) instead of \(16, 16, 1\)"):
        Raster("a.tif", layout, lambda window: VALUES[:5, :5], 0).read((slice(20, 22), slice(70, 72)))
