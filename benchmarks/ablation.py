"""Trains a list of settings with one budget, several seeds each, and writes a table with mean and spread.

python benchmarks/ablation.py SUITE DATA [--init FILE] [--iterations 200] [--minutes 20] [--seeds 0 1] [--jobs 2]

SUITE is a YAML file (benchmarks/suites/): a model, settings that all rows share, and rows, each with what it changes; a
row's `iterations` are a share of the budget. A run that is in the result file already is not done again, so the command
can be stopped and given again, and rows can be added. Next to the JSON stand the learning curves as NAME.png.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import yaml
from record import RESULTS, write_result

from sparseinst import train
from sparseinst.training.logs import read_table

LOSS = "loss_dice"


@dataclass(frozen=True)
class Job:
    """One training of a suite."""

    row: str
    seed: int
    settings: dict[str, Any]
    iterations: int
    options: argparse.Namespace
    suite: dict[str, Any]


def run(job: Job) -> dict[str, Any]:
    """Trains one row with one seed, in a process of its own; gives its figures and curves."""
    torch.set_num_threads(job.options.threads)
    began, every = _cpu_s(), job.iterations // job.options.evaluations
    with tempfile.TemporaryDirectory() as folder:
        result = train(
            job.options.data, job.suite["model"], Path(folder) / "run", init=job.options.init, seed=job.seed,
            size=job.suite.get("size"), iterations=job.iterations, max_minutes=job.options.minutes,
            settings={"evaluate_every": every, **job.settings}, device=job.options.device,
        )  # fmt: skip
        assert result.evaluation is not None, "the data has no validation images"
        losses, evaluations = (read_table(result.out / f"{name}.csv") for name in ("metrics", "evaluation"))
    return {
        "row": job.row,
        "seed": job.seed,
        "settings": job.settings,
        "iterations": result.iterations,
        "minutes": round(result.seconds / 60, 2),
        "cpu_minutes": round((_cpu_s() - began) / 60, 2),
        **{name: round(getattr(result.evaluation, name), 4) for name in ("ap", "ap50", "ap75", "ar")},
        "loss": {int(row["iteration"]): round(row[LOSS], 4) for row in losses},
        "curve": {int(row["iteration"]): round(row["ap"], 4) for row in evaluations},
    }


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and spread (half the range over seeds) of each row, in the order of their first runs."""
    table = []
    for name in dict.fromkeys(run["row"] for run in runs):
        own = [run for run in runs if run["row"] == name]
        line: dict[str, Any] = {"row": name, "seeds": len(own)}
        for figure in ("ap", "ap50", "ar"):
            values = [run[figure] for run in own]
            line[figure] = round(statistics.mean(values), 4)
            line[f"{figure}_spread"] = round((max(values) - min(values)) / 2, 4)
        line[LOSS] = round(statistics.mean(list(run["loss"].values())[-1] for run in own), 3)
        line["cpu_minutes"] = round(statistics.mean(run["cpu_minutes"] for run in own), 1)
        table.append(line)
    return table


def plot(runs: list[dict[str, Any]], path: Path) -> None:
    """Dice loss and AP against iterations, a line for each row (mean over its seeds)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    for axes, key, label in zip(figure.subplots(1, 2), ("loss", "curve"), ("dice loss", "AP"), strict=True):
        for i, name in enumerate(dict.fromkeys(run["row"] for run in runs)):
            curves = [run[key] for run in runs if run["row"] == name]
            steps = [step for step in curves[0] if all(step in curve for curve in curves)]
            means = [statistics.mean(curve[step] for curve in curves) for step in steps]
            axes.plot([int(step) for step in steps], means, ["-", "--", ":"][i // 10 % 3], label=name)
        axes.set(xlabel="iteration", ylabel=label)
        axes.grid(alpha=0.3)
    axes.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=110)


def jobs_of(suite: dict[str, Any], options: argparse.Namespace) -> list[Job]:
    """All trainings of a suite, seed by seed, so that a cut run has every row once."""
    jobs = []
    for seed in options.seeds:
        for row, changes in suite["rows"].items():
            share = changes.get("iterations", 1)
            settings = {**suite["settings"], **{name: v for name, v in changes.items() if name != "iterations"}}
            jobs.append(Job(row, seed, settings, round(options.iterations * share), options, suite))
    return [job for job in jobs if not options.rows or job.row in options.rows]


def main() -> None:
    """Trains what is missing and writes the result after every run."""
    options = _options()
    suite = yaml.safe_load(options.suite.read_text())
    path = RESULTS / f"{options.name}.json"
    runs = json.loads(path.read_text())["figures"]["runs"] if path.is_file() else []
    done = {(run["row"], run["seed"], json.dumps(run["settings"])) for run in runs}
    jobs = [job for job in jobs_of(suite, options) if (job.row, job.seed, json.dumps(job.settings)) not in done]
    failed = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        futures = {pool.submit(run, job): job for job in jobs}
        for future in as_completed(futures):
            if (error := future.exception()) is not None:
                failed.append(f"{futures[future].row} (seed {futures[future].seed}): {error}")
                print("failed:", failed[-1], flush=True)
                continue
            runs.append(future.result())
            figures = {
                "suite": suite,
                "data": options.data.name,
                "iterations": options.iterations,
                "minutes_limit": options.minutes,
                "table": summary(runs),
                "runs": runs,
            }
            print(write_result(options.name, figures), runs[-1]["row"], runs[-1]["seed"], runs[-1]["ap"], flush=True)
            plot(runs, path.with_suffix(".png"))
    for line in summary(runs):
        print(line)
    if failed:
        sys.exit(f"{len(failed)} of {len(jobs)} trainings failed")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--init", default=None, help="ImageNet weights of the backbone; without it, timm's")
    parser.add_argument("--iterations", type=int, default=200, help="optimiser steps of every row")
    parser.add_argument("--minutes", type=float, default=None, help="and the time after which a run ends")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rows", nargs="+", default=None, help="only these rows")
    parser.add_argument("--evaluations", type=int, default=2, help="points of the AP curve")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at once")
    parser.add_argument("--threads", type=int, default=max(1, (os.cpu_count() or 2) // 2), help="of each training")
    parser.add_argument("--device", default=None)
    parser.add_argument("--name", default=None, help="name of the result file")
    options = parser.parse_args()
    options.name = options.name or f"ablation_{options.suite.stem}_{options.data.name}"
    return options


def _cpu_s() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


if __name__ == "__main__":
    main()
