"""A network small enough to train in a test: one or two seconds for everything."""

import torch

from sparseinst.batch import Targets
from sparseinst.config.model import ModelConfig
from sparseinst.config.network import BackboneConfig, DecoderConfig, EncoderConfig, SeedsConfig, SlotsConfig
from sparseinst.config.preprocess import ShortSideConfig
from sparseinst.modeling.model import SparseInst, build_model


def tiny_config(**changes: object) -> ModelConfig:
    """A 64-pixel network of 2 classes on the smallest timm EfficientNet; `changes` replace decoder settings."""
    decoder = {"slots": 6, "groups": 2, "channels": 16, "convs": 1, "kernel_channels": 8}
    return _config(SlotsConfig.model_validate(decoder | changes))


def tiny_seeds_config(**changes: object) -> ModelConfig:
    """The same with a decoder of seeds on two levels; `changes` replace its settings."""
    decoder = {"candidates": 6, "levels": 2, "channels": 16, "convs": 1, "kernel_channels": 8}
    return _config(SeedsConfig.model_validate(decoder | changes))


def tiny_seeds(*, seed: int = 0, **changes: object) -> SparseInst:
    """A network of seeds without the zeros of fresh weights: seeds differ in class, shape and what they refine."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = build_model(tiny_seeds_config(**changes)).eval()
        decoder = model.decoder
        for layer in (decoder.classifier, decoder.head, decoder.mix, decoder.refine):
            torch.nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
            torch.nn.init.normal_(layer.bias, std=0.3)
        decoder.head.bias.data[decoder.kernel_channels] += 3  # a mask about each seed ...
        decoder.head.bias.data[decoder.kernel_channels + 2 :][:2] += 2  # ... that ends
    return model


def _config(decoder: DecoderConfig) -> ModelConfig:
    return ModelConfig(
        classes=("disc", "box"),
        preprocess=ShortSideConfig(short_px=64, long_px=64),
        backbone=BackboneConfig(name="test_efficientnet", norm="batch", strides=(4, 8, 16, 32)),
        encoder=EncoderConfig(channels=16),
        decoder=decoder,
    )


def discs(count: int, *, size: int = 32, seed: int = 0) -> Targets:
    """`count` soft discs on a mask grid of size x size."""
    random = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    centres = torch.rand(count, 2, generator=random) * size
    distance = ((y - centres[:, 0, None, None]) ** 2 + (x - centres[:, 1, None, None]) ** 2).sqrt()
    return Targets(torch.arange(count) % 2, (6 - distance).clamp(0, 1))
