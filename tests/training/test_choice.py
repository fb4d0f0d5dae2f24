import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseinst.data.coco import CocoDataset
from sparseinst.data.sizes import measure_sizes
from sparseinst.recipe import Recipe
from sparseinst.training.choice import budget, choose_network


@pytest.mark.parametrize(
    ("data", "network", "reason"),
    [("dsb2018", "nuclei", "images grey"), ("carparts", "lite", "18 classes"), ("coco_mini", "lite", "80 classes")],
)
def test_real_data(shared, data, network, reason) -> None:
    root = shared / "data" / data
    dataset = CocoDataset.load(root / "val", root / "val.json")
    choice = choose_network(dataset, measure_sizes(dataset))
    assert choice.network == network and reason in choice.reason


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.sampled_from([1, 4, 32]))
def test_more_images_are_never_seen_less(one, other, batch) -> None:
    recipe = Recipe(iterations=3000, batch=4)
    few, many = (budget(recipe, images, step_images=batch) for images in sorted((one, other)))
    assert 1 <= few.iterations <= many.iterations <= 8 * 3000 * 4
    assert 7 <= many.iterations / many.evaluate_every <= 8 or many.iterations < 64
