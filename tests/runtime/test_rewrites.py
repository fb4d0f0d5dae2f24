"""Every rewrite for inference gives what it replaces, alone and together."""

import copy
from typing import TypeVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sparseinst import load_model
from sparseinst.config.model import ModelConfig
from sparseinst.config.network import BackboneConfig, EncoderConfig, SlotsConfig
from sparseinst.errors import InputError
from sparseinst.modeling.encoder import Encoder
from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.modeling.postprocess import Segmenter
from sparseinst.modeling.slots.decoder import Decoder, coordinates
from sparseinst.ops.deform import DeformableConv
from sparseinst.runtime.folding import fold_norms
from sparseinst.runtime.rewrites import (
    LeanDecoder,
    LeanEncoder,
    PositionedConv,
    fold_projection,
    optimise,
    separate_coordinates,
)
from tiny import tiny_config

AnyModule = TypeVar("AnyModule", bound=nn.Module)
NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)
VARIANTS = [
    {},
    {"groups": 1, "kernel": 1},
    {"groups": 4, "activation": "softmax"},
    {"convs": 0},
    {"convs": 3, "slots": 40, "norm": "batch"},
]


def as_trained(model: AnyModule, *, seed: int = 0) -> AnyModule:
    """Without the zeros and ones of fresh weights, which hide what is left out or counted twice."""
    random = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if getattr(module, "running_var", None) is not None:
            for name, low, high in (("weight", 0.5, 1.5), ("bias", -0.5, 0.5), ("running_mean", -0.5, 0.5)):
                getattr(module, name).data.uniform_(low, high, generator=random)
            module.running_var.uniform_(0.5, 2.0, generator=random)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.data.normal_(0, module.weight[0].numel() ** -0.5, generator=random)
            if module.bias is not None:
                module.bias.data.normal_(0, 0.3, generator=random)
    return model.eval()


def assert_same(actual: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape and b.abs().max() > 0.01, "nothing to compare"
        assert (a - b).abs().max() <= 1e-4 * b.abs().max()


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pictures(height: int, width: int) -> Tensor:
    return noise(2, 3, height, width).sigmoid() * 255


@torch.no_grad()
def check(model: SparseInst, height: int, width: int) -> SparseInst:
    images = pictures(height, width)
    before = copy.deepcopy(model.state_dict())
    fast = optimise(model)
    assert_same(fast(images), model(images))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    return fast


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_optimised_gives_the_same_predictions(variant: dict[str, object]) -> None:
    fast = check(as_trained(build_model(tiny_config(**variant))), 64, 96)
    assert not any(isinstance(module, NORMS) for module in fast.modules())
    assert not fast.training and not any(parameter.requires_grad for parameter in fast.parameters())


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("encoder_norm", ["none", "batch"])
def test_the_published_shape_at_odd_sizes(frozen: bool, encoder_norm: str) -> None:
    config = ModelConfig(
        classes=("a", "b", "c"),
        backbone=BackboneConfig(name="resnet50", norm="frozen" if frozen else "batch"),
        encoder=EncoderConfig(channels=32, norm=encoder_norm),  # type: ignore[arg-type]
        decoder=SlotsConfig(slots=10, channels=32, kernel_channels=24, convs=2),
    )
    fast = check(as_trained(build_model(config)), 96, 160)
    assert not any(hasattr(module, "running_var") for module in fast.modules())


@pytest.mark.parametrize(
    "name",
    ["resnet18", "mobilenetv3_small_050", "pvt_v2_b0"]
    + [
        pytest.param(name, marks=pytest.mark.matrix)
        for name in (
            "cspdarknet53", "densenet121", "fastvit_t8", "hgnetv2_b0", "hrnet_w18_small", "mobileone_s0", "repvit_m0_9",
            "resnetv2_50", "swin_tiny_patch4_window7_224", "tf_efficientnet_lite0", "vovnet39a",
        )
    ],
)  # fmt: skip
@pytest.mark.parametrize("norm", ["frozen", "batch"])
def test_any_backbone(name: str, norm: str) -> None:
    base = tiny_config().model_dump()
    backbone = {"name": name, "norm": norm, "strides": (8, 16, 32)}
    model = as_trained(build_model(ModelConfig.model_validate(base | {"backbone": backbone})))
    with torch.no_grad():  # random norms of many branches multiply, beyond the logits that the optimised form holds
        for lateral, feature in zip(model.encoder.laterals, model.backbone(noise(1, 3, 96, 160)), strict=True):
            next(lateral.parameters()).div_(feature.std())
    check(model, 96, 160)


def test_deformable_convolutions_take_their_norms_and_stay() -> None:
    backbone = {"name": "resnet18", "norm": "frozen", "strides": (8, 16, 32), "deformable": (16, 32)}
    config = ModelConfig.model_validate(tiny_config().model_dump() | {"backbone": backbone})
    fast = check(as_trained(build_model(config)), 64, 96)
    assert sum(isinstance(module, DeformableConv) for module in fast.modules()) == 8
    assert not any(hasattr(module, "running_var") for module in fast.modules())


def test_the_shipped_network_in_a_padded_frame() -> None:
    model = load_model("nuclei")
    images = pictures(96, 128).byte()
    resized = torch.tensor([[96, 101], [77, 128]])
    with torch.no_grad():
        expected = Segmenter(model)(images, resized)
        actual = Segmenter(optimise(model))(images, resized)
    for name in ("scores", "masks", "raw_scores"):
        torch.testing.assert_close(getattr(actual, name), getattr(expected, name), rtol=1e-4, atol=1e-4)


def test_twice_is_as_good_as_once() -> None:
    model = as_trained(build_model(tiny_config()))
    with torch.no_grad():
        assert_same(optimise(optimise(model))(pictures(64, 64)), model(pictures(64, 64)))


def test_sixteen_bits_come_after() -> None:
    model = as_trained(build_model(tiny_config()))
    with pytest.raises(InputError, match=r"torch\.bfloat16: optimise first"):
        optimise(copy.deepcopy(model).bfloat16())
    fast = optimise(model).bfloat16()
    with torch.no_grad():
        assert all(part.isfinite().all() for part in fast(pictures(64, 64).bfloat16()))


def test_its_exported_program_takes_any_size() -> None:
    fast = optimise(as_trained(build_model(tiny_config())))
    sizes = {2: 32 * torch.export.Dim("rows", min=2, max=9), 3: 32 * torch.export.Dim("columns", min=2, max=9)}
    program = torch.export.export(fast, (pictures(64, 96),), dynamic_shapes=(sizes,))
    with torch.no_grad():
        assert_same(program.module()(pictures(128, 96)), fast(pictures(128, 96)))


class Tangle(nn.Module):
    """Convolutions whose norms must stay: the result is read twice, or changed in between, or the norm reads others,
    too. One pair that is used twice may go.
    """

    def __init__(self) -> None:
        super().__init__()
        self.plain, self.twice, self.shared, self.changed, self.one, self.other = (
            nn.Conv2d(4, 4, 3, padding=1) for _ in range(6)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(5))

    def forward(self, features: Tensor) -> Tensor:
        plain, twice, shared, changed, both = self.norms
        features = plain(self.plain(features))
        features = twice(kept := self.twice(features)) + kept
        features = shared(self.shared(shared(self.shared(features))))
        features = both(self.one(both(self.other(features))))
        features = self.changed(features)
        features[:, 0] = 1
        return changed(features)


@torch.no_grad()
def test_norms_that_do_not_follow_alone_stay() -> None:
    model = as_trained(Tangle())
    features = noise(2, 4, 9, 7)
    expected = model(features)
    fold_norms(model, features)
    assert [isinstance(norm, nn.BatchNorm2d) for norm in model.norms] == [False, True, False, True, True]
    assert_same((model(features),), (expected,))


def encoder_of(levels: int) -> Encoder:
    return as_trained(Encoder([5, 7, 9, 4][:levels], channels=8, pool_bins=(1, 2, 3), norm="none"))


@settings(max_examples=20)
@given(levels=st.integers(1, 4), height=st.integers(1, 5), width=st.integers(1, 5))
def test_fusion_inside_the_output_convolutions(levels: int, height: int, width: int) -> None:
    encoder = encoder_of(levels)
    scales = [2**level for level in reversed(range(levels))]
    inputs = [5, 7, 9, 4][:levels]
    features = [noise(2, c, height * s, width * s) for c, s in zip(inputs, scales, strict=True)]
    with torch.no_grad():
        assert_same((LeanEncoder(encoder)(features),), (encoder(features),))


@settings(max_examples=20)
@given(height=st.integers(1, 9), width=st.integers(1, 9), kernel=st.sampled_from([1, 3]))
def test_coordinates_as_an_added_map(height: int, width: int, kernel: int) -> None:
    conv = as_trained(nn.Conv2d(8, 6, kernel, padding=kernel // 2))
    features = noise(2, 6, height, width)
    with torch.no_grad():
        expected = conv(torch.cat([coordinates(features), features], dim=1))
        assert_same((PositionedConv(conv)(features),), (expected,))


@pytest.mark.parametrize("convs", [0, 1, 3])
def test_a_branch_without_coordinate_channels(convs: int) -> None:
    branch = as_trained(build_model(tiny_config(convs=convs))).decoder.mask_branch
    features = noise(2, 16, 7, 5)
    joined = torch.cat([coordinates(features), features], dim=1)
    with torch.no_grad():
        assert_same((separate_coordinates(branch)(features),), (branch(joined.clone()),))


@pytest.mark.parametrize(("slots", "folded"), [(5, True), (200, False)])
@torch.no_grad()
def test_the_mask_projection_moves_where_that_is_cheaper(slots: int, folded: bool) -> None:
    projection, kernel = as_trained(nn.Conv2d(32, 6, 1)), as_trained(nn.Linear(12, 6), seed=3)
    features, given_slots = noise(2, 32, 4, 5), noise(2, slots, 12, seed=2)
    expected = torch.einsum("bnk,bkhw->bnhw", kernel(given_slots), projection(features))
    rest, both = fold_projection(projection, kernel, slots=slots)
    assert isinstance(rest, nn.Identity) == folded
    weights, offset = both(given_slots).tensor_split([32 if folded else 6], dim=2)
    assert_same((torch.einsum("bnk,bkhw->bnhw", weights, rest(features)) + offset[..., None],), (expected,))


@pytest.mark.parametrize("groups", [1, 2, 4])
@torch.no_grad()
def test_the_decoder_alone(groups: int) -> None:
    decoder = as_trained(build_model(tiny_config(groups=groups))).decoder
    assert isinstance(decoder, Decoder)
    assert_same(LeanDecoder(decoder)(noise(2, 16, 7, 5)), decoder(noise(2, 16, 7, 5)))


def test_looking_at_a_shape_is_not_reading() -> None:
    class Watched(nn.Sequential):
        def forward(self, features: Tensor) -> Tensor:
            features = self[0](features)
            assert features.shape[1] == 4 and features.requires_grad is False and features.dim() == 4
            return self[1](features)

    model = as_trained(Watched(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)))
    fold_norms(model, noise(1, 4, 5, 5))
    assert isinstance(model[1], nn.Identity)
