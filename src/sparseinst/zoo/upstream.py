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

_NOT_WEIGHTS = re.compile(r"pixel_(mean|std)|.*\.num_batches_tracked")


def is_published(names: Iterable[str]) -> bool:
    """Whether tensor names are those of a published checkpoint."""
    return any(name.startswith("decoder.inst_branch.") for name in names)


def our_name(published: str, *, levels: int = 3) -> str | None:
    """Our name for a published tensor; None for one that holds no weight (`pixel_mean`, counters).

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
    name = re.sub(r"^(encoder\.(?:laterals|outputs))\.(\d+)", lambda m: f"{m[1]}.{levels - 1 - int(m[2])}", name)
    return re.sub(r"^(decoder\.\w+_branch)\.(\d+)", lambda m: f"{m[1]}.{int(m[2]) // 2}", name)
