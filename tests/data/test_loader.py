import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from real import NUCLEI
from sparseinst.batch import Batch, Targets
from sparseinst.config.model import ModelConfig
from sparseinst.config.network import BackboneConfig
from sparseinst.config.preprocess import ShortSideConfig
from sparseinst.data.coco import CocoDataset
from sparseinst.data.loader import (
    EpochSampler,
    Sample,
    TrainingSet,
    collate,
    iterations_of,
    training_loader,
)
from sparseinst.data.transforms import TrainTransform
from sparseinst.errors import InputError
from sparseinst.recipe import AugmentConfig, OptimConfig, Recipe

Write = Callable[..., tuple[Path, Path]]
MODEL = ModelConfig(classes=("disc", "cell"), preprocess=ShortSideConfig(short_px=40, long_px=60))
AUGMENT = AugmentConfig(vertical_flip=0.5, quarter_turns=True, color=0.2, jitter=(0.5, 2.0), frame_hw=(64, 64))


def recipe(**changes: Any) -> Recipe:
    return Recipe(**({"batch": 2, "workers": 0, "augment": AUGMENT} | changes))


def same(one: Batch, two: Batch) -> bool:
    return (
        one.image_ids == two.image_ids
        and torch.equal(one.images, two.images)
        and torch.equal(one.resized_hw, two.resized_hw)
        and all(
            torch.equal(a.labels, b.labels) and torch.equal(a.masks, b.masks)
            for a, b in zip(one.targets, two.targets, strict=True)
        )
    )


@pytest.fixture
def dataset(write: Write) -> CocoDataset:
    return CocoDataset.load(*write())


def test_workers_change_nothing(dataset: CocoDataset) -> None:
    alone = list(islice(training_loader(dataset, MODEL, recipe()), 5))
    others = list(islice(training_loader(dataset, MODEL, recipe(workers=2)), 5))
    assert all(map(same, alone, others))
    assert not same(alone[0], next(iter(training_loader(dataset, MODEL, recipe(seed=1)))))


@pytest.mark.parametrize("accumulate", [1, 3])
def test_starting_late_is_skipping(dataset: CocoDataset, accumulate: int) -> None:
    settings = recipe(optim=OptimConfig(accumulate=accumulate))
    batches = list(islice(training_loader(dataset, MODEL, settings), 8))
    late = islice(training_loader(dataset, MODEL, settings, start_iteration=2), 2)
    assert all(map(same, batches[2 * accumulate :], late))


def test_processes_share_each_batch(dataset: CocoDataset) -> None:
    whole = next(iter(training_loader(dataset, MODEL, recipe(batch=3))))
    parts = [next(iter(training_loader(dataset, MODEL, recipe(batch=3), rank=i, world=3))) for i in range(3)]
    assert whole.image_ids == tuple(part.image_ids[0] for part in parts)
    assert all(torch.equal(whole.images[i], part.images[0]) for i, part in enumerate(parts))


def test_an_item_depends_on_seed_epoch_and_index_alone(dataset: CocoDataset) -> None:
    def item(seed: int, epoch: int, index: int) -> Sample:
        transform = TrainTransform(AUGMENT, MODEL.preprocess)
        return TrainingSet(dataset, transform, 4, seed)[epoch, index]

    before = torch.random.get_rng_state()
    first = item(0, 3, 2)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(5)
    again = item(0, 3, 2)
    assert torch.equal(first.image, again.image) and torch.equal(first.targets.masks, again.targets.masks)
    for other in (item(1, 3, 2), item(0, 4, 2), item(0, 3, 0)):
        assert first.image.shape != other.image.shape or not torch.equal(first.image, other.image)


def test_copy_paste_depends_on_them_too_and_leaves_the_others_alone(dataset: CocoDataset) -> None:
    def items(probability: float) -> list[Sample]:
        augment = AUGMENT.model_copy(update={"copy_paste": probability, "jitter": (1.0, 1.0)})
        samples = TrainingSet(dataset, TrainTransform(augment, MODEL.preprocess), 4, 0)
        return [samples[epoch, index] for epoch in range(8) for index in (0, 1, 2)]

    plain, sometimes, again = items(0), items(0.5), items(0.5)
    pasted = [not torch.equal(one.image, two.image) for one, two in zip(plain, sometimes, strict=True)]
    assert 2 < sum(pasted) < len(pasted) - 2
    for changed, one, two, same_two in zip(pasted, plain, sometimes, again, strict=True):
        assert torch.equal(two.image, same_two.image) and torch.equal(two.targets.masks, same_two.targets.masks)
        assert one.image_id == two.image_id and one.image.shape == two.image.shape
        assert changed or torch.equal(one.targets.masks, two.targets.masks)
    # The second image has no instance of its own.
    assert not any(len(item.targets) for item in plain[1::3]) and any(len(item.targets) for item in sometimes[1::3])
    settings = recipe(augment=AUGMENT.model_copy(update={"copy_paste": 1.0}))
    alone = list(islice(training_loader(dataset, MODEL, settings), 3))
    assert all(map(same, alone, islice(training_loader(dataset, MODEL, settings.model_copy(update={"workers": 2})), 3)))


@pytest.mark.parametrize("orientation", [1, 6])
def test_jpegs_are_decoded_at_a_fraction_where_that_is_enough(tmp_path: Path, orientation: int) -> None:
    ramp = np.linspace(0, 255, 240 * 320).reshape(240, 320).astype(np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    picture = Image.fromarray(ramp).convert("RGB")
    picture.save(tmp_path / "1.jpg", quality=95, exif=exif)
    picture = ImageOps.exif_transpose(Image.open(tmp_path / "1.jpg"))
    height, width = picture.height, picture.width
    box = [width // 4, height // 4, width // 2, height // 4, width // 2, height // 2, width // 4, height // 2]
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "height": height, "width": width}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [box], "iscrowd": 0}],
        "categories": [{"id": 1, "name": "disc"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    dataset = CocoDataset.load(tmp_path, tmp_path / "a.json")
    augment = AugmentConfig(short_px=(32, 48), long_px=80)
    exact = augment.model_copy(update={"scaled_jpeg": False})
    read = dataset.image(0, MODEL.preprocess, shrink=4)
    assert read.shape == (height // 4, width // 4, 3)
    for epoch in range(6):
        one, two = (TrainingSet(dataset, TrainTransform(a, MODEL.preprocess), 4, 0)[epoch, 0] for a in (augment, exact))
        assert torch.equal(one.targets.masks, two.targets.masks) and one.image.shape == two.image.shape
        difference = (one.image.int() - two.image.int()).abs()
        assert 0 < difference.float().mean() < 1


def test_an_only_image_has_no_other_to_paste_from(write: Write, content: dict[str, Any]) -> None:
    content["images"], content["annotations"] = content["images"][:1], content["annotations"][:3]
    dataset = CocoDataset.load(*write(content))
    augment = AUGMENT.model_copy(update={"copy_paste": 1.0})
    one, two = (
        TrainingSet(dataset, TrainTransform(settings, MODEL.preprocess), 4, 0)[0, 0] for settings in (AUGMENT, augment)
    )
    assert torch.equal(one.image, two.image)


def test_a_batch_of_a_fixed_frame(dataset: CocoDataset) -> None:
    batches = list(islice(training_loader(dataset, MODEL, recipe(batch=3)), 6))
    labels: set[int] = set()
    for batch in batches:
        assert batch.images.shape == (3, 3, 64, 64) and batch.images.dtype == torch.uint8
        assert sorted(batch.image_ids) == [1, 4, 7]  # each epoch holds every image once
        for (height, width), image, target in zip(batch.resized_hw.tolist(), batch.images, batch.targets, strict=True):
            assert not image[:, height:].any() and not image[:, :, width:].any()
            assert target.masks.shape[1:] == (16, 16) and target.masks.dtype == torch.float16
            assert target.masks.flatten(1).any(1).all()
            labels |= set(target.labels.tolist())
        assert len(batch.targets[batch.image_ids.index(7)]) == 0
    assert labels == {0, 1}
    assert len({batch.image_ids for batch in batches}) > 1


def test_labels_are_the_models(dataset: CocoDataset) -> None:
    still = AugmentConfig(flip=0, short_px=(40,), long_px=90)
    batch = next(iter(training_loader(dataset, MODEL, recipe(batch=3, augment=still))))
    assert batch.targets[batch.image_ids.index(1)].labels.tolist() == [1, 0, 1]  # cell, disc, cell
    assert batch.targets[batch.image_ids.index(4)].labels.tolist() == [0]
    with pytest.raises(InputError, match="cell"):
        training_loader(dataset, MODEL.model_copy(update={"classes": ("disc",)}), recipe())


@pytest.mark.parametrize(("strides", "cells"), [((2, 4, 8), 64), ((4, 8, 16), 32), ((8, 16, 32), 16)])
def test_targets_lie_on_the_models_grid(dataset: CocoDataset, strides: tuple[int, ...], cells: int) -> None:
    model = MODEL.model_copy(update={"backbone": BackboneConfig(strides=strides)})
    batch = next(iter(training_loader(dataset, model, recipe())))
    assert batch.targets[0].masks.shape[1:] == (cells, cells)


def test_collate_pads_to_the_largest() -> None:
    def sample(height: int, width: int, count: int) -> Sample:
        grid = (-(-height // 32) * 8, -(-width // 32) * 8)
        targets = Targets(torch.arange(count), torch.full((count, *grid), 0.25).half())
        return Sample(torch.full((3, height, width), 7, dtype=torch.uint8), targets, height)

    samples = [sample(40, 20, 2), sample(10, 90, 0), sample(33, 33, 1)]
    batch = collate(samples, 4)
    assert batch.images.shape == (3, 3, 64, 96) and batch.resized_hw.tolist() == [[40, 20], [10, 90], [33, 33]]
    assert batch.image_ids == (40, 10, 33) and [len(target) for target in batch.targets] == [2, 0, 1]
    assert batch.images.sum() == 7 * 3 * (40 * 20 + 10 * 90 + 33 * 33)
    assert batch.targets[0].masks.shape == (2, 16, 24) and batch.targets[0].labels.tolist() == [0, 1]
    assert (batch.targets[0].masks[:, :, :8] == 0.25).all() and not batch.targets[0].masks[:, :, 8:].any()
    assert collate(samples[:1], 4, (96, 128)).images.shape == (1, 3, 96, 128)
    with pytest.raises(InputError, match="frame_hw"):
        collate(samples, 4, (64, 64))


sizes = st.integers(1, 40)


@given(sizes, sizes, st.integers(0, 50), st.integers(1, 4))
def test_the_sampler_can_start_anywhere_and_split(size: int, batch: int, start: int, world: int) -> None:
    batch *= world
    whole = list(islice(EpochSampler(size, batch, 5), start + 3))[start:]
    assert list(islice(EpochSampler(size, batch, 5, start=start), 3)) == whole
    parts = [list(islice(EpochSampler(size, batch, 5, start=start, rank=i, world=world), 3)) for i in range(world)]
    for number, keys in enumerate(whole):
        assert len(keys) == batch and len(set(keys)) == batch
        assert sorted(keys) == sorted(key for part in parts for key in part[number])
        assert {len(part[number]) for part in parts} == {batch // world}


@given(sizes, sizes)
def test_an_epoch_holds_every_image_once(size: int, batch: int) -> None:
    keys = [key for keys in islice(EpochSampler(size, batch, 0), size) for key in keys]
    assert keys == sorted(keys, key=lambda key: key[0])
    assert sorted(keys) == [(epoch, index) for epoch in range(batch) for index in range(size)]


def test_epochs_are_shuffled_each_in_its_way() -> None:
    epochs = list(islice(EpochSampler(50, 50, 0), 3))
    orders = [[index for _, index in keys] for keys in epochs]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in [*orders, list(range(50))]}) == 4


def test_epochs_to_iterations() -> None:
    assert iterations_of(2, 100, recipe(batch=8)) == 25
    assert iterations_of(2, 100, recipe(batch=8, optim=OptimConfig(accumulate=4))) == 6
    assert iterations_of(3, 5, recipe(batch=8)) == 2
    assert iterations_of(0.01, 100, recipe(batch=64)) == 1


def test_what_cannot_be_trained_on(write: Write, content: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="2 processes, got 3"):
        EpochSampler(10, 3, 0, world=2)
    with pytest.raises(InputError, match="at least one"):
        EpochSampler(0, 3, 0)
    content["annotations"] = content["annotations"][-1:]
    with pytest.raises(InputError, match="instances, got none"):
        training_loader(CocoDataset.load(*write(content)), MODEL, recipe())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_names_itself(write: Write, workers: int) -> None:
    folder, path = write()
    dataset = CocoDataset.load(folder, path)
    (folder / "4.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"4\.png"):
        list(islice(training_loader(dataset, MODEL, recipe(workers=workers)), 3))


def test_nuclei() -> None:
    """Nearly two hundred instances in one image."""
    dataset = CocoDataset.load(NUCLEI / "val", NUCLEI / "val.json")
    crowded = max(range(len(dataset)), key=lambda index: len(dataset.labels(index)))
    assert len(dataset.labels(crowded)) == 196 and len(dataset.layers(crowded)) < 4
    still = AugmentConfig(flip=0, short_px=(512,), long_px=1080)
    samples = TrainingSet(dataset, TrainTransform(still, MODEL.preprocess), 2, 0)
    item = samples[0, crowded]
    assert len(item.targets) > 190
    assert item.targets.masks.shape[1:] == tuple(-(-side // 32) * 16 for side in item.image.shape[1:])
