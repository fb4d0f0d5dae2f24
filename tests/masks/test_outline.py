import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparseinst.masks import rle
from sparseinst.masks.outline import outline, seamed

masks = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(lambda size: arrays(bool, size))


def filled(pieces, size_hw) -> np.ndarray:
    ring = seamed(pieces)
    return rle.decode([rle.from_polygons([ring.ravel().tolist()], size_hw)], size_hw)[0]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


@settings(max_examples=400)
@given(masks)
def test_one_ring_holds_any_mask(mask: np.ndarray) -> None:
    (counts,) = rle.encode(mask[None])
    pieces = outline(counts, mask.shape, least_iou=1)
    if not mask.any():
        assert pieces == []
    else:
        assert np.array_equal(filled(pieces, mask.shape), mask)


@settings(max_examples=200)
@given(masks)
def test_pieces_apart_hold_what_has_no_holes(mask: np.ndarray) -> None:
    (counts,) = rle.encode(mask[None])
    pieces = outline(counts, mask.shape, least_iou=1)
    if not pieces or any(len(piece) > 1 for piece in pieces):
        return
    parts = [piece[0].ravel().tolist() for piece in pieces]
    assert np.array_equal(rle.decode([rle.from_polygons(parts, mask.shape)], mask.shape)[0], mask)


@settings(max_examples=60)
@given(st.integers(0, 10_000))
def test_simpler_polygons_cover_nearly_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:80, :100]
    mask = np.zeros((80, 100), bool)
    for _ in range(3):
        cx, cy, a, b = rng.uniform(10, 90), rng.uniform(10, 70), rng.uniform(2, 30), rng.uniform(2, 30)
        mask ^= ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1
    if not mask.any():
        return
    (counts,) = rle.encode(mask[None])
    simple, exact = (outline(counts, mask.shape, least_iou=iou) for iou in (0.99, 1))
    assert overlap(filled(simple, mask.shape), mask) >= 0.99
    assert len(seamed(simple)) <= len(seamed(exact))


def test_pieces_and_holes_are_told_apart() -> None:
    mask = np.zeros((20, 30), bool)
    mask[2:12, 2:14], mask[5:8, 5:8], mask[15:18, 20:28] = True, False, True
    pieces = outline(rle.encode(mask[None])[0], mask.shape)
    assert [len(piece) for piece in pieces] == [2, 1]


def test_no_piece_is_no_ring() -> None:
    with pytest.raises(ValueError, match="at least one piece"):
        seamed([])
