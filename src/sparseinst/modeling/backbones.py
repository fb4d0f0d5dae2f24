"""Feature maps at the strides wanted, from any timm model."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import freeze_batch_norm_2d
from torch import Tensor, nn

from sparseinst.errors import InputError
from sparseinst.ops.deform import DeformableConv
from sparseinst.ops.same import EvenSameConv


class Backbone(nn.Module):
    """A timm `features_only` model, its features in (B, D, h, w) from fine to coarse.

    Args:
        name: timm model name.
        strides: strides of the features wanted, fine to coarse.
        norm: "frozen" turns every batch norm into a constant scale and shift; "batch" and "sync" train it.
        deformable: those of the strides whose stages get deformable 3x3 convolutions.
        in_channels: of the images; pretrained weights of the first convolution are widened to them.
        pretrained: load timm's weights (needs a network or a filled cache).

    Attributes:
        channels: widths of the features, in the order of `strides`.

    Raises:
        InputError: timm does not know the model, or it has no feature at one of the strides.
    """

    def __init__(
        self,
        name: str,
        *,
        strides: Sequence[int],
        norm: Literal["frozen", "batch", "sync"],
        deformable: Sequence[int] = (),
        in_channels: int = 3,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        indices = _feature_indices(name, strides)
        try:
            features = _create(name, out_indices=indices, pretrained=pretrained, in_chans=in_channels)
        except OSError as error:  # no network, no cache
            raise InputError(
                f"backbone {name!r}: its pretrained weights cannot be fetched ({error}); "
                "give a file by --init FILE, or connect this machine to the internet"
            ) from error
        _cut(features)
        _pad_evenly(features)
        self.channels: tuple[int, ...] = tuple(features.feature_info.channels())
        for index, stride in zip(indices, strides, strict=True):
            if stride in deformable:
                _deform(_stage(features, index), f"backbone.name {name!r}, stride {stride}")
        self.channels_last = getattr(features, "output_fmt", "NCHW") == "NHWC"
        self._info = features.feature_info
        self._frozen: list[nn.Module] = []
        self.features: nn.Module = freeze_batch_norm_2d(features) if norm == "frozen" else features

    def freeze(self, stride: int) -> None:
        """Keeps the weights and statistics of all layers up to the feature of a stride as they are from here on.

        Raises:
            InputError: there is no feature of this stride, or it is made by no layer of its own.
        """
        known: list[dict[str, Any]] = self._info.info  # of all features, not only of those that are used
        ends = {item["reduction"]: item["module"] for item in known}
        last = _module(self.features, ends[stride]) if stride in ends else None
        if last is None:
            has = [other for other, name in ends.items() if _module(self.features, name)]
            raise InputError(f"freeze: expected a stride of the backbone's layers, one of {has}, got {stride}")
        layers = list(self.features.modules())
        end = max(index for index, layer in enumerate(layers) if layer in set(last.modules()))
        # What holds the last stage holds later ones, too.
        self._frozen = [layer for layer in layers[: end + 1] if layer is last or last not in set(layer.modules())]
        for layer in self._frozen:
            for parameter in layer.parameters(recurse=False):
                parameter.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As usual, but for frozen layers, which never gather statistics."""
        super().train(mode)
        for layer in self._frozen:
            layer.training = False
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, channels, H, W) normalised images to one (B, D, H/stride, W/stride) for each stride."""
        features: list[Tensor] = self.features(images)
        return [feature.permute(0, 3, 1, 2) for feature in features] if self.channels_last else features


def spare_depthwise(network: nn.Module) -> None:
    """Keeps trained depthwise convolutions in float32 under autocast on a CPU.

    Their gradients take several times as long there in 16 bits, while everything else is faster.
    """
    for conv in network.modules():
        if isinstance(conv, nn.Conv2d) and 1 < conv.groups == conv.in_channels and conv.weight.requires_grad:
            _leave_autocast(conv)


def _leave_autocast(module: nn.Module) -> None:
    within: list[bool] = []

    def before(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        within.append(torch.is_autocast_enabled("cpu"))
        torch.set_autocast_enabled("cpu", False)
        return (inputs[0].float(),)

    def after(*_: object) -> None:
        torch.set_autocast_enabled("cpu", within.pop())

    module.register_forward_pre_hook(before)
    module.register_forward_hook(after, always_call=True)


def _create(name: str, **options: Any) -> Any:
    try:  # transformers with windows (Swin) are otherwise bound to the size they were pretrained at
        return timm.create_model(name, features_only=True, strict_img_size=False, **options)
    except TypeError:
        return timm.create_model(name, features_only=True, **options)


def _cut(features: Any) -> None:
    """Takes off the stages beyond the last feature, which timm leaves in its EfficientNets and MobileNets."""
    last: str = features.feature_info.module_name()[-1]
    if last.startswith("blocks.") and isinstance(features.blocks, nn.Sequential):
        features.blocks = features.blocks[: int(last.split(".")[1]) + 1]


def _pad_evenly(features: nn.Module) -> None:
    """Replaces convolutions that compute their padding from the image: the sides here are multiples of every stride."""
    for module in list(features.modules()):
        for name, child in list(module.named_children()):
            if type(child) is Conv2dSame and EvenSameConv.fits(child):
                setattr(module, name, EvenSameConv(child))


def _stage(features: Any, index: int) -> nn.Module:
    """The stage that ends in a feature; timm joins the parts of its name where it flattens a container."""
    stage = _module(features, features.feature_info.module_name(index))
    assert stage is not None
    return stage


def _module(features: nn.Module, name: str) -> nn.Module | None:
    named = dict(features.named_modules())
    return named.get(name) or named.get(name.replace(".", "_"))


def _deform(stage: nn.Module, place: str) -> None:
    """Makes the 3x3 convolutions of a stage deformable."""
    found = [
        (module, name, child)
        for module in stage.modules()
        for name, child in module.named_children()
        if isinstance(child, nn.Conv2d) and child.kernel_size == (3, 3)
    ]
    if not found:
        raise InputError(f"{place}: expected 3x3 convolutions to make deformable, found none: leave the stride out")
    for module, name, conv in found:
        setattr(module, name, DeformableConv(conv))


def _feature_indices(name: str, strides: Sequence[int]) -> tuple[int, ...]:
    try:
        with torch.device("meta"):
            available: list[int] = _create(name).feature_info.reduction()
    except (RuntimeError, AttributeError, ValueError, NotImplementedError) as error:
        similar = timm.list_models(f"*{name.split('.')[0][:6]}*")[:6]
        raise InputError(
            f"backbone.name {name!r}: timm has no such model with feature maps ({error}); similar names: "
            f"{', '.join(similar) or 'none'}"
        ) from error
    missing = [stride for stride in strides if stride not in available]
    if missing:
        raise InputError(
            f"backbone.name {name!r} has features at strides {available}, but backbone.strides asks for "
            f"{', '.join(map(str, missing))}: choose a backbone that has them, or other strides"
        )
    return tuple(len(available) - 1 - available[::-1].index(stride) for stride in strides)
