import pytest
import torch

from sparseinst.errors import InputError
from sparseinst.modeling.backbones import Backbone, spare_depthwise


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("test_resnet", (8, 16, 32)),
        ("test_resnet", (4, 8)),
        ("test_efficientnet", (4, 8, 16, 32)),
        ("test_convnext", (8, 16, 32)),
    ],
)
def test_features_have_the_strides_and_channels_promised(name: str, strides: tuple[int, ...]) -> None:
    backbone = Backbone(name, strides=strides, norm="batch")
    features = backbone(torch.rand(1, 3, 64, 96))
    expected = [(1, width, 64 // s, 96 // s) for width, s in zip(backbone.channels, strides, strict=True)]
    assert [tuple(feature.shape) for feature in features] == expected


def test_channels_last_features_are_brought_to_channels_first() -> None:
    backbone = Backbone("swin_tiny_patch4_window7_224", strides=(8, 16, 32), norm="batch")
    features = backbone(torch.rand(1, 3, 64, 96))
    assert [tuple(feature.shape) for feature in features] == [(1, 192, 8, 12), (1, 384, 4, 6), (1, 768, 2, 3)]


def test_missing_stride_and_unknown_name_are_input_errors() -> None:
    with pytest.raises(InputError, match=r"test_vit.*strides \[16, 16, 16\].*asks for 8, 32"):
        Backbone("test_vit", strides=(8, 16, 32), norm="batch")
    with pytest.raises(InputError, match=r"'resnet51'.*similar names: .*resnet"):
        Backbone("resnet51", strides=(8, 16, 32), norm="batch")


def test_frozen_norm_has_no_trainable_part_and_ignores_the_batch() -> None:
    frozen = Backbone("test_resnet", strides=(8, 16, 32), norm="frozen").train()
    assert not any("bn" in name for name, _ in frozen.named_parameters())
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        alone, together = frozen(images[:1])[-1], frozen(images)[-1][:1]
    torch.testing.assert_close(alone, together)
    trained = Backbone("test_resnet", strides=(8, 16, 32), norm="batch")
    assert any("bn" in name for name, _ in trained.named_parameters())


def test_trained_depthwise_convolutions_stay_in_float32_under_autocast() -> None:
    backbone = Backbone("test_efficientnet", strides=(4, 8, 16, 32), norm="batch")
    backbone.freeze(4)
    spare_depthwise(backbone)
    types: dict[bool, set[torch.dtype]] = {False: set(), True: set()}
    for conv in backbone.modules():
        if isinstance(conv, torch.nn.Conv2d):
            spared = 1 < conv.groups == conv.in_channels and conv.weight.requires_grad
            conv.register_forward_hook(lambda _, __, out, spared=spared: types[spared].add(out.dtype))
    images = torch.rand(2, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        sum(feature.float().mean() for feature in backbone(images)).backward()
        assert torch.is_autocast_enabled("cpu")
    assert types == {False: {torch.bfloat16}, True: {torch.float32}}
    backbone(images)
    assert not torch.is_autocast_enabled("cpu")


def test_autocast_is_what_it_was_when_a_depthwise_convolution_fails() -> None:
    conv = torch.nn.Conv2d(4, 4, 3, groups=4)
    spare_depthwise(conv)
    with torch.autocast("cpu", torch.bfloat16):
        with pytest.raises(RuntimeError):
            conv(torch.rand(1, 3, 8, 8))
        assert torch.is_autocast_enabled("cpu")
