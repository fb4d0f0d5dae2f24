"""Backends whose answers are known: they find what is red, green or blue."""

import torch
from torch import Tensor
from torch.nn import functional

from sparseinst.config.model import ModelConfig, PostprocessConfig
from sparseinst.config.network import SlotsConfig
from sparseinst.config.preprocess import ShortSideConfig
from sparseinst.predictions import Candidates

STRIDE = 4
CLASSES = ("red", "grün", "blue")


class ColorBackend:
    """Slot c is the region where channel c alone is bright, of class c; its score is that channel's mean there."""

    def __init__(self, *, short_px: int = 64, long_px: int = 128, frame: tuple[int, int] | None = None) -> None:
        self.config = ModelConfig(
            classes=CLASSES,
            preprocess=ShortSideConfig(short_px=short_px, long_px=long_px),
            postprocess=PostprocessConfig(score=0.3),
        )
        self.frame = frame
        self.calls: list[tuple[int, ...]] = []

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        self.calls.append(tuple(images.shape))
        assert images.dtype == torch.uint8 and resized_hw.shape == (len(images), 2)
        values = images.float() / 255
        others = values.sum(1, keepdim=True) - values
        masks = functional.avg_pool2d((values - others).clamp(0, 1), STRIDE)
        inside = (masks > 0.25).float()
        scores = (masks * inside).flatten(2).sum(2) / (inside.flatten(2).sum(2) + 1e-6)
        labels = torch.arange(3).expand(len(images), 3)
        return Candidates(scores, labels, (masks > 0.25).float(), scores)


class ActiveBackend(ColorBackend):
    """As an export with activation maps: the map of slot c, of one group, is bright where channel c is."""

    def __init__(self) -> None:
        super().__init__()
        self.config = self.config.model_copy(update={"decoder": SlotsConfig(slots=3, groups=1)})

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        candidates = super().__call__(images, resized_hw)
        return candidates._replace(activation=functional.avg_pool2d(candidates.masks, 2) * 8 - 4)
