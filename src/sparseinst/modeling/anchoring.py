"""Anchored start: before training, every slot already looks at a place of its own and draws a blob around it.

The published start is random, so a slot has to find out where it looks and its kernel how to keep away from look-alikes
elsewhere; with hundreds of small objects that alone takes most of a training. Nothing in the network changes: the
coordinate channels it has are turned, by the weights of the branches' first convolutions, into a positional code
(tents over x and over y), slot n's activation map starts as a bump around anchor n, and the kernel starts as the inner
product of the code gathered under that bump with the code of each pixel. Bumps and kernel go on to be trained; the code
is held, because noise in it would move every activation map and every mask at once.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparseinst.errors import InputError
from sparseinst.modeling.decoder import Decoder, coordinates
from sparseinst.modeling.model import SparseInst

BUMP_LOGIT = 6.0
"""Height of each axis's bump in an activation map: 0 at the anchor, -6 along the arms of its cross, -12 elsewhere."""
BLOB_LOGIT = 12.0
"""Height of each axis's bump in a mask."""
BLOB_BIAS = -1.6 * BLOB_LOGIT
"""Puts the outline of a blob where the two axes' bumps add up to 1.6 of 2."""
SAME = 0.999
"""Cosine from which on two codes are the same (16-bit files round)."""
SAMPLES = 401
"""Places along an axis at which the least-squares fits look."""


def anchors(count: int) -> Tensor:
    """(count, 2) float64 x and y in -1..1, spread evenly for any count (the R2 sequence; Roberts, 2018)."""
    plastic = 1.324717957244746
    steps = torch.arange(count, dtype=torch.float64)[:, None] / torch.tensor([plastic, plastic**2], dtype=torch.float64)
    return (0.5 + steps) % 1 * 2 - 1


@torch.no_grad()
def anchor_slots(model: SparseInst, frame_hw: tuple[int, int]) -> None:
    """Gives a network with fresh weights the anchored start.

    Args:
        model: changed in place; at least 2 convolutions in the branches, 24 channels and 16 for each group.
        frame_hw: the padded frame that training and prediction use, in pixels.

    Raises:
        InputError: the decoder has no room for the positional code.
    """
    decoder, settings = model.decoder, model.config.decoder
    assert isinstance(decoder, Decoder)
    tents = _tents(model)
    if settings.convs < 2 or tents < 4 or not settings.coordinates:
        raise InputError(
            "start 'anchored' needs decoder.coordinates, decoder.convs of at least 2, decoder.channels of at least 24 "
            "and of 16 for each group, and decoder.kernel_channels of at least 9; got "
            f"{settings.coordinates}, {settings.convs}, {settings.channels} for {settings.groups} and "
            f"{settings.kernel_channels}: change them, or choose start 'published'"
        )
    stride = model.config.backbone.strides[0]
    grid = torch.zeros(1, model.config.encoder.channels, frame_hw[0] // stride, frame_hw[1] // stride)
    for branch, copies in ((decoder.instance_branch, settings.groups), (decoder.mask_branch, 1)):
        _write_code(branch, torch.cat([coordinates(grid), grid], dim=1), tents, copies=copies)
    radius = max(1.2 / math.sqrt(settings.slots), 0.6 * _spacing(tents))  # of a bump: about a slot's share of the frame
    _start_activation(decoder, tents, radius)
    _start_masks(decoder, tents, radius)


def positional_code(model: SparseInst) -> dict[str, Tensor]:
    """A copy of the rows that `anchor_slots` holds, by parameter."""
    decoder = model.decoder
    assert isinstance(decoder, Decoder)
    tents = _tents(model)
    return {
        f"{branch}.{name}": parameter.detach()[: 2 * (tents if depth else tents + 1)].clone()
        for branch in ("instance_branch", "mask_branch")
        for depth, block in enumerate(decoder.get_submodule(branch).children())
        for name, parameter in block.named_parameters(prefix=str(depth))
    }


def same_code(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Whether two networks have the same positional code, up to the factors that weight decay brings."""
    return all(_parallel(a[name].flatten(), b[name].flatten()) for name in a)


def _parallel(a: Tensor, b: Tensor) -> bool:
    if not a.any() or not b.any():
        return not a.any() and not b.any()
    return bool(F.cosine_similarity(a, b, dim=0) > SAME)


def code(tents: int, places: Tensor) -> Tensor:
    """(..., tents) positional code of places (...) in -1..1: each tent is 1 at its centre, 0 from its neighbours on."""
    centres = torch.linspace(-1, 1, tents, dtype=places.dtype)
    return (1 - (places[..., None] - centres).abs() / _spacing(tents)).clamp(min=0)


def _tents(model: SparseInst) -> int:
    """Tents along an axis, as many as the branches, their groups and the mask kernels have room for."""
    settings = model.config.decoder
    of_a_group = settings.channels // settings.groups // 4  # half of its channels for the two axes
    return min(settings.channels // 4 - 2, of_a_group, (settings.kernel_channels - 1) // 2)


def _spacing(tents: int) -> float:
    return 2 / (tents - 1)


def _write_code(branch: nn.Sequential, features: Tensor, tents: int, *, copies: int) -> None:
    """First convolution: hinges relu(x - knot); second: tents as their second differences; the rest pass them on.

    The last one writes them once for each group, at the head of the channels that it sees.
    """
    hinges, spacing = tents + 1, _spacing(tents)
    knots = torch.linspace(-1 - spacing, 1, hinges)
    rows = torch.arange(2 * hinges)
    weight, middle = _middle_tap(branch[0])
    weight[rows] = 0
    for axis in range(2):
        weight[axis * hinges : (axis + 1) * hinges, axis, middle, middle] = 1 / spacing
    features = _carry(branch[0], features, rows=rows, shift=-knots.repeat(2) / spacing)
    for depth, block in enumerate(branch[1:], start=1):
        weight, middle = _middle_tap(block)
        heads = torch.arange(copies if depth == len(branch) - 1 else 1) * (len(weight) // copies)
        rows = (heads[:, None] + torch.arange(2 * tents)).flatten()
        weight[rows] = 0
        for i, row in enumerate(rows.tolist()):
            axis, tent = divmod(i % (2 * tents), tents)
            if depth > 1:
                weight[row, axis * tents + tent, middle, middle] = 1
                continue
            for knot, difference in zip(range(tent, min(tent + 3, hinges)), (1, -2, 1), strict=False):
                weight[row, axis * hinges + knot, middle, middle] = difference
        features = _carry(block, features, rows=rows, shift=torch.zeros(len(rows)))


def _hold(parameter: Tensor, rows: Tensor) -> None:
    """Keeps the gradient away from some rows (weight decay may shrink them; batch norm does not see that)."""
    trained = torch.ones_like(parameter)
    trained[rows] = 0
    parameter.register_hook(lambda gradient: gradient * trained.to(gradient))


def _middle_tap(block: nn.Module) -> tuple[Tensor, int]:
    """A block's convolution weights and the index of their middle tap."""
    weight: Tensor = block[0].conv.weight  # type: ignore[index]
    return weight, weight.shape[-1] // 2


def _carry(block: nn.Module, features: Tensor, *, rows: Tensor, shift: Tensor) -> Tensor:
    """Makes the block relu(convolution + shift) for some rows and holds them; gives these rows, the rest 0."""
    layers = block[0]  # type: ignore[index]
    if not hasattr(layers, "norm"):
        layers.conv.bias[rows] = 0
    outputs: Tensor = layers.conv(features)
    if hasattr(layers, "norm"):
        variance, mean = torch.var_mean(outputs[:, rows], dim=(0, 2, 3), correction=0)
        layers.norm.weight[rows] = (variance + layers.norm.eps).sqrt()
        layers.norm.bias[rows] = mean + shift
        layers.norm.running_mean[rows] = mean
        layers.norm.running_var[rows] = variance
    else:
        layers.conv.bias[rows] = shift
    for parameter in layers.parameters():
        _hold(parameter, rows)
    kept = torch.zeros_like(outputs)
    kept[:, rows] = F.relu(outputs[:, rows] + shift[:, None, None])
    return kept


def _start_activation(decoder: Decoder, tents: int, radius: float) -> None:
    """Starts every group's activation map of slot n as a bump around anchor n."""
    places = torch.linspace(-1, 1, SAMPLES, dtype=torch.float64)
    fit = torch.linalg.pinv(code(tents, places))  # (tents, SAMPLES)
    conv = decoder.activation.conv
    middle = conv.weight.shape[-1] // 2
    conv.weight[:, : 2 * tents] = 0
    for axis, centres in enumerate(anchors(decoder.activation.slots).T):
        bumps = _bump(centres[:, None] - places, radius)  # (N, SAMPLES)
        fitted = (BUMP_LOGIT * bumps @ fit.T).float().repeat(decoder.activation.groups, 1)
        conv.weight[:, axis * tents : (axis + 1) * tents, middle, middle] = fitted
    assert conv.bias is not None
    conv.bias.fill_(-2 * BUMP_LOGIT)


def _start_masks(decoder: Decoder, tents: int, radius: float) -> None:
    """Starts the mask of a slot as a blob around the places that its activation maps gather from."""
    width = 2 * tents
    if isinstance(decoder.mix, nn.Linear):  # passes on the mean over the groups of what they gathered of the code
        groups, rows = decoder.activation.groups, torch.arange(width)
        decoder.mix.weight[:width], decoder.mix.bias[:width] = 0, 0
        for group in range(groups):
            decoder.mix.weight[rows, group * (decoder.mix.in_features // groups) + rows] = 1 / groups
    projection = decoder.projection.get_submodule("conv")
    assert isinstance(projection, nn.Conv2d) and projection.bias is not None
    weight, bias = projection.weight, projection.bias
    weight[: width + 1], bias[: width + 1] = 0, 0
    weight[range(width), range(width)] = 1
    bias[width] = 1
    places = torch.linspace(-1, 1, SAMPLES, dtype=torch.float64)
    pixels = code(tents, places)
    # A slot gathers the code smeared over its bump: one row for every place that a bump may have.
    smear = torch.sigmoid(BUMP_LOGIT * (_bump(places[:, None] - places, radius) - 1))
    slots = (smear / smear.sum(dim=1, keepdim=True)) @ pixels  # (SAMPLES, tents)
    wanted = _bump(places[:, None] - places, 0.7 * max(radius, _spacing(tents)))  # (SAMPLES, SAMPLES)
    ridge = 5e-4 * SAMPLES / tents * torch.eye(tents, dtype=torch.float64)
    similarity = torch.linalg.solve(slots.T @ slots + ridge, slots.T) @ wanted @ torch.linalg.pinv(pixels).T
    kernel = decoder.kernel
    kernel.weight[: width + 1], kernel.bias[: width + 1] = 0, 0
    for part in (slice(0, tents), slice(tents, width)):
        kernel.weight[part, part] = (BLOB_LOGIT * similarity.T).float()
    kernel.bias[width] = BLOB_BIAS


def _bump(distance: Tensor, radius: float) -> Tensor:
    return torch.exp(-(distance**2) / (2 * radius**2))
