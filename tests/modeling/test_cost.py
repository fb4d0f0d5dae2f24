import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sparseinst.config.model import ModelConfig
from sparseinst.config.network import BackboneConfig
from sparseinst.errors import InputError
from sparseinst.modeling.cost import PARTS, Cost, cost
from sparseinst.modeling.model import SparseInst, build_model
from tiny import tiny_config, tiny_seeds_config


def on_meta(config: ModelConfig) -> SparseInst:
    with torch.device("meta"):
        return build_model(config).eval()


def test_every_parameter_belongs_to_one_part() -> None:
    model = build_model(tiny_config()).eval()
    counted = cost(model, (64, 64))
    assert set(counted.parts) == set(PARTS)
    assert counted.total.parameters == sum(parameter.numel() for parameter in model.parameters())
    for part in PARTS:
        assert counted.parts[part].parameters == sum(p.numel() for p in getattr(model, part).parameters())


@pytest.mark.parametrize("changes", [{}, {"groups": 1, "kernel": 1}, {"activation": "softmax"}, {"convs": 0}])
def test_the_parts_add_up_to_what_a_real_run_does(changes: dict[str, object]) -> None:
    model = build_model(tiny_config(**changes)).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 64, 96))
    assert cost(model, (64, 96)).total.flops == counter.get_total_flops() > 0


@pytest.mark.parametrize("changes", [{}, {"candidates": 900, "candidates_per": "area", "levels": 1}])
def test_seeds_are_counted_without_weights(changes: dict[str, object]) -> None:
    config = tiny_seeds_config(**changes)
    counted = cost(on_meta(config), (64, 96))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        build_model(config).eval()(torch.zeros(1, 3, 64, 96))
    assert counted.total.flops == counter.get_total_flops()
    most = config.decoder.most_instances((64, 96))
    assert counted.shapes["masks"] == (most, 32, 48) and counted.shapes["activation"] == (most, 16, 24)


def test_a_convolution_counts_twice_its_multiply_accumulates() -> None:
    thin, wide = (cost(on_meta(tiny_config(kernel_channels=width)), (64, 64)).parts for width in (8, 9))
    slots, channels, groups, places = 6, 16, 2, 16 * 16
    # One channel more in the mask projection (1x1), the kernel head and the product of both.
    expected = 2 * (channels * places + slots * channels * groups + slots * places)
    assert wide["decoder"].flops - thin["decoder"].flops == expected
    assert wide["encoder"] == thin["encoder"]


def test_a_deformable_convolution_counts_as_the_plain_one_and_its_offsets() -> None:
    models = [
        on_meta(ModelConfig(backbone=BackboneConfig(name="test_resnet", deformable=strides))) for strides in ((), (32,))
    ]
    plain, deformable = (cost(model, (64, 64)).parts for model in models)
    offsets = [module for name, module in models[1].named_modules() if name.endswith(".offset")]
    assert offsets and all(isinstance(module, nn.Conv2d) for module in offsets)
    places = (64 // 32) ** 2
    expected = sum(2 * module.weight.numel() * places for module in offsets)
    assert deformable["backbone"].flops - plain["backbone"].flops == expected
    assert deformable["decoder"] == plain["decoder"]


@given(height=st.integers(1, 6), width=st.integers(1, 6))
@settings(max_examples=10)
def test_shapes_are_those_of_a_real_run(height: int, width: int) -> None:
    size = (32 * height, 32 * width)
    model = build_model(tiny_config()).eval()
    seen: list[Tensor] = []
    hook = model.encoder.register_forward_hook(lambda _, inputs, output: seen.extend([*inputs[0], output]))
    with torch.no_grad():
        predictions = model(torch.zeros(1, 3, *size))
    hook.remove()
    real = [tuple(tensor.shape[1:]) for tensor in (*seen, predictions.activation, predictions.masks)]
    counted = cost(model, size)
    assert counted.size_hw == size
    assert list(counted.shapes.values()) == real
    assert [name for name in counted.shapes if name.startswith("features")] == [
        f"features at stride {stride}" for stride in (4, 8, 16, 32)
    ]


def test_nothing_is_computed_and_the_model_stays_as_it_was() -> None:
    model = build_model(tiny_config(norm="batch")).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    real = cost(model, (64, 64))
    assert model.training
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
    assert cost(model, (64, 64)) == real
    without_weights: Cost = cost(on_meta(tiny_config(norm="batch")), (64, 64))
    assert without_weights == real


def test_operations_grow_with_the_pixels() -> None:
    model = on_meta(tiny_config())
    small, large = cost(model, (64, 64)).total, cost(model, (128, 128)).total
    assert small.parameters == large.parameters
    assert 3.5 * small.flops < large.flops <= 4 * small.flops  # heads and pooled stages stay as they are


@pytest.mark.parametrize("size", [(64, 65), (0, 64), (-32, 32)])
def test_a_size_that_is_no_multiple_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="positive multiples of 32"):
        cost(on_meta(tiny_config()), size)
