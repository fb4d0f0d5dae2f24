"""What a network of seeds computes of every cell, in whatever runtime is fastest at it.

That part is convolutions alone, and its shapes follow the frame. Which cells are seeds and what grows from them depends
on the image: that stays in PyTorch (see `windowed`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from sparseinst.modeling.model import SparseInst
from sparseinst.modeling.seeds.decoder import Fields, SeedsDecoder
from sparseinst.ops.padding import fill_padding

ComputeFields = Callable[[Tensor, Tensor], Fields]
"""(B, channels, H, W) uint8 or floating in 0..255 and (B, 2) int64 sizes within the frame to what every cell says."""
_FORMAT = "sparseinst-fields-1"


class CellsOfSeeds(nn.Module):
    """Images to fields, in PyTorch.

    Args:
        model: a network of seeds.
    """

    def __init__(self, model: SparseInst) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, resized_hw: Tensor) -> Fields:
        """See `ComputeFields`."""
        decoder = self.model.decoder
        assert isinstance(decoder, SeedsDecoder)
        return decoder.fields(self.model.encode(fill_padding(images, resized_hw, self.model.mean)))


@dataclass(frozen=True)
class FieldsNote:
    """What a converted `CellsOfSeeds` says about itself.

    Attributes:
        levels: grids of seeds.
    """

    levels: int

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors, in the order of `Fields`."""
        pairs = [f"{name}{level}" for name in ("logits", "heads") for level in range(self.levels)]
        return (*pairs, "features", "context")

    def to_metadata(self) -> dict[str, str]:
        """Marks a part of a network that only its own settings and weights make whole."""
        return {"format": _FORMAT}

    def gathered(self, outputs: Sequence[Tensor]) -> Fields:
        """The fields from the tensors of `outputs`, in their order."""
        *pairs, features, context = outputs
        return Fields(tuple(pairs[: self.levels]), tuple(pairs[self.levels :]), features, context)
