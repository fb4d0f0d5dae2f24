"""Names of the tensors in published SparseInst checkpoints, and ours for them."""

import re
from collections.abc import Iterable

from sparseinst.errors import InputError

_RULES: tuple[tuple[str, str], ...] = (
    # detectron2's ResNet -> timm's
    (r"backbone\.stem\.conv1\.norm\.(\w+)", r"backbone.features.bn1.\1"),
    (r"backbone\.stem\.conv1\.weight", r"backbone.features.conv1.weight"),
    (r"backbone\.res2\.(\d+)\.(.+)", r"backbone.features.layer1.\1.\2"),
    (r"backbone\.res3\.(\d+)\.(.+)", r"backbone.features.layer2.\1.\2"),
    (r"backbone\.res4\.(\d+)\.(.+)", r"backbone.features.layer3.\1.\2"),
    (r"backbone\.res5\.(\d+)\.(.+)", r"backbone.features.layer4.\1.\2"),
    (r"(backbone\.features\..+)\.conv(\d)\.norm\.(\w+)", r"\1.bn\2.\3"),
    (r"(backbone\.features\..+)\.shortcut\.norm\.(\w+)", r"\1.downsample.1.\2"),
    (r"(backbone\.features\..+)\.shortcut\.weight", r"\1.downsample.0.weight"),
    # ResNet-d has timm's names already
    (r"backbone\.(conv1|bn1|layer\d)\.(.+)", r"backbone.features.\1.\2"),
    # deformable convolutions of both
    (r"(backbone\.features\..+)\.conv2_offset\.(\w+)", r"\1.conv2.offset.\2"),
    # the darknets; timm joins the first two parts of a name
    (r"backbone\.stem\.conv1\.(conv|bn)\.(\w+)", r"backbone.features.stem_conv1.\1.\2"),
    (r"backbone\.stages\.(\d)\.(.+)", r"backbone.features.stages_\1.\2"),
    # PVTv2; its stages are renumbered from 0 afterwards
    (r"backbone\.patch_embed1\.(.+)", r"backbone.features.patch_embed.\1"),
    (r"backbone\.patch_embed(\d)\.(.+)", r"backbone.features.pvt_\1.downsample.\2"),
    (r"backbone\.block(\d)\.(.+)", r"backbone.features.pvt_\1.blocks.\2"),
    (r"backbone\.norm(\d)\.(\w+)", r"backbone.features.pvt_\1.norm.\2"),
    (r"(backbone\.features\..+)\.dwconv\.dwconv\.(\w+)", r"\1.dwconv.\2"),
    # encoder; laterals and outputs are renumbered fine to coarse afterwards
    (r"encoder\.fpn_(laterals|outputs)\.(\d+)\.(\w+)", r"encoder.\1.\2.conv.\3"),
    (r"encoder\.ppm\.stages\.(\d+)\.1\.(\w+)", r"encoder.pooling.stages.\1.conv.\2"),
    (r"encoder\.ppm\.bottleneck\.(\w+)", r"encoder.pooling.bottleneck.conv.\1"),
    (r"encoder\.fusion\.(\w+)", r"encoder.fusion.conv.\1"),
    # decoder; the published branches count convolution and ReLU, ours count pairs
    (r"decoder\.inst_branch\.inst_convs\.(\d+)\.(\w+)", r"decoder.instance_branch.\1.0.conv.\2"),
    (r"decoder\.mask_branch\.mask_convs\.(\d+)\.(\w+)", r"decoder.mask_branch.\1.0.conv.\2"),
    (r"decoder\.mask_branch\.projection\.(\w+)", r"decoder.projection.conv.\1"),
    (r"decoder\.inst_branch\.iam_conv\.(\w+)", r"decoder.activation.conv.\1"),
    (r"decoder\.inst_branch\.softmax_bias", r"decoder.activation.softmax_bias"),
    (r"decoder\.inst_branch\.fc\.(\w+)", r"decoder.mix.\1"),
    (r"decoder\.inst_branch\.cls_score\.(\w+)", r"decoder.classifier.\1"),
    (r"decoder\.inst_branch\.mask_kernel\.(\w+)", r"decoder.kernel.\1"),
    (r"decoder\.inst_branch\.objectness\.(\w+)", r"decoder.objectness.\1"),
)

_NOT_WEIGHTS = re.compile(r"pixel_(mean|std)")
_DETECTRON2_RESNET = re.compile(r"(stem\.conv1|res[2-5]\.\d+)\..+")
_CAFFE2_RESNET = re.compile(r"res\d_\d+_branch\w+")


def is_published(names: Iterable[str]) -> bool:
    """Whether tensor names are those of a published checkpoint."""
    return any(name.startswith("decoder.inst_branch.") for name in names)


def is_detectron2_resnet(names: Iterable[str]) -> bool:
    """Whether tensor names are those of a backbone alone, as detectron2's R-50.pkl has them.

    Raises:
        InputError: they are those of its older Caffe2 form, which is another network.
    """
    names = list(names)
    if any(_CAFFE2_RESNET.match(name) for name in names):
        raise InputError(
            "expected a ResNet as torchvision trained it, got one in Caffe2's form (BGR, strides in the 1x1 "
            "convolutions), which computes something else: take detectron2's ImageNetPretrained/torchvision/R-50.pkl"
        )
    return any(name.startswith("res2.0.") for name in names)


def backbone_name(published: str) -> str | None:
    """Our name for a tensor of detectron2's ResNet; None for one that its backbone does not have (the classifier)."""
    return our_name(f"backbone.{published}") if _DETECTRON2_RESNET.fullmatch(published) else None


def our_name(published: str, *, levels: int = 3) -> str | None:
    """Our name for a published tensor; None for one that holds no weight (`pixel_mean`, `pixel_std`).

    Args:
        published: its name in the published checkpoint.
        levels: number of feature levels; the published pyramid is numbered coarse to fine.

    Raises:
        InputError: no published SparseInst has a tensor of this name.
    """
    if _NOT_WEIGHTS.fullmatch(published):
        return None
    name = published
    for pattern, replacement in _RULES:
        name = re.sub(f"^{pattern}$", replacement, name)
    if name == published:
        raise InputError(
            f"tensor {published!r} is not part of a published SparseInst: check that the file is one of its checkpoints"
        )
    name = re.sub(r"\.pvt_(\d)\.", lambda m: f".stages_{int(m[1]) - 1}.", name)
    name = re.sub(r"^(encoder\.(?:laterals|outputs))\.(\d+)", lambda m: f"{m[1]}.{levels - 1 - int(m[2])}", name)
    return re.sub(r"^(decoder\.\w+_branch)\.(\d+)", lambda m: f"{m[1]}.{int(m[2]) // 2}", name)
