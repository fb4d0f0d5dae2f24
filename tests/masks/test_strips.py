import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dense import dense_masks
from sparseinst.masks import rle
from sparseinst.masks.grid import Window
from sparseinst.masks.runs import decode_runs
from sparseinst.masks.strips import coverage, encode_unions, join, strips_of

windows = st.tuples(*[st.tuples(st.integers(0, 30), st.integers(0, 30))] * 2).map(
    lambda pairs: tuple(slice(min(pair), max(pair) + 1) for pair in pairs)
)


@given(dense_masks(), st.integers(0, 5), st.integers(0, 5), windows)
def test_pixels_shared_with_a_window(masks: np.ndarray, top: int, left: int, window: Window) -> None:
    _, height, width = masks.shape
    image = np.zeros((len(masks), 40, 40), bool)
    image[:, top : top + height, left : left + width] = masks
    place = (slice(top, top + height), slice(left, left + width))
    covered = coverage(strips_of(decode_runs(rle.encode(masks)), place), window, masks=len(masks))
    part = image[:, *window].transpose(0, 2, 1)  # columns first
    assert (covered.toarray() == part.reshape(len(masks), part.shape[1] * part.shape[2])).all()


@given(dense_masks(), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.data())
def test_unions_over_the_whole_image(masks: np.ndarray, top: int, left: int, margin: int, data: st.DataObject) -> None:
    _, height, width = masks.shape
    size = (top + height + margin, left + width + margin)
    owners = np.array([data.draw(st.integers(0, 3)) for _ in masks], np.int64)
    expected = np.zeros((4, *size), bool)
    for owner, mask in zip(owners, masks, strict=True):
        expected[owner, top : top + height, left : left + width] |= mask
    place = (slice(top, top + height), slice(left, left + width))
    strips = strips_of(decode_runs(rle.encode(masks)), place)
    strips = strips._replace(owners=owners[strips.owners])
    assert encode_unions(strips, size, masks=4) == rle.encode(expected)
    assert encode_unions(join([strips, strips]), size, masks=4) == rle.encode(expected)
