"""Our own line n, s, m, l: as cheap as promised, trainable in every part, at most 640 pixels a side."""

import pytest
import torch

from sparseinst.data.geometry import resized_hw
from sparseinst.modeling.cost import Cost, cost
from sparseinst.modeling.model import build_model
from sparseinst.zoo.names import load_preset, shipped_weights

LINE = ("n", "s", "m", "l")
SIZE = (640, 640)


def cost_of(name: str) -> Cost:
    with torch.device("meta"):
        return cost(build_model(load_preset(name).model).eval(), SIZE)


def test_each_is_as_cheap_as_promised() -> None:
    costs = {name: cost_of(name) for name in LINE}
    gflop = [costs[name].total.flops / 1e9 for name in LINE]
    millions = [costs[name].total.parameters / 1e6 for name in LINE]
    assert gflop[0] <= 8.8
    assert costs["n"].parts["decoder"].flops <= 2.5e9
    assert gflop[1] <= 29.4
    assert gflop[3] * 1e9 < cost_of("r50-giam").total.flops
    assert gflop == sorted(gflop)
    assert millions == sorted(millions)
    assert millions == pytest.approx([2.1, 7.0, 16.5, 36.3], abs=0.1)
    for counted in costs.values():  # encoder and decoder follow the backbone, as they do not in the published networks
        assert counted.parts["backbone"].flops > counted.parts["encoder"].flops + counted.parts["decoder"].flops


@pytest.mark.parametrize("name", LINE)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = build_model(load_preset(name).model).train()
    predictions = model(torch.rand(1, 3, 64, 64) * 255)
    sum(part.square().sum() for part in predictions).backward()
    assert [key for key, parameter in model.named_parameters() if parameter.grad is None] == []
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("name", LINE)
def test_an_image_of_any_shape_is_at_most_as_large_as_it_was_in_training(name: str) -> None:
    preset = load_preset(name)
    preprocess = preset.model.preprocess
    assert preprocess.frame_hw is None  # no weight depends on the frame
    assert preset.recipe.augment.frame_hw == SIZE
    for original in ((480, 640), (640, 480), (4000, 30), (64, 64)):
        assert max(resized_hw(original, preprocess.short_px, preprocess.long_px)) <= 640
    assert len(preset.model.classes) == 80
    assert preset.published.ap_val is None
    assert shipped_weights(name) is None
