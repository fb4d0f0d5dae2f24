"""Any timm backbone: forward, and a gradient in every parameter."""

import pytest
import torch

from sparseinst.config.model import ModelConfig
from sparseinst.config.network import BackboneConfig, EncoderConfig, SlotsConfig
from sparseinst.errors import InputError
from sparseinst.modeling.model import SparseInst, build_model

FEW = ("resnet18", "mobilenetv3_small_050", "pvt_v2_b0")
"""One convolutional, one with squeeze and excitation, one transformer: in every test run."""
MATRIX = (
    "resnet34", "resnet50", "resnet50d", "resnet101", "resnext50_32x4d", "regnetx_002", "regnety_002",
    "efficientnet_b0", "tf_efficientnet_lite0", "mobilenetv4_conv_small", "hgnetv2_b0", "hgnetv2_b2", "convnext_atto",
    "cspdarknet53", "darknet53", "pvt_v2_b2_li", "repvit_m0_9", "swin_tiny_patch4_window7_224",
)  # fmt: skip
FAMILIES = [*FEW, *(pytest.param(name, marks=pytest.mark.matrix) for name in MATRIX)]


def config(name: str, **backbone: object) -> ModelConfig:
    return ModelConfig(
        classes=("a", "b"),
        backbone=BackboneConfig.model_validate({"name": name, "norm": "batch"} | backbone),
        encoder=EncoderConfig(channels=48),
        decoder=SlotsConfig(slots=6, groups=2, channels=16, convs=1, kernel_channels=8, activation="softmax"),
    )


UNSEEN = ("softmax_bias", "lab.bias")
"""A softmax over pixels does not see a shift, nor does a batch norm after a 1x1 convolution (HGNetV2's affine layers):
the gradient of these is of rounding size, and may be 0."""


def plain(model: SparseInst) -> SparseInst:
    """Without what makes gradients 0 at the start or at random: norms that begin at 0, and dropped paths."""
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, torch.nn.Parameter) and weight.ndim == 1:
            torch.nn.init.uniform_(weight, 0.5, 1.5)
        if hasattr(module, "drop_prob"):
            module.drop_prob = 0.0
    return model


@pytest.mark.parametrize("strides", [(8, 16, 32), (4, 8, 16)], ids=["8-32", "4-16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_forward_and_a_gradient_in_every_parameter(name: str, strides: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = plain(build_model(config(name, strides=strides)))
    predictions = model(torch.rand(2, 3, 64, 96) * 255)
    assert predictions.logits.shape == (2, 6, 2)
    assert predictions.masks.shape == (2, 6, 128 // strides[0], 192 // strides[0])
    sum((part * torch.randn_like(part)).sum() for part in predictions[:3]).backward()
    gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
    assert [key for key, gradient in gradients.items() if gradient is None] == []
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    assert [key for key, gradient in gradients.items() if not gradient.any() and not key.endswith(UNSEEN)] == []


def test_deformable_stages_start_as_they_were_and_learn() -> None:
    torch.manual_seed(0)
    model = plain(build_model(config("resnet18", deformable=(16, 32)))).eval()
    ordinary = build_model(config("resnet18")).eval()
    ordinary.load_state_dict({k: v for k, v in model.state_dict().items() if ".offset." not in k})
    images = torch.rand(1, 3, 64, 96) * 255
    with torch.no_grad():
        torch.testing.assert_close(model(images).masks, ordinary(images).masks, rtol=1e-4, atol=1e-4)
    model.train()(images).masks.square().sum().backward()
    offsets = [p.grad for key, p in model.named_parameters() if ".offset." in key]
    assert len(offsets) == 16  # four 3x3 convolutions in each of two stages, weight and bias
    assert all(gradient is not None and gradient.any() for gradient in offsets)


def test_deformable_stages_need_3x3_convolutions() -> None:
    with pytest.raises(InputError, match=r"stride 32: expected 3x3 convolutions"):
        build_model(config("convnext_atto", deformable=(32,)))
    with pytest.raises(ValueError, match=r"deformable must name some of the strides"):
        config("resnet18", deformable=(4,))
