"""The contracts of a network of seeds, over tiny variants of it."""

import copy

import pytest
import torch
from torch import Tensor

from sparseinst.batch import Batch, Targets
from sparseinst.errors import InputError
from sparseinst.modeling.learner import Learner
from sparseinst.modeling.model import build_model, with_max_instances
from sparseinst.modeling.postprocess import Segmenter
from sparseinst.modeling.seeds.prior import PRIOR_CHANNELS, UNIT_CELLS, shape_prior
from sparseinst.modeling.slots.criterion import count_instances
from sparseinst.recipe import LossConfig
from sparseinst.runtime.rewrites import optimise
from tiny import discs, tiny_seeds, tiny_seeds_config

VARIANTS = [
    {},
    {"levels": 1},
    {"levels": 3, "convs": 2, "kernel_channels": 5},
    {"candidates": 400, "candidates_per": "area"},
    {"norm": "none"},
]


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_shapes_of_any_frame(variant: dict[str, object]) -> None:
    model = tiny_seeds(**variant)
    for height, width in ((64, 96), (32, 32), (160, 32)):
        with torch.no_grad():
            found = model(pictures(2, 3, height, width).float())
        count = model.config.decoder.most_instances((height, width))
        assert found.logits.shape == (2, count, 2) and found.objectness.shape == (2, count, 1)
        assert found.masks.shape == (2, count, height // 2, width // 2)
        assert found.activation.shape == (2, count, height // 4, width // 4)
        assert all(part.isfinite().all() for part in found)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_gradient_in_every_parameter(variant: dict[str, object]) -> None:
    model = tiny_seeds(**variant).train()
    masks = torch.nn.functional.pad(discs(3).masks, (0, 16))
    batch = Batch(
        pictures(2, 3, 64, 96), torch.tensor([[64, 96]] * 2), (Targets(discs(3).labels, masks),) * 2, (0, 1)
    )  # fmt: skip
    losses = Learner(model, LossConfig())(batch, count_instances(batch.targets, "cpu"))
    sum(losses.values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().any()] == []


def test_a_result_does_not_depend_on_batch_mates() -> None:
    model = tiny_seeds(candidates=9)
    images = pictures(3, 3, 64, 64).float()
    with torch.no_grad():
        together, alone = model(images), model(images[1:2])
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:2], b, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_optimised_gives_the_same_predictions(variant: dict[str, object]) -> None:
    model = tiny_seeds(**variant)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
    images = pictures(2, 3, 64, 96).float()
    fast = optimise(model)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fast.modules())
    with torch.no_grad():
        for found, expected in zip(fast(images), model(images), strict=True):
            assert (found - expected).abs().max() <= 1e-3 * expected.abs().max()


def test_other_numbers_of_instances_share_the_weights() -> None:
    model = tiny_seeds(candidates=400, candidates_per="area")
    more = with_max_instances(model, 30)
    images = pictures(1, 3, 64, 64).float()
    with torch.no_grad():
        found, few = more(images), model(images)
    assert few.logits.shape[1] == 7 and found.logits.shape[1] == 30
    torch.testing.assert_close(found.logits[:, :7], few.logits)
    torch.testing.assert_close(found.masks[:, :7], few.masks, rtol=1e-4, atol=1e-4)
    assert more.config.decoder.most_instances((64, 64)) == more.config.most_instances == 30
    assert model.config.most_instances is None and model.config.decoder.candidates == 400
    assert all(a is b for a, b in zip(more.parameters(), model.parameters(), strict=True))
    with pytest.raises(InputError, match="at least 1"):
        with_max_instances(model, 0)


def test_settings_say_what_the_decoder_does() -> None:
    for settings in ({}, {"candidates": 400, "candidates_per": "area"}, {"candidates": 3, "candidates_per": "area"}):
        model = build_model(tiny_seeds_config(**settings))
        for height, width in ((32, 32), (96, 160), (512, 512), (2048, 1024)):
            most = model.config.decoder.most_instances((height, width))
            assert model.decoder.budget.most((height // 4, width // 4)) == most


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_places_of_wide_frames_survive_16_bits(dtype: torch.dtype) -> None:
    model = tiny_seeds(candidates=200, levels=1)
    half = copy.deepcopy(model)
    half.set_dtype(dtype)
    drawn: list[tuple[Tensor, ...]] = []
    grow = half.decoder.grow

    def watched(head: Tensor, y: Tensor, x: Tensor, cells: Tensor, fields: object) -> object:
        drawn.append((head, y, x, cells))
        return grow(head, y, x, cells, fields)

    half.decoder.grow = watched  # type: ignore[method-assign]
    images = pictures(1, 3, 32, 2048)
    found = Segmenter(half)(images, torch.tensor([[32, 2048]]))
    assert all(part.isfinite().all() for part in found[:4])
    ((head, y, x, cells),) = drawn
    far = x[0] > 500
    assert far.any() and y.dtype == x.dtype == torch.float32 and head.dtype == dtype
    shape = head[..., -PRIOR_CHANNELS:]
    made = shape_prior(shape, y, x, UNIT_CELLS * cells, (8, 512))[0, far]
    exact = shape_prior(shape.double(), y.double(), x.double(), UNIT_CELLS * cells.double(), (8, 512))[0, far]
    near = (torch.arange(512) - x[0, far, None]).abs()[:, None] < 12
    assert made.dtype == torch.float32
    assert ((made - exact).abs() * near).max() < 1e-3
