"""Training a Mask R-CNN within a budget of CPU time, in the manner of our recipe (see peer_training.py)."""

import json
import statistics
import time
from typing import Any

import torch
from peer_models import evaluate_peer, peer_batches
from peer_sets import PeerSettings
from torchvision.models.detection import MaskRCNN

from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.source import DataSource
from sparseinst.evaluation.figures import Evaluation
from sparseinst.recipe import OptimConfig, Preset
from sparseinst.training.ema import WeightAverage
from sparseinst.training.optim import learning_rate_factor, parameter_groups

WARM_UP = 0.05
"""Share of the run, for both contestants."""

TICKS = 1000
"""Into which the schedule divides the budget."""

MOMENTUM, SGD_DECAY = 0.9, 1e-4
"""As published for Mask R-CNN."""

Figures = dict[str, Any]


def train_peer(
    peer: MaskRCNN, source: DataSource, preset: Preset, settings: PeerSettings, *, budget_s: float, points: int
) -> tuple[MaskRCNN, Figures]:
    """Trains until the budget is spent; gives the averaged network and the record of the run.

    Args:
        peer: changed in place.
        source: training and validation images.
        preset: batch, order, augmentation, schedule, clipping, averaging and AdamW's decay.
        settings: the rest.
        budget_s: CPU seconds of training, the loader's included, evaluations not.
        points: evaluations at equal distances, the last at the end.
    """
    optim = preset.recipe.optim.model_copy(update={"warmup": round(WARM_UP * TICKS)})
    optimiser = _optimiser(peer, settings, optim)
    average = WeightAverage(peer, optim.ema)
    batches = peer_batches(CocoDataset.load(source.train.images, source.train.annotations), preset)
    spent = 0.0
    curve: list[Figures] = []
    losses: list[float] = []
    peer.train()
    while spent < budget_s:
        began = time.process_time()
        for group in optimiser.param_groups:
            group["lr"] = settings.lr * learning_rate_factor(optim, int(TICKS * spent / budget_s), TICKS)
        terms = _step(peer, optimiser, *next(batches), clip_norm=optim.clip_norm)
        average.update(peer)
        spent += time.process_time() - began
        losses.append(sum(terms.values()))
        if len(losses) % 5 == 0:
            shown = " ".join(f"{name.removeprefix('loss_')} {value:.3f}" for name, value in terms.items())
            mean = statistics.mean(losses[-5:])
            print(f"step {len(losses)}, {spent:.0f} of {budget_s:.0f} s: loss {mean:.3f} ({shown})", flush=True)
        if spent >= budget_s * (len(curve) + 1) / points:
            found = evaluate_peer(average.module, source.val, preset)
            curve.append(figures_of(found, cpu_s=spent, steps=len(losses)))
    part = max(1, len(losses) // 10)
    means = [round(statistics.mean(losses[start : start + part]), 3) for start in range(0, len(losses), part)]
    return average.module, {"curve": curve, "mean_losses": means}


def figures_of(evaluation: Evaluation, *, cpu_s: float, steps: int) -> Figures:
    """One point of a run's curve; best_f1 is the highest F1 at IoU 0.5 of any score, best_score that score."""
    content = evaluation.to_json()
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar", "best_f1", "best_score")
    found = {name: None if content[name] is None else round(content[name], 4) for name in names}
    point = {"cpu_minutes": round(cpu_s / 60, 2), "steps": steps, **found, "detections": content["detections"]}
    print(json.dumps(point), flush=True)
    return point


def _optimiser(peer: MaskRCNN, settings: PeerSettings, optim: OptimConfig) -> torch.optim.Optimizer:
    if settings.optimiser == "sgd":
        return torch.optim.SGD(peer.parameters(), settings.lr, momentum=MOMENTUM, weight_decay=SGD_DECAY)
    return torch.optim.AdamW(parameter_groups(peer, optim.weight_decay, rule=optim.decay_rule), settings.lr)


def _step(
    peer: MaskRCNN, optimiser: torch.optim.Optimizer, images: list[Any], targets: list[Any], *, clip_norm: float
) -> dict[str, float]:
    """One optimiser step; gives the loss terms."""
    losses = peer(images, targets)
    total = torch.stack(list(losses.values())).sum()
    if not total.isfinite():
        raise RuntimeError(f"the loss is not finite: {losses}: try a lower rate (--trial)")
    optimiser.zero_grad()
    total.backward()
    torch.nn.utils.clip_grad_norm_(peer.parameters(), clip_norm)
    optimiser.step()
    return {name: value.item() for name, value in losses.items()}
