"""Batch jobs killed at random moments: each image once, none lost, and the rows those of a job left alone.

python benchmarks/batch_kills.py [--kills 100] [--images 4000] [--seed 0]

Every call works until a file of rows that it wrote is seen, and for a random time more; then it gets SIGKILL, and the
next call goes on. Every tenth call works in two processes of its own, the others in the one that is killed. A job that
has come to its end is compared with one that was left alone, and the next begins in a new folder.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from record import write_result

from sparseinst.config.model import ModelConfig
from sparseinst.config.network import BackboneConfig, EncoderConfig, SlotsConfig
from sparseinst.config.preprocess import ShortSideConfig
from sparseinst.modeling.model import build_model
from sparseinst.scale.job import run_batch
from sparseinst.scale.results import read_rows
from sparseinst.scale.settings import BatchSettings
from sparseinst.zoo.checkpoint import save_checkpoint

ROWS = 8
LONGEST_S = 0.6
"""Of the random time between the first file seen and the kill."""


def tiny_network(path: Path) -> None:
    """A network of two classes that takes milliseconds, with fresh weights."""
    torch.manual_seed(0)
    config = ModelConfig(
        classes=("disk", "box"),
        preprocess=ShortSideConfig(short_px=64, long_px=64),
        backbone=BackboneConfig(name="test_efficientnet", norm="batch", strides=(4, 8, 16, 32)),
        encoder=EncoderConfig(channels=16),
        decoder=SlotsConfig(slots=6, groups=2, channels=16, convs=1, kernel_channels=8),
    )
    save_checkpoint(path, build_model(config))


def small_images(folder: Path, count: int) -> None:
    """Blurred noise of 64 x 64 pixels."""
    folder.mkdir()
    noise = np.random.default_rng(0)
    for number in range(count):
        picture = noise.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number:06}.png"), cv2.GaussianBlur(picture, (9, 9), 0))


def files_in(out: Path) -> int:
    """Files of rows that are there."""
    return sum(1 for _ in (out / "rows").glob("*.parquet"))


def killed_later(process: ForkServerProcess, seen: Callable[[], Any], wait_s: float | None) -> bool:
    """Starts a process and kills it so long after what is seen of it changes, or never; whether it came to its end."""
    before = seen()
    process.start()
    while wait_s is not None and process.is_alive() and seen() == before:
        time.sleep(0.002)
    process.join(wait_s)
    ended = not process.is_alive()
    process.kill()
    process.join()
    if ended and process.exitcode:
        raise RuntimeError(f"a call that was not killed ended with exit code {process.exitcode}")
    return ended


def same_rows(out: Path, wanted: list[dict[str, Any]]) -> dict[str, int]:
    """How far the rows of a job are those of the one left alone."""
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in read_rows(out)]
    names = [row["image"] for row in rows]
    wanted_names = {row["image"] for row in wanted}
    return {
        "rows": len(rows),
        "twice": len(names) - len(set(names)),
        "lost": len(wanted_names - set(names)),
        "different": sum(row != other for row, other in zip(rows, wanted, strict=False)),
    }


def main() -> None:
    """Kills, compares, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    context = get_context("forkserver")
    context.set_forkserver_preload(["sparseinst.scale.job"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny_network(folder / "tiny.safetensors")
        small_images(folder / "images", options.images)
        settings = BatchSettings(model=str(folder / "tiny.safetensors"), score=0.0, rows=ROWS)
        run_batch(str(folder / "images"), folder / "alone", settings, processes=0)
        wanted = [{k: v for k, v in row.items() if k != "seconds"} for row in read_rows(folder / "alone")]
        kills = {"in one process": 0, "in two processes": 0}
        jobs: list[dict[str, int]] = []
        half_written = calls = 0
        while sum(kills.values()) < options.kills:
            out, ended = folder / f"job{len(jobs)}", False
            while not ended:
                several = calls % 10 == 9
                process = context.Process(
                    target=run_batch, args=(str(folder / "images"), out, settings),
                    kwargs={"processes": 2 if several else 0},
                )  # fmt: skip
                spared = sum(kills.values()) >= options.kills
                wait_s = None if spared else chance.uniform(0, LONGEST_S)
                ended = killed_later(process, partial(files_in, out), wait_s)
                kills["in two processes" if several else "in one process"] += not ended
                calls += 1
                half_written += sum(1 for _ in (out / "rows").glob(".*.tmp.parquet"))
            jobs.append(same_rows(out, wanted))
            print(f"{kills}, job of {files_in(out)} files: {jobs[-1]}", flush=True)
    figures = {"kills": kills, "calls": calls, "half_written_files_seen": half_written, "images": options.images}
    print(write_result("batch_kills", {**figures, "rows_a_file": ROWS, "jobs": jobs}))


if __name__ == "__main__":
    main()
