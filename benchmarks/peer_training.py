"""`nuclei` beside torchvision's Mask R-CNN, trained on the same images for the same CPU time, then measured alike.

python benchmarks/peer_training.py --init BACKBONE_WEIGHTS [--data ../shared/data/dsb2018] [--cpu-minutes 20]
    [--contestants maskrcnn-lite0,maskrcnn-r50,ours] [--threads 1] [--out runs/peers]
python benchmarks/peer_training.py --init BACKBONE_WEIGHTS --cpu-minutes 2 --contestants maskrcnn-lite0
    --trial adamw 0.001 128 128

Same start (of maskrcnn-lite0), images, order, augmentation, frame, batch, averaging and evaluator. The loader works in
the training process, so that the CPU time of this process is all there is; evaluations do not count. The schedule of a
peer follows the share of the budget that is spent; ours gets as many iterations as fit, by the CPU time of a step
measured before. A trial is a short run of a peer with optimiser, learning rate, width and regions an image; the full
run takes the settings of its best trial. What other runs wrote into the result file stays.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import torch
import yaml
from peer_models import ANCHORS_PX, LITE0, R50, build_peer, detect
from peer_steps import WARM_UP, Figures, PeerSettings, figures_of, train_peer
from record import RESULTS, write_result
from rich.console import Console
from safetensors.torch import save_file

from sparseinst import Instances, Predictor, load_model, train
from sparseinst.cli.allocator import keep_freed_memory
from sparseinst.data import CocoDataset, Prepared, prepare, resolve_data
from sparseinst.evaluation import Evaluation
from sparseinst.files import atomic
from sparseinst.recipe import Preset
from sparseinst.training import TrainResult
from sparseinst.training.validation import Validation
from sparseinst.zoo import load_preset

NAME, OURS, PRESET = "peer_training", "ours", "nuclei"
POINTS = 4
"""Evaluations of a full run, at equal distances, the last at its end."""

CALIBRATION = (1, 3, 18)
"""Lengths of runs that tell the time of a step: the first pays for imports, the difference of the others counts."""

SIZES = ((256, 256), (520, 696))
ROUNDS = 10

Detector = Callable[[Prepared], Instances]


def run_peer(name: str, preset: Preset, options: argparse.Namespace) -> Figures:
    """A peer from its start to its figures; the weights of a full run go to the folder of the runs."""
    trial = options.trial is not None
    settings = options.trial or best_trial(name)
    print(settings, flush=True)
    torch.manual_seed(preset.recipe.seed)
    peer = build_peer(name, preset, options.init, channels=settings.channels, rois=settings.rois)
    budget_s, points = 60 * options.cpu_minutes, 1 if trial else POINTS
    network, record = train_peer(peer, resolve_data(options.data), preset, settings, budget_s=budget_s, points=points)
    record |= {"parameters": parameters(network), "settings": asdict(settings), "anchors_px": ANCHORS_PX}
    if trial:
        return record
    options.out.mkdir(parents=True, exist_ok=True)
    with atomic(options.out / f"{name}.safetensors") as temporary:
        save_file({key: value.contiguous() for key, value in network.state_dict().items()}, temporary)
    return record | paired_times(lambda prepared: detect(network, prepared), preset, options.data)


def best_trial(name: str) -> PeerSettings:
    """The settings of a peer's trial of highest AP; among equal ones (none so far) of lowest loss at the end."""
    trials = [trial for trial in recorded()["trials"] if trial["contestant"] == name]
    if not trials:
        raise SystemExit(f"{name}: expected trials in {NAME}.json to take its settings from, found none: run --trial")
    best = max(trials, key=lambda trial: (round(trial["curve"][-1]["ap"], 3), -trial["mean_losses"][-1]))
    return PeerSettings(**best["settings"])


def run_ours(preset: Preset, options: argparse.Namespace) -> Figures:
    """The recipe for as many iterations as the budget holds, from its start to its figures."""
    step_s = our_step_seconds(options)
    iterations = round(60 * options.cpu_minutes / step_s)
    print(f"{step_s:.2f} CPU seconds a step: {iterations} iterations", flush=True)
    every = -(-iterations // POINTS)
    settings = {"evaluate_every": every, "optim.warmup": round(WARM_UP * iterations)}
    with training_clock() as found:
        began = time.process_time()
        result = train_ours(options.data, options.out / OURS, iterations, options.init, settings, Console())
    predictor = Predictor(result.model)
    return {
        "curve": [
            figures_of(evaluation, cpu_s=moment - began, steps=min((number + 1) * every, iterations))
            for number, (moment, evaluation) in enumerate(found)
        ],
        "parameters": parameters(result.model),
        "settings": {"preset": PRESET, "iterations": iterations, **settings},
        "calibrated_step_cpu_seconds": round(step_s, 3),
    } | paired_times(lambda prepared: predictor.segment([prepared])[0], preset, options.data)


@contextmanager
def training_clock() -> Iterator[list[tuple[float, Evaluation]]]:
    """Within it every evaluation of a run is noted with the process's CPU time, less that of the evaluations so far."""
    found: list[tuple[float, Evaluation]] = []
    measure, evaluating = Validation.measure, 0.0

    def timed(validation: Validation, model: Any) -> Evaluation:
        nonlocal evaluating
        began = time.process_time()
        evaluation = measure(validation, model)
        found.append((began - evaluating, evaluation))
        evaluating += time.process_time() - began
        return evaluation

    with patch.object(Validation, "measure", timed):
        yield found


def our_step_seconds(options: argparse.Namespace) -> float:
    """CPU seconds of a step of our recipe, by runs that evaluate nothing."""
    source, spent = resolve_data(options.data).train.model_dump(mode="json"), []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "train.yaml"
        data.write_text(yaml.safe_dump({"train": {key: str(Path(path).resolve()) for key, path in source.items()}}))
        for iterations in CALIBRATION:
            began = time.process_time()
            train_ours(data, Path(folder) / str(iterations), iterations, options.init, {"optim.warmup": 0})
            spent.append(time.process_time() - began)
    return (spent[2] - spent[1]) / (CALIBRATION[2] - CALIBRATION[1])


def train_ours(
    data: Path, out: Path, iterations: int, init: Path, settings: Figures, console: Console | None = None
) -> TrainResult:
    """The recipe, loader included, in this process alone."""
    return train(
        data, PRESET, out, init=init, iterations=iterations, workers=0, save_minutes=1e6, device="cpu",
        settings={"pictures": 0, **settings}, console=console,
    )  # fmt: skip


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def paired_times(detector: Detector, preset: Preset, data: Path) -> Figures:
    """Times of a contestant and of the shipped `nuclei` (our network, fully trained) on the same images in turn."""
    split, shipped = resolve_data(data).val, Predictor(load_model(PRESET))
    dataset, preprocess = CocoDataset.load(split.images, split.annotations), preset.model.preprocess
    pair = {"contestant": detector, "shipped_nuclei": lambda prepared: shipped.segment([prepared])[0]}
    result: Figures = {}
    for size in SIZES:
        index = next(index for index in range(len(dataset)) if dataset.size_hw(index) == size)
        prepared = prepare(dataset.image(index, preprocess.intensity), preprocess)
        clocks: dict[str, list[tuple[float, float]]] = {name: [] for name in pair}
        found = {}
        for _ in range(ROUNDS + 2):
            for name, call in pair.items():
                wall, cpu = time.perf_counter(), time.process_time()
                found[name] = call(prepared)
                clocks[name].append((1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)))
        result[f"{size[0]}x{size[1]}"] = {
            name: {
                "wall_ms": round(statistics.median(wall for wall, _ in times[2:]), 1),
                "cpu_ms": round(statistics.median(cpu for _, cpu in times[2:]), 1),
                "instances": len(found[name]),
            }
            for name, times in clocks.items()
        }
    return {"network_and_postprocessing_of_one_image": result}


def recorded() -> Figures:
    """What the result file holds."""
    path = RESULTS / f"{NAME}.json"
    figures: Figures = json.loads(path.read_text())["figures"] if path.is_file() else {"trials": [], "contestants": {}}
    return figures


def keep(name: str, record: Figures, options: argparse.Namespace) -> None:
    """Writes a contestant's record into the result file, beside what it holds already."""
    figures = recorded()
    record = {"cpu_minutes_budget": options.cpu_minutes, "threads": options.threads, **record}
    if options.trial:
        figures["trials"].append({"contestant": name, **record})
    else:
        figures["contestants"][name] = record
    print(write_result(NAME, {**figures, "data": options.data.name, "warm_up_share": WARM_UP}), flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dsb2018"))
    parser.add_argument("--init", type=Path, required=True, help="ImageNet weights of EfficientNet-Lite0")
    parser.add_argument("--cpu-minutes", type=float, default=20, help="training budget of each contestant")
    parser.add_argument("--contestants", default=f"{LITE0},{R50},{OURS}")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/peers"), help="where the weights go")
    parser.add_argument("--trial", nargs=4, metavar=("adamw|sgd", "LR", "CHANNELS", "ROIS"), help="a trial of a peer")
    options = parser.parse_args()
    options.contestants = options.contestants.split(",")
    if unknown := set(options.contestants) - {LITE0, R50, *([] if options.trial else [OURS])}:
        parser.error(f"--contestants: these are none (in a trial): {', '.join(sorted(unknown))}")
    if options.trial:
        optimiser, lr, channels, rois = options.trial
        if optimiser not in ("adamw", "sgd"):
            parser.error(f"--trial: expected adamw or sgd, got {optimiser}")
        options.trial = PeerSettings(optimiser, float(lr), int(channels), int(rois))
    return options


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(0)
    keep_freed_memory()
    preset = load_preset(PRESET)
    for name in options.contestants:
        print(f"{name}: {options.cpu_minutes} CPU minutes", flush=True)
        keep(name, run_ours(preset, options) if name == OURS else run_peer(name, preset, options), options)


if __name__ == "__main__":
    main()
