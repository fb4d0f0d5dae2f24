"""16 bits end at 65504: the sums that would go beyond are computed wider, divided first, or held.

- Activation maps over all pixels of large images: summed in 32 bits (`InstanceActivation.weights`).
- Features gathered by the maps: the maps are divided by their sums before, so that means are gathered.
- Features pooled by the encoder: likewise means, not sums (`pyramid_average`).
- Mask logits: held at 65504 before they are enlarged (`LeanDecoder`); products themselves add up in 32 bits.
- Scores, and means inside masks: computed in 32 bits (`score`).
"""

import copy

import pytest
import torch
from torch import Tensor, nn

from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.modeling.postprocess import Segmenter
from sparseinst.runtime.rewrites import optimise
from tiny import tiny_config

LIMIT = 65504
SIZE = 256


def loud(**decoder: object) -> SparseInst:
    """A network whose features are in the hundreds and whose mask logits are beyond 16 bits; scores are moderate."""
    torch.manual_seed(0)
    model = build_model(tiny_config(**decoder)).eval()
    decoder = model.decoder
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.normal_(module.bias, std=0.3)
    with torch.no_grad():
        for branch, level in ((decoder.instance_branch, 150.0), (decoder.mask_branch, 100.0)):
            branch[-1][0].conv.weight.mul_(60)
            branch[-1][0].conv.bias.fill_(level)
        decoder.activation.conv.weight.div_(60)
        decoder.activation.conv.bias.zero_()
        decoder.kernel.weight.mul_(40)
        for head in (decoder.classifier, decoder.objectness):
            head.weight.div_(300)
            head.bias.fill_(0.5)
    return model


def picture() -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(torch.linspace(0, 255, SIZE), torch.linspace(0, 255, SIZE), indexing="ij")
    image = torch.stack([x, y, x * y / 255]).byte()
    image[:, 60:120, 90:200] = 255
    return image[None], torch.tensor([[SIZE - 6, SIZE]])


@pytest.mark.parametrize("variant", [{}, {"groups": 1}, {"activation": "softmax"}], ids=str)
@torch.no_grad()
def test_sums_beyond_float16_stay_finite_and_right(variant: dict[str, object]) -> None:
    model = loud(**variant)
    images, sizes = picture()
    read: list[Tensor] = []
    hook = model.decoder.activation.register_forward_pre_hook(lambda _, inputs: read.extend(inputs))
    assert model(images.float()).masks.abs().max() > LIMIT, "the mask logits fit"
    hook.remove()
    (features,) = read
    activation = model.decoder.activation.conv(features).sigmoid().flatten(2)
    assert (activation @ features.flatten(2).transpose(1, 2)).max() > LIMIT, "the gathered sums fit"
    half = optimise(copy.deepcopy(model))
    half.set_dtype(torch.float16)
    expected, found = Segmenter(model)(images, sizes), Segmenter(half)(images, sizes)
    assert all(part.isfinite().all() for part in found[:4])
    torch.testing.assert_close(found.scores, expected.scores, atol=2e-3, rtol=0)
    torch.testing.assert_close(found.raw_scores, expected.raw_scores, atol=2e-3, rtol=0)
    assert ((found.masks > 0.45) != (expected.masks > 0.45)).float().mean() < 5e-3


@torch.no_grad()
def test_maps_over_more_pixels_than_float16_can_count() -> None:
    decoder = build_model(tiny_config()).decoder
    pixels = 300 * 300
    weights = decoder.activation.weights(torch.full((1, 12, 300, 300), 4.0, dtype=torch.float16))
    assert weights.dtype == torch.float16 and pixels * 0.98 > LIMIT
    torch.testing.assert_close(weights.float().sum(2), torch.ones(1, 12), atol=0.01, rtol=0)
