"""Exact rewrites for inference: the same predictions, up to rounding, from fewer and larger operations.

`optimise` applies all that pay. Each rewrite is a function of its own, so that each can be compared with what it
replaces. What was tried and left out, because it gains nothing or costs accuracy:

- Normalisation inside the first convolution: its zero padding is the mean of an image only after normalisation.
- One convolution for the first of both branches: splitting its output copies it, which costs what the joining saves.
- Dividing the gathered features, instead of the activation maps, by the maps' sums: sums over all pixels that have not
  been divided yet leave the range of float16.
- Winograd's algorithm for the 3x3 convolutions, from matrix products: slower than the libraries' direct ones.
"""

import copy
from collections.abc import Sequence

import torch
from timm.layers.norm_act import unfreeze_batch_norm_2d
from timm.utils.model import reparameterize_model
from torch import Tensor, nn
from torch.nn import functional as F

from sparseinst.errors import InputError
from sparseinst.modeling.encoder import Encoder
from sparseinst.modeling.model import SparseInst
from sparseinst.modeling.slots.decoder import Decoder, WithCoordinates, coordinates
from sparseinst.predictions import Predictions
from sparseinst.runtime.folding import fold_norms

FLOAT16_MAX = torch.finfo(torch.float16).max
"""65504; a mask logit beyond it is a probability of 0 or 1 like any other."""


def optimise(model: SparseInst) -> SparseInst:
    """A copy for inference that gives the same predictions faster.

    Batch norms become part of the convolutions before them, the encoder's fusion part of its output convolutions, the
    coordinate channels a map that is added, the mask projection part of the kernels; weights are in channels-last
    layout. Parts of other types than this package's encoder and decoder are taken over as they are.

    Args:
        model: in float32; it is left as it is. Convert the result to 16 bits, not the input: the rewrites multiply
            weights with each other.

    Returns:
        The network in eval mode, without gradients. Its `state_dict` is another one than that of `model`: save the
        original.

    Raises:
        InputError: the weights are not in float32.
    """
    types = {parameter.dtype for parameter in model.parameters()}
    if types != {torch.float32}:
        found = ", ".join(sorted(map(str, types)))
        raise InputError(f"expected a network in torch.float32, got {found}: optimise first, then convert the result")
    fast = copy.deepcopy(model)
    # In eval mode a frozen norm and a batch norm are the same, but only the latter is known to what follows.
    fast.backbone = reparameterize_model(unfreeze_batch_norm_2d(fast.backbone).eval(), inplace=True)
    fast.eval()
    side = 2 * model.config.backbone.strides[-1]
    fold_norms(fast, fast.mean[:, None, None].expand(1, -1, side, side))
    if isinstance(fast.encoder, Encoder):
        fast.encoder = LeanEncoder(fast.encoder)
    if isinstance(fast.decoder, Decoder):
        fast.decoder = LeanDecoder(fast.decoder)
    return fast.eval().requires_grad_(False).to(memory_format=torch.channels_last)


class LeanEncoder(nn.Module):
    """`Encoder` without its fusion, a 1x1 convolution over the joined levels: each level's share of it is part of that
    level's output convolution (both are linear) and is applied before the level is enlarged (the weights of bilinear
    enlarging add up to 1, so they commute).
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.laterals, self.pooling = encoder.laterals, encoder.pooling
        fusion = _only_conv(encoder.fusion)
        outputs = [_only_conv(output) for output in encoder.outputs]
        shares = fusion.weight.flatten(1).chunk(len(outputs), dim=1)  # L of (D, D)
        self.outputs = nn.ModuleList(
            _conv(torch.einsum("oi,ichw->ochw", share, output.weight), None)
            for share, output in zip(shares, outputs, strict=True)
        )
        bias = sum(share @ _bias(output) for share, output in zip(shares, outputs, strict=True))
        self.outputs[0].bias = nn.Parameter(_bias(fusion) + bias)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features (B, D_i, h_i, w_i), fine to coarse, to (B, D, h, w) at the size of the finest."""
        *finer, coarsest = [lateral(feature) for lateral, feature in zip(self.laterals, features, strict=True)]
        level = self.pooling(coarsest)
        levels = [level]  # coarse to fine
        for lateral in reversed(finer):
            level = lateral + F.interpolate(level, scale_factor=2.0, mode="nearest")
            levels.append(level)
        outputs: list[Tensor] = [conv(level) for conv, level in zip(self.outputs, reversed(levels), strict=True)]
        fused, *coarser = outputs
        for enlarged in coarser:
            fused = fused + F.interpolate(enlarged, size=fused.shape[-2:], mode="bilinear", align_corners=False)
        return fused


class LeanDecoder(nn.Module):
    """`Decoder` whose branches read the coordinates as an added map, and whose kernels know the mask projection."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        located = isinstance(decoder.locate, WithCoordinates)
        self.instance_branch, self.mask_branch = (
            separate_coordinates(branch) if located else branch
            for branch in (decoder.instance_branch, decoder.mask_branch)
        )
        self.activation, self.mix = decoder.activation, decoder.mix
        self.classifier, self.objectness = decoder.classifier, decoder.objectness
        self.projection, self.kernel = fold_projection(
            _only_conv(decoder.projection), decoder.kernel, slots=decoder.activation.slots
        )

    def forward(self, features: Tensor) -> Predictions:
        """Encoder features (B, D, h/2, w/2) to predictions with masks (B, N, h, w)."""
        slots, activation = self.activation(self.instance_branch(features))
        slots = F.relu(self.mix(slots)) if isinstance(self.mix, nn.Linear) else slots  # (B, N, G*D)
        mask_features = self.projection(self.mask_branch(features))
        kernel, offset = self.kernel(slots).tensor_split([mask_features.shape[1]], dim=2)
        masks = (torch.bmm(kernel, mask_features.flatten(2)) + offset).unflatten(2, mask_features.shape[-2:])
        masks = masks.clamp(-FLOAT16_MAX, FLOAT16_MAX)  # infinity would be no number once interpolated
        masks = F.interpolate(masks, scale_factor=2.0, mode="bilinear", align_corners=False)
        objectness = None if self.objectness is None else self.objectness(slots)
        return Predictions(self.classifier(slots), masks, objectness, activation)


class PositionedConv(nn.Module):
    """A convolution over coordinates and features joined, as one over the features plus a map that is the same for all
    images: widths stay multiples of 8, which kernels for channels-last tensors want.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.position = _conv(conv.weight[:, :2], _bias(conv))
        self.content = _conv(conv.weight[:, 2:], None)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, h, w) features without coordinates to what the convolution gives with them."""
        content: Tensor = self.content(features)
        content += self.position(coordinates(features[:1]))
        return content


def separate_coordinates(branch: nn.Sequential) -> nn.Sequential:
    """A branch of the decoder (norms folded) that takes features without coordinates."""
    if len(branch) == 0:  # nothing to separate in: whoever reads the branch reads the coordinates
        return nn.Sequential(WithCoordinates())
    first, *rest = branch
    conv, *activation = first.children()
    return nn.Sequential(nn.Sequential(PositionedConv(_only_conv(conv)), *activation), *rest)


def fold_projection(projection: nn.Conv2d, kernel: nn.Linear, *, slots: int) -> tuple[nn.Module, nn.Linear]:
    """Moves the mask projection P f + b, or its bias alone, into the kernels: k (P f + b) = (k P) f + k b.

    Args:
        projection: 1x1 convolution from D channels to K.
        kernel: linear layer that gives the kernels (B, N, K).
        slots: number N of kernels; it decides which takes fewer multiplications.

    Returns:
        What to apply to the features, and a linear layer that gives kernel and offset, (B, N, D + 1) or (B, N, K + 1).
    """
    weight, bias = projection.weight.flatten(1), _bias(projection)  # (K, D), (K,)
    narrow, wide = weight.shape
    rows, shift = torch.cat([kernel.weight, (bias @ kernel.weight)[None]]), (bias @ kernel.bias)[None]
    if slots * wide < narrow * (wide + slots):
        rows = torch.cat([weight.T @ kernel.weight, rows[-1:]])
        return nn.Identity(), _linear(rows, torch.cat([weight.T @ kernel.bias, shift]))
    return _conv(projection.weight, None), _linear(rows, torch.cat([kernel.bias, shift]))


def _only_conv(block: nn.Module) -> nn.Conv2d:
    """The convolution of a block whose norm, if it had one, has been folded."""
    conv, *rest = block.children()
    assert isinstance(conv, nn.Conv2d), conv
    assert all(isinstance(module, nn.Identity) for module in rest), f"not folded: {rest}"
    return conv


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias


def _conv(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    outputs, inputs, kernel, _ = weight.shape
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias is not None, device="meta")
    conv.weight = nn.Parameter(weight.detach().clone())
    conv.bias = None if bias is None else nn.Parameter(bias.detach().clone())
    return conv


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    linear.weight, linear.bias = nn.Parameter(weight.detach().clone()), nn.Parameter(bias.detach().clone())
    return linear
