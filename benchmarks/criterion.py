"""The training losses against the published form of them: time in alternating pairs, memory, and that they agree.

python benchmarks/criterion.py [--batch 16] [--instances 100] [--grid 160] [--pairs 5] [--device cpu] [--threads 2]

The published form scores every image's slots against every image's targets and takes the losses of dense copies of the
matched masks. Memory is what comes on top of predictions and targets: for the losses alone, with the gradient pass, and
for both beside the gradient itself, which has the size of the mask logits in either form. The published code also
brings the targets from full resolution to the grid, twice; that is left out here, for both.
"""

import argparse
import ctypes
import json
import math
import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from record import write_result
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from sparseinst.batch import Targets
from sparseinst.modeling.slots.criterion import Criterion, count_instances
from sparseinst.predictions import Predictions
from sparseinst.recipe import LossConfig

Loss = Callable[[Predictions, Sequence[Targets], Tensor], dict[str, Tensor]]


class PublishedCriterion:
    """The losses in the form of the published code: one score matrix for the whole batch, losses of dense masks.

    It needs at least one target in the batch and no more targets than slots in an image.
    """

    def __init__(self, config: LossConfig) -> None:
        self.config = config

    def __call__(
        self, predictions: Predictions, targets: Sequence[Targets], num_instances: Tensor
    ) -> dict[str, Tensor]:
        """As `sparseinst.modeling.slots.criterion.Criterion`."""
        with torch.autocast(predictions.logits.device.type, enabled=False):
            logits, masks, objectness = (part.float() for part in predictions[:3])
            image, slot, target = self.match(logits, masks, targets)
            labels = torch.cat([each.labels for each in targets])[target]
            losses = self.mask_losses(masks[image, slot].flatten(1), objectness[image, slot, 0], targets, target)
            losses["loss_dice"] /= num_instances
            wanted = torch.zeros_like(logits)
            wanted[image, slot, labels] = 1
            losses["loss_ce"] = self.config.classification * focal(logits, wanted) / num_instances
            return losses

    @torch.no_grad()
    def match(self, logits: Tensor, masks: Tensor, targets: Sequence[Targets]) -> tuple[Tensor, Tensor, Tensor]:
        """Image, slot and target (counted through the batch) of every pair."""
        batch, slots = masks.shape[:2]
        labels = torch.cat([each.labels for each in targets])
        wanted = torch.cat([each.masks for each in targets]).float().flatten(1)  # (all targets, P)
        found = masks.reshape(batch * slots, -1).sigmoid()  # (B*N, P)
        squares = (found * found).sum(1)[:, None] + (wanted * wanted).sum(1)[None]
        dice = 2 * torch.matmul(found, wanted.T) / (squares + 1e-4)  # (B*N, all targets)
        probability = logits.sigmoid().reshape(batch * slots, -1)[:, labels]
        scores = dice**self.config.match_dice * probability**self.config.match_class
        sizes = [len(each) for each in targets]
        columns = scores.reshape(batch, slots, -1).cpu().split(sizes, 2)
        found_pairs = [linear_sum_assignment(part[i], maximize=True) for i, part in enumerate(columns)]
        first = [sum(sizes[:i]) for i in range(batch)]
        image = [torch.full((len(rows),), i) for i, (rows, _) in enumerate(found_pairs)]
        slot = [torch.as_tensor(rows) for rows, _ in found_pairs]
        target = [torch.as_tensor(own) + start for (_, own), start in zip(found_pairs, first, strict=True)]
        return torch.cat(image).to(masks.device), torch.cat(slot).to(masks.device), torch.cat(target).to(masks.device)

    def mask_losses(
        self, masks: Tensor, objectness: Tensor, targets: Sequence[Targets], target: Tensor
    ) -> dict[str, Tensor]:
        """Losses of (K, P) matched mask logits and (K,) objectness; that of dice not yet divided."""
        wanted = torch.cat([each.masks for each in targets]).float()[target].flatten(1)  # (K, P)
        iou = binary_iou(masks, wanted)
        return {
            "loss_objectness": self.config.objectness * F.binary_cross_entropy_with_logits(objectness, iou),
            "loss_dice": self.config.dice * dice_loss(masks, wanted).sum(),
            "loss_mask": self.config.mask * F.binary_cross_entropy_with_logits(masks, wanted),
        }


@torch.no_grad()
def binary_iou(masks: Tensor, wanted: Tensor) -> Tensor:
    """(K,) IoU of the prediction binarised at 0.4 and the target at 0.5."""
    probability = masks.sigmoid()
    found, inside = (probability >= 0.4).to(masks.dtype), (wanted > 0.5).to(masks.dtype)
    intersection = (found * inside).sum(1)
    return intersection / (found.sum(1) + inside.sum(1) - intersection + 1e-6)


def dice_loss(masks: Tensor, wanted: Tensor) -> Tensor:
    """(K,) 1 - dice of pairs."""
    probability = masks.sigmoid()
    overlap = 2 * (probability * wanted).sum(1)
    return 1 - overlap / ((probability * probability).sum(1) + (wanted * wanted).sum(1) + 1e-4)


def focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """Sigmoid focal loss, summed."""
    probability = logits.sigmoid()
    right = probability * wanted + (1 - probability) * (1 - wanted)
    weight = 0.25 * wanted + 0.75 * (1 - wanted)
    return (weight * (1 - right) ** 2 * F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")).sum()


def discs(count: int, *, grid: int, classes: int, generator: torch.Generator) -> Targets:
    """Soft discs of all sizes on a square mask grid."""
    y, x = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    place = torch.rand(count, 3, 1, 1, generator=generator)
    distance = torch.hypot(y - grid * place[:, 0], x - grid * place[:, 1])
    masks = (grid * (0.02 + 0.25 * place[:, 2] ** 3) - distance + 0.5).clamp(0, 1)
    return Targets(torch.randint(classes, (count,), generator=generator), masks)


def case(
    batch: int, *, slots: int, instances: int, grid: int, device: str, classes: int = 80, seed: int = 0
) -> tuple[Predictions, list[Targets]]:
    """Predictions that half know the targets, in a random order of slots, and the targets."""
    generator = torch.Generator().manual_seed(seed)
    targets = [discs(instances, grid=grid, classes=classes, generator=generator) for _ in range(batch)]
    masks = torch.randn(batch, slots, grid, grid, generator=generator)
    for own, target in zip(masks, targets, strict=True):
        order = torch.randperm(slots, generator=generator)[:instances]
        own[order] += 6 * (target.masks[: len(order)] - 0.6)
    logits = torch.randn(batch, slots, classes, generator=generator) - 3
    objectness = torch.randn(batch, slots, 1, generator=generator)
    parts = (part.to(device).requires_grad_() for part in (logits, masks, objectness))
    return Predictions(*parts, torch.zeros(0)), [target.to(device) for target in targets]


def run(loss: Loss, predictions: Predictions, targets: Sequence[Targets], *, gradient: bool = True) -> dict[str, float]:
    device = predictions.logits.device
    losses = loss(predictions, targets, count_instances(targets, device))
    if gradient:
        torch.stack(list(losses.values())).sum().backward()
    return {name: value.item() for name, value in losses.items()}  # waits for the device


FORMS: dict[str, Callable[[LossConfig], Loss]] = {"ours": Criterion, "published": PublishedCriterion}


def peak_megabytes(form: str, settings: dict[str, Any], *, gradient: bool) -> float:
    """Most memory above predictions and targets; in a process of its own, whose heap nothing has stretched before."""
    loss = FORMS[form](LossConfig())
    device = settings["device"]
    run(loss, *case(2, slots=4, instances=3, grid=16, device=device))  # thread pools and libraries
    predictions, targets = case(**settings)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run(loss, predictions, targets, gradient=gradient)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    ctypes.CDLL(None).malloc_trim(0)  # glibc: what is free goes back to the system
    done, before = threading.Event(), anonymous_bytes()
    highest = before

    def watch() -> None:
        nonlocal highest
        while not done.wait(2e-4):
            highest = max(highest, anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    run(loss, predictions, targets, gradient=gradient)
    done.set()
    watcher.join()
    return (highest - before) / 2**20


def anonymous_bytes() -> int:
    """Memory of this process that is no file's (Linux): pages of libraries come and go with the machine's load."""
    _, resident, shared = Path("/proc/self/statm").read_text().split()[:3]
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def agree(predictions: Predictions, targets: Sequence[Targets]) -> dict[str, float]:
    """Largest relative difference of each loss and of each gradient; raises where the two forms disagree."""
    results, gradients = {}, {}
    for form, make in FORMS.items():
        results[form] = run(make(LossConfig()), predictions, targets)
        gradients[form] = [part.grad for part in predictions[:3]]
        for part in predictions[:3]:
            part.grad = None
    differences = {name: abs(results["ours"][name] / value - 1) for name, value in results["published"].items()}
    for name, ours, theirs in zip(("logits", "masks", "objectness"), *gradients.values(), strict=True):
        differences[f"gradient_{name}"] = ((ours - theirs).abs().max() / theirs.abs().max()).item()
    wrong = {name: value for name, value in differences.items() if not value <= 1e-5}
    matched = Criterion(LossConfig()).matcher(predictions, targets)
    published = PublishedCriterion(LossConfig()).match(predictions.logits, predictions.masks, targets)
    if wrong or not all(torch.equal(*pair) for pair in zip(matched, published, strict=True)):
        raise AssertionError(f"the two forms differ: {wrong or 'assignment'}")
    return differences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"batch": 16, "slots": 100, "pairs": 5, "threads": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--instances", type=int, default=100, help="of each image")
    parser.add_argument("--grid", type=int, default=160, help="side of the mask grid: a quarter of the input's")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--name", default="criterion", help="name of the result file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings = {name: getattr(options, name) for name in ("batch", "slots", "instances", "grid", "device")}
    memory = {}
    for gradient in (False, True):
        for form in FORMS:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                peak = pool.apply(peak_megabytes, (form, settings), {"gradient": gradient})
            memory.setdefault("with_gradient" if gradient else "losses_only", {})[form] = round(peak, 1)
    predictions, targets = case(**settings)
    own = round(4 * math.prod(predictions.masks.shape) / 2**20, 1)
    memory["beside_gradient"] = {form: round(peak - own, 1) for form, peak in memory["with_gradient"].items()}
    differences = agree(predictions, targets)
    seconds: dict[str, list[float]] = {form: [] for form in FORMS}
    for _ in range(options.pairs):
        for form, make in FORMS.items():
            predictions.masks.grad = predictions.logits.grad = predictions.objectness.grad = None
            start = time.perf_counter()
            run(make(LossConfig()), predictions, targets)
            seconds[form].append(time.perf_counter() - start)
    ratios = [theirs / ours for ours, theirs in zip(*seconds.values(), strict=True)]
    figures = {
        **settings,
        **{name: getattr(options, name) for name in ("threads", "pairs")},
        "milliseconds": {form: round(1000 * statistics.median(values), 1) for form, values in seconds.items()},
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "extra_megabytes": memory,
        "extra_ratio": {name: round(peaks["published"] / peaks["ours"], 1) for name, peaks in memory.items()},
        "gradient_megabytes": own,
        "relative_differences": {name: float(f"{value:.1e}") for name, value in differences.items()},
    }
    print(write_result(options.name, figures))
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
