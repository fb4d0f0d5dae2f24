import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from dense import dense_masks
from sparseinst.masks import rle
from sparseinst.masks.compress import compress


def edges_of(masks: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    columns = masks.transpose(0, 2, 1).reshape(len(masks), masks.shape[1] * masks.shape[2]).astype(np.int8)
    owners, edges = np.nonzero(np.diff(columns, axis=1, prepend=0))
    return torch.from_numpy(edges), torch.from_numpy(owners)


@given(dense_masks())
def test_encodings_are_those_of_the_dense_masks(masks: np.ndarray) -> None:
    edges, owners = edges_of(masks)
    pixels = masks.shape[1] * masks.shape[2]
    assert tuple(compress(edges, owners, masks=len(masks), pixels=pixels)) == rle.encode(masks)


@given(dense_masks(), st.data())
def test_edges_at_one_place_cancel_and_the_end_is_no_edge(masks: np.ndarray, data: st.DataObject) -> None:
    edges, owners = edges_of(masks)
    pixels = masks.shape[1] * masks.shape[2]
    count = len(masks)
    extra = data.draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, pixels)))) if count else []
    places = [*zip(owners.tolist(), edges.tolist(), strict=True), *extra, *extra, *((i, pixels) for i in range(count))]
    owners, edges = torch.tensor(sorted(places), dtype=torch.int64).reshape(-1, 2).unbind(1)
    assert tuple(compress(edges, owners, masks=count, pixels=pixels)) == rle.encode(masks)


@given(st.lists(st.integers(1, 2**24), max_size=12))
def test_long_runs(lengths: list[int]) -> None:
    edges = np.cumsum([0, *lengths])  # the first pixel is foreground
    pixels = int(edges[-1]) + 5
    (counts,) = compress(torch.from_numpy(edges), torch.zeros(len(edges), dtype=torch.int64), masks=1, pixels=pixels)
    assert counts == rle.from_runs([0, *lengths, 5], (pixels, 1))
