import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dense import dense_masks
from sparseinst.data.copy_paste import View, copy_paste


def view(masks: np.ndarray, seed: int, first_label: int = 0) -> View:
    """A noisy image with each instance in a layer of its own, but the first two in one where they can be."""
    random = np.random.default_rng(seed)
    layers = np.where(masks, np.arange(1, len(masks) + 1, dtype=np.int32)[:, None, None], 0).astype(np.int32)
    if len(masks) > 1 and not (masks[0] & masks[1]).any():
        layers = np.concatenate([layers[:1] + layers[1:2], layers[2:]])
    layers = layers if len(layers) else np.zeros((1, *masks.shape[1:]), np.int32)
    image = random.integers(0, 256, (3, *masks.shape[1:]), dtype=np.uint8)
    return View(torch.from_numpy(image), torch.from_numpy(layers), np.arange(len(masks)) + first_label)


def dense(layers: Tensor, count: int) -> np.ndarray:
    numbers = np.arange(1, count + 1)[:, None, None, None]
    return (layers.numpy()[None] == numbers).any(1)


@given(dense_masks(side=24), st.integers(0, 2**31), st.sampled_from([0.2, 0.5, 1.0]))
def test_pasting_is_that_of_dense_masks(masks: np.ndarray, seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    others = random.random((int(random.integers(0, 5)), *masks.shape[1:])) < 0.2
    one, two = view(masks, seed), view(others, seed + 1, first_label=100)
    before = [one.image.clone(), one.layers.clone(), two.layers.clone()]
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        result = copy_paste(one, two, share)
    assert all(map(torch.equal, before, [one.image, one.layers, two.layers]))  # neither is changed
    seen = np.flatnonzero(others.any((1, 2)))
    chosen = result.labels[len(masks) :] - 100
    assert np.array_equal(result.labels[: len(masks)], one.labels)
    assert set(chosen) <= set(seen) and len(set(chosen)) == len(chosen)
    assert (len(chosen) > 0) == (len(seen) > 0) and len(chosen) <= max(1, round(share * len(seen)))
    found = dense(result.layers, len(result.labels))
    assert np.array_equal(found[len(masks) :], others[chosen])
    covered = others[chosen].any(0)
    rest = masks & ~covered
    areas = rest.sum((1, 2))
    rest[(areas < masks.sum((1, 2))) & (areas < 16)] = False
    assert np.array_equal(found[: len(masks)], rest)
    assert torch.equal(result.image[:, ~covered], one.image[:, ~covered])


def square(size_hw: tuple[int, int], shade: int) -> View:
    """A square of 12 pixels in the middle of an image of one shade, as its only instance."""
    masks = np.zeros((1, *size_hw), bool)
    top, left = size_hw[0] // 2 - 6, size_hw[1] // 2 - 6
    masks[0, top : top + 12, left : left + 12] = True
    made = view(masks, 0)
    return made._replace(image=torch.full_like(made.image, shade))


def test_images_of_different_sizes_meet_at_a_random_place() -> None:
    one, two = square((40, 60), 0), square((60, 30), 200)
    places = set()
    for seed in range(12):
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            result = copy_paste(one, two, 1.0)
        pasted = dense(result.layers, 2)[1]
        rows, columns = np.nonzero(pasted)
        assert len(rows) == 144 and result.image.shape == (3, 40, 60)
        places.add((rows[0], columns[0]))
        inner = pasted.copy()
        inner[rows.min()], inner[rows.max()], inner[:, columns.min()], inner[:, columns.max()] = [False] * 4
        assert (result.image[:, inner] == 200).all()
        edge = result.image[:, pasted & ~inner]
        assert (edge >= 80).all() and (edge < 200).all()  # softened, half opaque at least
        assert not result.image[:, ~pasted].any()
    assert len(places) > 6


def test_what_is_nearly_covered_is_dropped_and_what_is_small_by_itself_is_not() -> None:
    masks = np.zeros((3, 32, 32), bool)
    masks[0, 3, :20] = True  # 8 of 20 pixels remain
    masks[1, 5, 9:26] = True  # 16 of 17 remain
    masks[2, 30, 30] = True  # one pixel, not touched
    other = np.zeros((1, 32, 32), bool)
    other[0, :10, 8:10] = other[0, 3, 8:20] = True
    result = copy_paste(view(masks, 0), view(other, 1), 1.0)
    assert dense(result.layers, 4).sum((1, 2)).tolist() == [0, 16, 1, int(other.sum())]


def test_nothing_to_paste_changes_nothing() -> None:
    one = square((40, 40), 9)
    assert copy_paste(one, view(np.zeros((0, 40, 40), bool), 3), 0.5) is one
