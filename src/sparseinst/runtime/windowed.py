"""The tensor program of a network of seeds where shapes may follow the data."""

import torch
from torch import Tensor

from sparseinst.masks.grid import Patches
from sparseinst.modeling.model import SparseInst
from sparseinst.modeling.postprocess import Segmenter
from sparseinst.modeling.seeds.decoder import SeedsDecoder
from sparseinst.modeling.seeds.selection import select_seeds
from sparseinst.modeling.seeds.windows import grow_in_windows
from sparseinst.predictions import Candidates
from sparseinst.runtime.fields import CellsOfSeeds, ComputeFields


class WindowedSegmenter(Segmenter):
    """The candidates of `Segmenter` that matter, sooner and in less memory: masks are grown in windows around seeds.

    Args:
        model: a network of seeds, on a CPU.
        activation: also give the logits of the activation maps.
        least: candidates whose score before rescoring is below this (0..1) need no mask.
        fields: who computes what every cell says; None is the network itself.
    """

    def __init__(
        self,
        model: SparseInst,
        *,
        activation: bool = False,
        least: float = 0.0,
        fields: ComputeFields | None = None,
    ) -> None:
        super().__init__(model, activation=activation)
        self.least = least
        self.fields = CellsOfSeeds(model) if fields is None else fields

    def forward(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        """Scored candidates of (B, C, H, W) images; their masks are `Patches`, the parts that matter."""
        decoder = self.model.decoder
        assert isinstance(decoder, SeedsDecoder)
        fields = self.fields(images, resized_hw)
        seeds = select_seeds(fields.logits, fields.heads, decoder.budget)
        found = [
            grow_in_windows(
                decoder, fields.of(image), seeds.of(image),
                threshold=self.mask_threshold, least=self.least, activation=self.activation,
            )
            for image in range(len(images))
        ]  # fmt: skip
        height, width = fields.context.shape[-2:]
        maps = [one.activation for one in found if one.activation is not None]
        return Candidates(
            torch.stack([one.scores for one in found]),
            seeds.logits.argmax(2),
            tuple(Patches(one.patches, (2 * height, 2 * width)) for one in found),
            torch.stack([one.raw_scores for one in found]),
            torch.stack(maps) if maps else None,
        )
