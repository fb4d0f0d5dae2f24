"""Pieces of encoded masks, against OpenCV's on dense ones."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dense import dense_masks
from sparseinst.masks import rle
from sparseinst.masks.pieces import drop_small_pieces, in_pieces

DIAGONAL = np.eye(5, dtype=bool)[None]
COLUMN_ENDS = np.array([[[0, 1, 0], [0, 0, 0], [1, 0, 0]]], bool)  # one run over two columns, in two pieces
U = np.array([[[1, 1, 1, 0], [1, 0, 0, 1], [1, 1, 1, 0]]], bool)  # open to the right, but for a pixel
FULL = np.ones((1, 4, 3), bool)
HALVES = np.array([[[1, 0, 1]]], bool)


def pieces(mask: np.ndarray) -> list[np.ndarray]:
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return [labels == piece for piece in range(1, count)]


def without_small_pieces(mask: np.ndarray, least: float) -> np.ndarray:
    found = pieces(mask)
    largest = max((piece.sum() for piece in found), default=0)
    kept = [piece for piece in found if piece.sum() >= min(least * mask.sum(), largest)]
    return np.any([np.zeros_like(mask), *kept], axis=0)


@given(dense_masks(), st.sampled_from([0.0, 0.01, 0.1, 0.25, 0.5, 0.9, 1.0]))
@example(DIAGONAL, 0.5)
@example(COLUMN_ENDS, 0.6)
@example(U, 0.2)
@example(np.concatenate([U, ~U]), 0.2)
@example(FULL, 1.0)
@example(np.concatenate([~FULL, FULL, ~FULL]), 0.5)
@example(HALVES, 1.0)
@settings(max_examples=500)
def test_small_pieces_are_those_of_opencv(masks: np.ndarray, least: float) -> None:
    counts, size = rle.encode(masks), masks.shape[1:]
    found = drop_small_pieces(counts, size, least=least)
    expected = np.array([without_small_pieces(mask, least) for mask in masks], bool).reshape(masks.shape)
    assert found == rle.encode(expected)
    assert in_pieces(counts, size).tolist() == [len(pieces(mask)) > 1 for mask in masks]


@pytest.mark.parametrize(("mask", "several"), [(DIAGONAL, False), (COLUMN_ENDS, True), (U, False), (HALVES, True)])
def test_what_hangs_together(mask: np.ndarray, several: bool) -> None:
    assert in_pieces(rle.encode(mask), mask.shape[1:]).tolist() == [several]


def test_the_largest_stays_and_so_does_its_equal() -> None:
    row = np.array([[1, 1, 0, 1, 1, 0, 1]], bool)
    (found,) = drop_small_pieces(rle.encode(row[None]), row.shape, least=1.0)
    assert rle.decode([found], row.shape)[0].astype(int).tolist() == [[1, 1, 0, 1, 1, 0, 0]]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20), st.integers(1, 5))
def test_runs_may_be_empty(lengths: list[int], height: int) -> None:
    lengths = [*lengths, -sum(lengths) % height + height]
    size = (height, sum(lengths) // height)
    counts = rle.from_runs(lengths, size)
    mask = rle.decode([counts], size)[0]
    assert in_pieces([counts], size).tolist() == [len(pieces(mask)) > 1]
    (found,) = drop_small_pieces([counts], size, least=0.4)
    assert (rle.decode([found], size)[0] == without_small_pieces(mask, 0.4)).all()


def test_noise_in_a_large_image() -> None:
    generator = np.random.default_rng(0)
    masks = generator.random((12, 300, 211)) < generator.uniform(0.05, 0.6, (12, 1, 1))
    counts = rle.encode(masks)
    expected = np.array([without_small_pieces(mask, 0.002) for mask in masks])
    assert drop_small_pieces(counts, masks.shape[1:], least=0.002) == rle.encode(expected) != counts
