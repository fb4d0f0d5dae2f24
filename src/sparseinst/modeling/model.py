"""The network, from images to predictions, and how it is put together from its settings."""

import torch
from torch import Tensor, nn

from sparseinst.config import ModelConfig, SlotsConfig
from sparseinst.modeling.backbones import Backbone
from sparseinst.modeling.encoder import Encoder
from sparseinst.modeling.seeds.decoder import SeedsDecoder
from sparseinst.modeling.seeds.selection import Budget
from sparseinst.modeling.slots.decoder import Decoder
from sparseinst.structures import Predictions


class SparseInst(nn.Module):
    """Sparse Instance Activation for Real-Time Instance Segmentation (Cheng et al., CVPR 2022, figure 2).

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
            images: (B, 3, H, W) floating RGB in 0..255, H and W multiples of the coarsest stride (32 as published),
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
    backbone = Backbone(pretrained=pretrained, **config.backbone.model_dump())
    encoder = Encoder(
        backbone.channels,
        channels=config.encoder.channels,
        pool_bins=config.encoder.pool_bins,
        norm=config.encoder.norm,
    )
    return SparseInst(backbone, encoder, _decoder(config), config=config)


def _decoder(config: ModelConfig) -> Decoder | SeedsDecoder:
    inputs, classes, settings = config.encoder.channels, len(config.classes), config.decoder
    if isinstance(settings, SlotsConfig):
        return Decoder(inputs, classes=classes, **settings.model_dump(exclude={"kind"}))
    budget = Budget(settings.candidates, settings.candidates_per, config.backbone.strides[0])
    counted = settings.model_dump(exclude={"kind", "candidates", "candidates_per"})
    return SeedsDecoder(inputs, classes=classes, budget=budget, **counted)
