import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dense import dense_masks
from sparseinst.batch import Batch, Targets
from sparseinst.masks import rle
from sparseinst.structures import Instances


def instances(masks: np.ndarray) -> Instances:
    count = len(masks)
    scores = np.linspace(0.1, 0.9, count, dtype=np.float32)
    return Instances(scores, np.arange(count) % 3, rle.encode(masks), np.arange(count) * 2, masks.shape[1:])


def batch() -> Batch:
    targets = (Targets(torch.tensor([1, 0]), torch.rand(2, 8, 8).half()), Targets.empty((8, 8)))
    return Batch(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.tensor([[32, 20], [9, 32]]), targets, (7, 4))


@given(dense_masks())
def test_instances_are_what_their_masks_say(masks: np.ndarray) -> None:
    found = instances(masks)
    assert len(found) == len(masks) and (found.masks == masks).all()
    assert (found.areas == masks.sum((1, 2))).all() and found.boxes.shape == (len(masks), 4)
    assert [len(part) for part in found.polygons()] == [len(rle.polygons(item, found.size_hw)) for item in found.rles]


@given(dense_masks(most=6), st.data())
def test_slicing_commutes_with_everything(masks: np.ndarray, data: st.DataObject) -> None:
    found = instances(masks)
    found.areas, found.boxes  # noqa: B018 (a filled cache must not travel into the slice)
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=len(masks), max_size=len(masks))), bool)
    for index in (chosen, np.flatnonzero(chosen), np.flatnonzero(chosen).tolist(), slice(1, None, 2)):
        part, numbers = found[index], np.arange(len(masks))[index if len(masks) else slice(0)]
        assert (part.masks == masks[numbers]).all() and (part.slots == found.slots[numbers]).all()
        assert (part.areas == found.areas[numbers]).all() and (part.boxes == found.boxes[numbers]).all()
        assert (part.scores == found.scores[numbers]).all() and (part.labels == found.labels[numbers]).all()


def test_one_instance_by_number() -> None:
    masks = np.eye(3, dtype=bool)[:, None]
    assert len(instances(masks)[1]) == 1 and instances(masks)[-1].slots.tolist() == [4]


def test_empty_instances() -> None:
    none = Instances.empty((4, 5))
    assert len(none) == 0 and none.masks.shape == (0, 4, 5) and none.boxes.shape == (0, 4) and none.polygons() == []
    assert len(none[:3]) == 0


def test_instances_must_agree_in_length() -> None:
    good = instances(np.ones((2, 3, 3), bool))
    with pytest.raises(ValueError, match="labels"):
        Instances(good.scores, good.labels[:1], good.rles, good.slots, good.size_hw)


def test_targets_check_themselves() -> None:
    masks = torch.rand(2, 4, 4)
    for labels, wrong in (
        (torch.tensor([0, 1], dtype=torch.int32), masks),
        (torch.tensor([[0, 1]]), masks),
        (torch.tensor([0]), masks),
        (torch.tensor([0, 1]), masks > 0.5),
        (torch.tensor([0, 1]), masks[0]),
    ):
        with pytest.raises(ValueError, match="got"):
            Targets(labels, wrong)


def test_targets_slice_and_move() -> None:
    targets = Targets(torch.tensor([3, 4, 5]), torch.rand(3, 4, 4).half())
    part = targets[torch.tensor([2, 0])]
    assert part.labels.tolist() == [5, 3] and (part.masks == targets.masks[[2, 0]]).all()
    moved = targets[:1].to("cpu")
    assert moved.masks.dtype == torch.float32 and len(moved) == 1
    assert len(Targets.empty((4, 4))) == 0 and Targets.empty((4, 5)).masks.shape == (0, 4, 5)


def test_batches_check_themselves() -> None:
    good = batch()
    for changed in (
        (good.images[0], good.resized_hw, good.targets, good.image_ids),
        (good.images, good.resized_hw[:1], good.targets, good.image_ids),
        (good.images, good.resized_hw, good.targets[:1], good.image_ids),
        (good.images, good.resized_hw, good.targets, (1,)),
    ):
        with pytest.raises(ValueError, match="got"):
            Batch(*changed)


def test_batches_slice_and_move() -> None:
    part = batch()[1:]
    assert len(part) == 1 and part.image_ids == (4,) and part.resized_hw.tolist() == [[9, 32]]
    moved = batch().to("cpu")
    assert moved.images.dtype == torch.uint8 and moved.targets[0].masks.dtype == torch.float32
    assert len(Batch.empty((64, 32))) == 0 and Batch.empty((64, 32)).images.shape == (0, 3, 64, 32)
