"""The network, from images to predictions, and how it is put together from its settings."""

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from sparseinst.config.model import ModelConfig
from sparseinst.config.network import SlotsConfig
from sparseinst.modeling.backbones import Backbone
from sparseinst.modeling.budget import check_budget
from sparseinst.modeling.encoder import Encoder
from sparseinst.modeling.seeds.decoder import SeedsDecoder
from sparseinst.modeling.seeds.selection import Budget
from sparseinst.modeling.slots.decoder import Decoder
from sparseinst.predictions import Predictions

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class SparseInst(nn.Module):
    """Sparse Instance Activation for Real-Time Instance Segmentation (Cheng et al., CVPR 2022, figure 3).

    Attributes:
        config: the settings it was built from; with the weights, all that prediction needs.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, encoder: nn.Module, decoder: nn.Module, *, config: ModelConfig) -> None:
        super().__init__()
        self.backbone, self.encoder, self.decoder = backbone, encoder, decoder
        self.config = config
        self.register_buffer("mean", torch.tensor(config.preprocess.mean), persistent=False)
        self.register_buffer("std", torch.tensor(config.preprocess.std), persistent=False)

    def forward(self, images: Tensor) -> Predictions:
        """Segments a batch.

        Args:
            images: (B, channels, H, W) floating in 0..255, H and W multiples of the coarsest stride (32 as published),
                padding set to the mean.
        """
        predictions: Predictions = self.decoder(self.encode(images))
        return predictions

    def encode(self, images: Tensor) -> Tensor:
        """Images as for `forward` to the encoder's fused features (B, D, h/2, w/2), which the decoder reads."""
        normalised = (images - self.mean[:, None, None]) / self.std[:, None, None]
        features: Tensor = self.encoder(self.backbone(normalised.to(self.dtype)))
        return features

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return next(self.backbone.parameters()).dtype

    def set_dtype(self, dtype: torch.dtype) -> None:
        """Computes in another type from here on; images are still normalised in float32."""
        for part in (self.backbone, self.encoder, self.decoder):
            part.to(dtype)


def build_model(config: ModelConfig, *, pretrained: bool = False) -> SparseInst:
    """Builds a network with fresh weights; `pretrained` loads timm's weights into the backbone.

    Raises:
        InputError: the backbone does not exist, lacks a stride, or its weights cannot be fetched.
    """
    channels = config.preprocess.channels
    backbone = Backbone(in_channels=channels, pretrained=pretrained, **config.backbone.model_dump())
    encoder = Encoder(
        backbone.channels,
        channels=config.encoder.channels,
        pool_bins=config.encoder.pool_bins,
        norm=config.encoder.norm,
    )
    return SparseInst(backbone, encoder, _decoder(config), config=config)


def with_max_instances(model: SparseInst, most: int) -> SparseInst:
    """A network of seeds that finds up to this many instances in each image, whatever its frame; it shares its weights
    with the one that is given, which is left as it is.

    Raises:
        InputError: less than 1, or a network of slots, whose number is learned.
    """
    settings = model.config.decoder
    check_budget(settings, most)
    changed = with_budget(model, candidates=most, per="image")
    settings = settings.model_copy(update={"candidates": most, "candidates_per": "image"})
    changed.config = model.config.model_copy(update={"decoder": settings})
    return changed


def with_budget(model: SparseInst, **changes: Any) -> SparseInst:
    """A network of seeds that takes other seeds (see `Budget`); it shares its weights with the one that is given, which
    is left as it is.
    """
    changed = _sharing(model)
    changed.decoder = _sharing(model.decoder)
    if isinstance(changed.decoder, SeedsDecoder):
        changed.decoder.budget = changed.decoder.budget._replace(**changes)
    return changed


def _sharing(module: AnyModule) -> AnyModule:
    """The module once more, whose parts and tensors are those of the given one."""
    other = copy.copy(module)
    other._modules = dict(module._modules)
    return other


def _decoder(config: ModelConfig) -> Decoder | SeedsDecoder:
    inputs, classes, settings = config.encoder.channels, len(config.classes), config.decoder
    if isinstance(settings, SlotsConfig):
        return Decoder(inputs, classes=classes, **settings.model_dump(exclude={"kind"}))
    budget = Budget(settings.candidates, settings.candidates_per, config.backbone.strides[0])
    counted = settings.model_dump(exclude={"kind", "candidates", "candidates_per"})
    return SeedsDecoder(inputs, classes=classes, budget=budget, **counted)
