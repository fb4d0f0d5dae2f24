import numpy as np
import pytest
import torch

from sparseinst.masks.exact import paste_exact
from sparseinst.masks.grid import Frame
from sparseinst.masks.pieces import drop_small_pieces
from sparseinst.modeling.postprocess import select
from sparseinst.predictions import Candidates


def candidates(images: int, slots: int, *, grid_hw: tuple[int, int], seed: int = 0) -> Candidates:
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(images, slots, *grid_hw, generator=generator)
    gate = torch.rand(images, slots, generator=generator)
    labels = torch.randint(0, 9, (images, slots), generator=generator)
    return Candidates(gate * 0.9, labels, torch.nn.functional.avg_pool2d(masks, 5, stride=1, padding=2), gate)


FRAMES = [Frame((32, 48), (30, 48), (75, 120)), Frame((32, 48), (32, 40), (20, 25))]


def test_kept_slots_have_the_masks_of_the_exact_reference() -> None:
    found = candidates(2, 7, grid_hw=(8, 12))
    for i, (instances, frame) in enumerate(
        zip(select(found, FRAMES, gate=0.4, mask_threshold=0.45), FRAMES, strict=True)
    ):
        slots = (found.raw_scores[i] > 0.4).nonzero()[:, 0]
        assert 0 < len(slots) < 7 and instances.slots.tolist() == slots.tolist()
        assert instances.labels.tolist() == found.labels[i, slots].tolist()
        np.testing.assert_array_equal(instances.scores, found.scores[i, slots].numpy())
        assert instances.size_hw == frame.original_hw
        assert (instances.masks == (paste_exact(found.masks[i, slots], frame) > 0.45).numpy()).all()


def test_the_lowest_score_counts_as_well() -> None:
    found = candidates(1, 9, grid_hw=(8, 12))
    (instances,) = select(found, FRAMES[:1], gate=0.1, mask_threshold=0.45, min_score=0.5)
    assert 0 < len(instances) < 9 and instances.scores.min() >= 0.5


def test_nothing_above_the_gate() -> None:
    for instances in select(candidates(2, 3, grid_hw=(8, 12)), FRAMES, gate=1.0, mask_threshold=0.45):
        assert len(instances) == 0 and instances.boxes.shape == (0, 4)


def test_every_image_needs_a_frame() -> None:
    with pytest.raises(ValueError, match="expected 2 frames, got 1"):
        select(candidates(2, 3, grid_hw=(8, 12)), FRAMES[:1], gate=0.5, mask_threshold=0.45)


def test_small_pieces_are_dropped_and_scores_stay() -> None:
    found = candidates(2, 7, grid_hw=(8, 12))
    kept, whole = (
        select(found, FRAMES, gate=0.4, mask_threshold=0.45, least_piece=least) for least in (0.2, 0.0)
    )  # fmt: skip
    for one, other in zip(kept, whole, strict=True):
        assert one.rles == drop_small_pieces(other.rles, other.size_hw, least=0.2)
        assert (one.areas <= other.areas).all()
        for name in ("scores", "labels", "slots"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
    assert kept[0].areas.sum() < whole[0].areas.sum()
