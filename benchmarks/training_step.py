"""One optimiser step of a preset (forward, losses, backward, AdamW): this package's against a plain one.

python benchmarks/training_step.py [--model r50-giam] [--batch 2] [--size 320] [--instances 10] [--pairs 5]
    [--device cpu] [--precision fp32] [--threads 2]

Plain means the losses in their published form (see benchmarks/criterion.py) and tensors in torch's usual layout; ours
are `Criterion` and channels-last. Both start from the same fresh weights and see the same images and targets. On a GPU
the memory that a step takes beyond weights and optimiser is measured too.
"""

import argparse
import contextlib
import copy
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from criterion import PublishedCriterion, discs
from record import write_result
from torch import Tensor

from sparseinst.batch import Targets
from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.modeling.slots.criterion import Criterion, count_instances
from sparseinst.training.optim import parameter_groups
from sparseinst.zoo.names import load_preset

LAYOUTS = {"ours": torch.channels_last, "plain": torch.contiguous_format}
CRITERIA = {"ours": Criterion, "plain": PublishedCriterion}


class Trainer:
    """A network with its losses and optimiser in one of the two forms."""

    def __init__(self, form: str, model: SparseInst, recipe: Any, precision: str) -> None:
        self.layout = LAYOUTS[form]
        self.model = model.to(memory_format=self.layout).train()
        self.criterion = CRITERIA[form](recipe.loss)
        self.optimizer = torch.optim.AdamW(parameter_groups(model, recipe.optim.weight_decay), lr=recipe.optim.lr)
        self.precision = precision

    def step(self, images: Tensor, targets: Sequence[Targets]) -> float:
        """The loss of one step."""
        kind = images.device.type
        autocast = torch.autocast(kind, torch.bfloat16) if self.precision == "bf16" else contextlib.nullcontext()
        with autocast:
            predictions = self.model(images.contiguous(memory_format=self.layout))
            losses = self.criterion(predictions, targets, count_instances(targets, images.device))
        loss = torch.stack(list(losses.values())).sum()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()  # waits for the device


def measure(trainer: Trainer, images: Tensor, targets: Sequence[Targets]) -> tuple[float, float]:
    """Seconds of a step and, on a GPU, the megabytes it takes beyond weights and optimiser (0 elsewhere)."""
    cuda = images.device.type == "cuda"
    before = torch.cuda.memory_allocated() if cuda else 0
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    trainer.step(images, targets)
    seconds = time.perf_counter() - start
    return seconds, (torch.cuda.max_memory_allocated() - before) / 2**20 if cuda else 0.0


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Both forms in alternating pairs; the options are those of the command line."""
    torch.manual_seed(0)
    preset = load_preset(options.model)
    model = build_model(preset.model)
    grid, classes = options.size // preset.model.mask_stride, len(preset.model.classes)
    generator = torch.Generator().manual_seed(0)
    images = (255 * torch.rand(options.batch, 3, options.size, options.size, generator=generator)).to(options.device)
    targets = [
        discs(options.instances, grid=grid, classes=classes, generator=generator).to(options.device)
        for _ in range(options.batch)
    ]
    trainers = {
        form: Trainer(form, copy.deepcopy(model).to(options.device), preset.recipe, options.precision)
        for form in LAYOUTS
    }
    first = {form: trainer.step(images, targets) for form, trainer in trainers.items()}
    measured: dict[str, list[tuple[float, float]]] = {form: [] for form in LAYOUTS}
    for number in range(options.pairs + 1):
        for form, trainer in trainers.items():
            result = measure(trainer, images, targets)
            if number:  # the first pair still warms up
                measured[form].append(result)
    ratios = [plain[0] / ours[0] for ours, plain in zip(*measured.values(), strict=True)]
    names = ("model", "batch", "size", "instances", "device", "precision", "threads", "pairs")
    figures = {
        **{name: getattr(options, name) for name in names},
        "milliseconds": {
            form: round(1000 * statistics.median(seconds for seconds, _ in values), 1)
            for form, values in measured.items()
        },
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "first_loss": {form: round(loss, 4) for form, loss in first.items()},
    }
    if options.device == "cuda":
        figures["step_megabytes"] = {form: round(max(peak for _, peak in values)) for form, values in measured.items()}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="r50-giam", help="preset")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--size", type=int, default=320, help="side of the input in pixels")
    parser.add_argument("--instances", type=int, default=10, help="of each image")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--name", default="training_step", help="name of the result file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    figures = compare(options)
    print(write_result(options.name, figures))
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
