"""Train with one more loss than the package has, in a loop of your own.

    python examples/custom_loss.py my_data [ITERATIONS]

The further loss is the mean class probability over all cells, which asks them to announce little.
"""

import sys
from itertools import islice

import torch
from torch import Tensor

from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.loader import training_loader
from sparseinst.modeling.learner import Learner
from sparseinst.modeling.model import build_model
from sparseinst.modeling.seeds.criterion import SeedsCriterion
from sparseinst.modeling.slots.criterion import count_instances
from sparseinst.zoo.checkpoint import save_checkpoint
from sparseinst.zoo.names import load_preset


class Quiet(SeedsCriterion):
    """The network's own losses, and one for announcing at all."""

    names = (*SeedsCriterion.names, "loss_quiet")

    def __call__(self, fields, targets, num_instances) -> dict[str, Tensor]:
        losses = super().__call__(fields, targets, num_instances)
        announced = torch.cat([logits.sigmoid().flatten() for logits in fields.logits])
        return {**losses, "loss_quiet": 10 * announced.mean()}


def main(folder: str, iterations: int) -> None:
    dataset = CocoDataset.of(resolve_data(folder).part("train"))
    preset = load_preset("nuclei")
    model = preset.model.model_copy(update={"classes": dataset.classes})
    network = build_model(model)
    learner = Learner(network, preset.recipe.loss)
    learner.criterion = Quiet(preset.recipe.loss, network.decoder)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=1e-3)
    for step, batch in enumerate(islice(training_loader(dataset, model, preset.recipe), iterations), start=1):
        losses = learner(batch, count_instances(batch.targets, "cpu"))
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 10)
        optimizer.step()
        optimizer.zero_grad()
        print(step, {name: round(loss.item(), 3) for name, loss in losses.items()})
    save_checkpoint("quiet.safetensors", network.eval())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 500)
