"""Rows of tiles brought together one after the other are the tiles brought together at once."""

from itertools import groupby

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dense import label_images
from sparseinst.inference.merging import TILE_SLOTS, merge
from sparseinst.inference.row_merging import RowMerger
from sparseinst.inference.tiling import Tiling
from sparseinst.masks import rle
from sparseinst.masks.grid import Window
from sparseinst.structures import Instances

TILE = 32


def seen(labels: np.ndarray, window: Window, scores: np.ndarray) -> Instances:
    """What a perfect network sees in a tile."""
    part = labels[window]
    numbers = np.unique(part[part > 0])
    masks = np.stack([part == number for number in numbers]) if len(numbers) else np.zeros((0, *part.shape), bool)
    return Instances(scores[numbers].astype(np.float32), numbers % 2, rle.encode(masks), numbers, part.shape)


def by_rows(
    found: list[Instances], windows: tuple[Window, ...], size_hw: tuple[int, int], margin: int
) -> list[Instances]:
    merger, parts, begin = RowMerger(size_hw, margin=margin), [], 0
    for _, row in groupby(windows, key=lambda window: window[0].start):
        own = list(row)
        parts.append(merger.add(found[begin : begin + len(own)], own))
        begin += len(own)
    return [*parts, merger.finish()]


def is_seen_cut(labels: np.ndarray, window: Window, number: int) -> bool:
    """Whether what a tile shows of an object reaches each border beyond which there is more of it.

    The part of an object that goes round something may lie inside a tile as if it were all: no rule can tell that.
    """
    every, part = np.nonzero(labels == number), np.nonzero(labels[window] == number)
    if not len(part[0]):
        return True
    return all(
        (at.min() >= side.start or seen.min() == 0)
        and (at.max() < side.stop or seen.max() == side.stop - side.start - 1)
        for at, seen, side in zip(every, part, window, strict=True)
    )


@given(label_images(short=TILE + 1, long=120), st.integers(6, TILE // 2), st.integers(0, 99))
@settings(max_examples=40)
def test_every_object_comes_once_and_whole(labels: np.ndarray, overlap: int, seed: int) -> None:
    tiling = Tiling(TILE, overlap)
    windows = tiling.windows(labels.shape)
    numbers = np.unique(labels)[1:]
    assume(all(is_seen_cut(labels, window, number) for window in windows for number in numbers))
    scores = np.random.default_rng(seed).uniform(0.3, 1, 256)
    found = [seen(labels, window, scores) for window in windows]
    parts = by_rows(found, windows, labels.shape, tiling.margin)
    expected, _ = merge(found, windows, labels.shape, margin=tiling.margin)
    assert sorted(counts for part in parts for counts in part.rles) == sorted(expected.rles)
    whole = {rle.encode((labels == number)[None])[0] for number in numbers}
    assert {counts for part in parts for counts in part.rles} == whole
    assert all(part.size_hw == labels.shape for part in parts)
    for part in parts:
        for slot, label in zip(part.slots, part.labels, strict=True):
            assert slot % TILE_SLOTS % 2 == label and slot // TILE_SLOTS < len(windows)


def test_what_no_further_row_can_change_comes_at_once() -> None:
    labels = np.zeros((100, 40), int)
    labels[2:6, 2:6], labels[20:34, 10:20], labels[70:76, 30:36] = 1, 2, 3
    windows = Tiling(TILE, 12).windows(labels.shape)
    found = [seen(labels, window, np.full(9, 0.5)) for window in windows]
    parts = by_rows(found, windows, labels.shape, 4)
    assert [len(part) for part in parts] == [0, 1, 1, 0, 0, 1]
    assert parts[1].boxes.tolist() == [[2, 2, 6, 6]] and parts[2].boxes.tolist() == [[10, 20, 20, 34]]


def test_nothing_gives_nothing() -> None:
    merger = RowMerger((100, 40), margin=4)
    assert len(merger.finish()) == 0
    windows = [(slice(0, 32), slice(0, 40))]
    assert len(merger.add([Instances.empty((32, 40))], windows)) == len(merger.finish()) == 0
