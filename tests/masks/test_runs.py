import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dense import dense_masks
from sparseinst.masks import rle
from sparseinst.masks.runs import decode_runs


@given(dense_masks())
def test_runs_cover_exactly_the_masks(masks: np.ndarray) -> None:
    runs = decode_runs(rle.encode(masks))
    height, width = masks.shape[1:]
    assert (runs.totals == height * width).all() and len(runs.totals) == len(masks)
    assert (runs.areas == masks.sum((1, 2))).all()
    pixels, owner = runs.pixels()
    drawn = np.zeros((len(masks), width * height), int)
    np.add.at(drawn, (owner, pixels), 1)
    assert (drawn.reshape(len(masks), width, height).transpose(0, 2, 1) == masks).all()


@given(dense_masks())
def test_strips_lie_in_one_column_and_cover_exactly_the_masks(masks: np.ndarray) -> None:
    strips = decode_runs(rle.encode(masks)).strips(masks.shape[1])
    drawn = np.zeros(masks.shape, int)
    for column, top, bottom, owner in zip(*strips, strict=True):
        assert top < bottom
        drawn[owner, top:bottom, column] += 1
    assert (drawn == masks).all()
    assert sorted(zip(strips.owners, strips.columns, strips.tops, strict=True)) == list(
        zip(strips.owners, strips.columns, strips.tops, strict=True)
    )


@given(dense_masks(), st.data())
def test_a_window_of_a_mask(masks: np.ndarray, data: st.DataObject) -> None:
    runs = decode_runs(rle.encode(masks))
    height, width = masks.shape[1:]
    rows, columns = (slice(*sorted(data.draw(st.tuples(*[st.integers(0, side)] * 2)))) for side in (height, width))
    for i, mask in enumerate(masks):
        assert (runs.dense(i, height, (rows, columns)) == mask[rows, columns]).all()
        assert runs.dense(i, height, (rows, columns)).shape == mask[rows, columns].shape


@given(st.lists(st.integers(0, 2**20), min_size=1, max_size=12))
def test_long_runs(lengths: list[int]) -> None:
    size = (sum(lengths), 1)
    runs = decode_runs([rle.from_runs(lengths, size)] * 2)
    assert runs.areas.tolist() == [sum(lengths[1::2])] * 2 and runs.totals.tolist() == [sum(lengths)] * 2


@pytest.mark.parametrize("damaged", [b"", b"\x00", "é".encode(), b"z", b"5P", b"o" * 9 + b"1", b"4O"])
def test_damage_is_refused(damaged: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        decode_runs([damaged])


@given(st.binary(min_size=1, max_size=12))
def test_noise_is_refused_or_gives_runs(noise: bytes) -> None:
    try:
        runs = decode_runs([noise])
    except ValueError:
        return
    assert runs.lengths.min() >= 0


@given(dense_masks())
@example(np.pad(np.ones((2, 2100, 2100), bool), ((0, 0), (1, 0), (0, 1))))  # more than is painted at once
def test_the_last_strip_painted_stays(masks: np.ndarray) -> None:
    _, height, width = masks.shape
    expected = np.zeros((height, width), np.int32)
    for number, mask in enumerate(masks):
        expected[mask] = 10 + number
    canvas = np.zeros((width, height), np.int32)
    decode_runs(rle.encode(masks)).strips(height).paint(canvas, 10 + np.arange(len(masks), dtype=np.int32))
    np.testing.assert_array_equal(canvas.T, expected)
