"""What training runs: the network, and what is wrong with what it says."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sparseinst.batch import Batch
from sparseinst.config.network import SlotsConfig
from sparseinst.modeling.model import SparseInst
from sparseinst.modeling.seeds.criterion import SeedsCriterion
from sparseinst.modeling.seeds.decoder import SeedsDecoder
from sparseinst.modeling.slots.criterion import Criterion
from sparseinst.ops.padding import fill_padding
from sparseinst.recipe import LossConfig


class Learner(nn.Module):
    """A network and the criterion of its decoder as one module, batches in, weighted losses out: one forward for
    several processes.

    Args:
        network: holds all parameters.
        config: how losses are weighed.

    Attributes:
        criterion: of the network's decoder.
        names: of the losses, in the order of the log.
    """

    def __init__(self, network: SparseInst, config: LossConfig) -> None:
        super().__init__()
        self.network = network
        decoder, settings = network.decoder, network.config.decoder
        self._read: Callable[[Tensor], Any] = decoder.__call__  # no submodule twice
        if isinstance(settings, SlotsConfig):
            self.criterion: Criterion | SeedsCriterion = Criterion(config, objectness=settings.objectness)
        else:
            assert isinstance(decoder, SeedsDecoder)
            self._read, self.criterion = decoder.fields, SeedsCriterion(config, decoder)
        self.names = self.criterion.names

    def forward(self, batch: Batch, num_instances: Tensor) -> dict[str, Tensor]:
        """The weighted losses, named as `names` says.

        Args:
            batch: on the network's device.
            num_instances: what losses are divided by; see `count_instances`.
        """
        images = fill_padding(batch.images, batch.resized_hw, self.network.mean)
        features = self.network.encode(images.contiguous(memory_format=torch.channels_last))
        return self.criterion(self._read(features), batch.targets, num_instances)
