"""What training runs: the network, and what is wrong with its predictions."""

import torch
from torch import Tensor, nn

from sparseinst.modeling.model import SparseInst
from sparseinst.modeling.slots.criterion import Criterion
from sparseinst.ops.masks import fill_padding
from sparseinst.structures import Batch


class Learner(nn.Module):
    """A network and its criterion as one module, batches in, weighted losses out: one forward for several processes.

    Args:
        network: holds all parameters; computes exactly what it does alone.
        criterion: of the network's predictions.
    """

    def __init__(self, network: SparseInst, criterion: Criterion) -> None:
        super().__init__()
        self.network, self.criterion = network, criterion

    def forward(self, batch: Batch, num_instances: Tensor) -> dict[str, Tensor]:
        """The weighted losses, named as `criterion.names` says.

        Args:
            batch: on the network's device.
            num_instances: what losses are divided by; see `count_instances`.
        """
        images = fill_padding(batch.images, batch.resized_hw, self.network.mean)
        predictions = self.network(images.contiguous(memory_format=torch.channels_last))
        return self.criterion(predictions, batch.targets, num_instances)
