"""What a network costs: parameters and arithmetic of its parts, counted without any weights."""

from collections.abc import Mapping, Sequence
from itertools import chain
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from sparseinst.config.model import for_whole_masks
from sparseinst.config.preprocess import NativeConfig
from sparseinst.errors import InputError
from sparseinst.modeling.model import SparseInst
from sparseinst.parsing import readable

MOST_BYTES = 8 * 10**9
"""Of one tensor of a network that is opened: more than ten times what any of ours makes."""
PARTS = ("backbone", "encoder", "decoder")


class PartCost(NamedTuple):
    """Cost of a part of the network.

    Attributes:
        parameters: numbers that are trained or were (buffers, such as batch norm statistics, not counted).
        flops: floating-point operations for one image.
    """

    parameters: int
    flops: int


class Cost(NamedTuple):
    """Cost of a network at one input size.

    Attributes:
        size_hw: height and width of the padded input, in pixels.
        parts: "backbone", "encoder" and "decoder".
        shapes: what the network makes of one image, in order of computation: (D, h, w) of each feature map, of the
            encoder's output, of the activation logits (G*N, h, w) and the mask logits (N, h, w).
    """

    size_hw: tuple[int, int]
    parts: Mapping[str, PartCost]
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def total(self) -> PartCost:
        """All parts together."""
        return PartCost(*map(sum, zip(*self.parts.values(), strict=True)))


def cost(model: SparseInst, size_hw: tuple[int, int]) -> Cost:
    """Counts parameters and operations; nothing is computed, so it takes no weights and little time.

    An operation is a multiplication or an addition: a convolution counts twice its multiply-accumulates, as is usual
    for GFLOP. Convolutions (plain and deformable) and matrix products count; norms, activations, resizing and the
    sampling of deformable convolutions do not.

    Args:
        model: in eval mode, on any device, also "meta".
        size_hw: height and width of the padded input, multiples of the coarsest stride.

    Raises:
        InputError: the size is not such a multiple.
    """
    stride = model.config.backbone.strides[-1]
    if any(side <= 0 or side % stride for side in size_hw):
        raise InputError(
            f"expected an input whose sides are positive multiples of {stride}, got {size_hw[0]} x {size_hw[1]}: "
            f"round them up"
        )
    with FlopCounterMode(display=False, custom_mapping=_formulas()) as counter:
        shapes = _shapes(model, size_hw)
    counts = counter.get_flop_counts()
    parts = {
        part: PartCost(
            sum(parameter.numel() for parameter in model.get_submodule(part).parameters()),
            sum(counts[f"{type(model).__name__}.{part}"].values()),
        )
        for part in PARTS
    }
    return Cost(size_hw, parts, shapes)


def check_memory(model: SparseInst, *, source: object) -> None:
    """Checks what a network makes of one image as large as its settings let it see in one pass.

    Args:
        model: in any mode, on any device, also "meta"; nothing is computed.
        source: its file, for messages.

    Raises:
        InputError: one of its tensors would take more than `MOST_BYTES`, or the settings fit no network.
    """
    preprocess = for_whole_masks(model.config).preprocess
    multiple = model.config.backbone.strides[-1]
    if preprocess.frame_hw is not None:
        size_hw = preprocess.frame_hw
    elif isinstance(preprocess, NativeConfig):
        size_hw = (preprocess.one_pass_px, preprocess.one_pass_px)
    else:
        size_hw = (preprocess.short_px, preprocess.long_px)
    rows, columns = (-(-side // multiple) * multiple for side in size_hw)
    with readable(source, expected="settings of a network", hint="correct them"):
        shapes = _shapes(model.eval(), (rows, columns))
    name, shape = max(shapes.items(), key=lambda item: prod(item[1]))
    if 4 * prod(shape) > MOST_BYTES:
        raise InputError(
            f"{source}: expected a network whose tensors take at most {MOST_BYTES / 1e9:.0f} GB each for an image of "
            f"{rows} x {columns}, got {name} of {' x '.join(map(str, shape))}: lower its frame or number of instances"
        )


def _shapes(model: SparseInst, size_hw: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """What the network makes of one image, found out without computing."""
    tensors = {name: tensor.to("meta") for name, tensor in chain(model.named_parameters(), model.named_buffers())}
    outputs: dict[str, Any] = {}
    hooks = [
        model.get_submodule(part).register_forward_hook(lambda _, __, result, part=part: outputs.update({part: result}))
        for part in PARTS
    ]
    try:
        with torch.no_grad():
            functional_call(model, tensors, torch.empty(1, model.config.preprocess.channels, *size_hw, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    features: Sequence[Tensor] = outputs["backbone"]
    named = {
        f"features at stride {stride}": feature
        for stride, feature in zip(model.config.backbone.strides, features, strict=True)
    }
    predictions = outputs["decoder"]
    named |= {"encoder": outputs["encoder"], "activation": predictions.activation, "masks": predictions.masks}
    return {name: tuple(tensor.shape[1:]) for name, tensor in named.items()}


def _formulas() -> dict[Any, Any]:
    """How to count what torch's counter does not know."""
    import torchvision  # noqa: F401  registers the operator

    return {torch.ops.torchvision.deform_conv2d: _deformable_flops}


def _deformable_flops(
    _images: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any
) -> int:
    """Those of the plain convolution: (O, D/groups, kh, kw) weights for each place of (B, O, h, w)."""
    return 2 * prod(out_shape) * prod(weight[1:])
