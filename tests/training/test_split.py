import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapes import write_split
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.source import Split
from sparseinst.training.split import held_out_before, hold_out, write_held_out


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> CocoDataset:
    root = tmp_path_factory.mktemp("split")
    write_split(root, "train", 12, first=5)
    return CocoDataset.load(root / "train", root / "train.json")


def test_parts_are_disjoint_whole_and_the_same_again(dataset, tmp_path) -> None:
    first, second = hold_out(dataset, 0.1), hold_out(dataset, 0.1)
    assert first is not None and second is not None
    assert len(first.validation) == 2 and len(first.training) == 10
    assert sorted([*first.training.image_ids, *first.validation.image_ids]) == sorted(dataset.image_ids)
    assert (first.validation.image_ids == second.validation.image_ids).all()
    source = Split(images=dataset.images_dir, annotations=dataset.annotations)
    split = write_held_out(tmp_path, first.validation, source)
    written = CocoDataset.load(split.images, split.annotations)
    again = held_out_before(dataset, split.annotations)
    for part in (written, again.validation):
        assert (part.image_ids == first.validation.image_ids).all() and part.instances == 4
        assert part.rles(1) == first.validation.rles(1) and part.path(1) == first.validation.path(1)
    assert (again.training.image_ids == first.training.image_ids).all()
    assert len(json.loads(split.annotations.read_text())["annotations"]) == 4


def test_nothing_is_set_aside_of_too_few_or_on_demand(dataset) -> None:
    assert hold_out(dataset, 0.0) is None
    assert hold_out(dataset.only([0, 1, 2, 3]), 0.5) is None


@given(st.lists(st.integers(0, 11), unique=True, max_size=12))
def test_some_of_the_images(dataset, indices) -> None:
    part = dataset.only(indices)
    assert len(part) == len(indices) and part.instances == 2 * len(indices)
    for place, index in enumerate(indices):
        assert part.rles(place) == dataset.rles(index) and part.path(place) == dataset.path(index)
        assert np.array_equal(part.labels(place), dataset.labels(index))
