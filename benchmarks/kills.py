"""Training, prediction and videos killed at random moments: nothing lost or twice, the end that of a run left alone.

python benchmarks/kills.py [--only train] [--kills 100] [--state FILE] [--seed 0]

Every call works until it is seen to have got on, and for a random time more; then it gets SIGKILL. Training and
prediction go on in the next call, until one comes to its end; what is there then is compared with what a run left alone
wrote. Of a video each kill leaves a file that is played. Jobs that are done are kept in --state, and not done again.
"""

import argparse
import json
import random
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from batch_kills import killed_later, small_images, tiny_network
from record import write_result
from safetensors.numpy import load_file

from sparseinst.data.video.source import open_video
from sparseinst.files import atomic
from sparseinst.inference.prediction import predict_files
from sparseinst.parsing import read_json
from sparseinst.recipe import Preset
from sparseinst.training.trainer import train
from sparseinst.video.prediction import predict_video
from sparseinst.video.writer import write_video

LONGEST_S = {"train": 0.8, "predict": 0.8, "video": 2.0}
"""Of the random time between the first progress seen and the kill."""
IMAGES, FRAMES, FPS, ITERATIONS = 200, 1000, 25, 60


def call(target: Callable[..., Any], arguments: dict[str, Any], seen: Callable[[], Any], wait_s: float | None) -> bool:
    """Starts a call and kills it so long after progress was seen, or never; whether it came to its end."""
    process = get_context("forkserver").Process(target=quiet, args=(target, arguments))
    return killed_later(process, seen, wait_s)


def quiet(target: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """The call, on one thread."""
    import torch

    torch.set_num_threads(1)
    target(**arguments)


def size_of(path: Path) -> int:
    """Bytes of a file; 0 before it is there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def time_of(path: Path) -> int:
    """When a file was written last; 0 before it is there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def training_set(folder: Path) -> None:
    """Images of blurred noise, each with a square as its object."""
    small_images(folder / "train", 12)
    images = [{"id": i + 1, "file_name": f"{i:06}.png", "height": 64, "width": 64} for i in range(12)]
    square = [10, 10, 40, 10, 40, 40, 10, 40]
    annotations = [
        {"id": i + 1, "image_id": i + 1, "category_id": 1 + i % 2, "iscrowd": 0, "segmentation": [square], "area": 900,
         "bbox": [10, 10, 30, 30]} for i in range(12)
    ]  # fmt: skip
    categories = [{"id": 1, "name": "disk"}, {"id": 2, "name": "box"}]
    (folder / "train.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )


def recipe() -> Preset:
    """A tiny network that is trained for some seconds, and saved every third iteration."""
    return Preset.model_validate({
        "description": "tiny",
        "model": {
            "classes": ("disk", "box"), "preprocess": {"short_px": 64, "long_px": 64},
            "backbone": {"name": "test_efficientnet", "norm": "batch"}, "encoder": {"channels": 16},
            "decoder": {"slots": 6, "groups": 2, "channels": 16, "convs": 1, "kernel_channels": 8},
        },
        "recipe": {
            "iterations": ITERATIONS, "batch": 2, "workers": 0, "evaluate_every": 3, "held_out": 0,
            "augment": {"flip": 0.5, "short_px": [48, 64], "long_px": 64, "frame_hw": [64, 64]},
            "optim": {"lr": 1e-3, "lr_rule": "none", "warmup": 2, "warmup_factor": 0.1, "ema": 0.9},
        },
    })  # fmt: skip


def trained(folder: Path, out: Path, next_wait: Callable[[], float | None]) -> dict[str, int]:
    """One training, killed until it ends."""
    kills, data = 0, folder / "set"
    while not call(
        train, {"data": data, "model": recipe(), "out": out, "init": "random", "device": "cpu",
                "resume": (out / "state.pt").exists(), "log": ()},
        lambda: time_of(out / "state.pt"), next_wait(),
    ):  # fmt: skip
        kills += 1
    weights, wanted = load_file(out / "best.safetensors"), load_file(folder / "alone_train" / "best.safetensors")
    rows = (out / "metrics.csv").read_text().splitlines()
    different = sum(not np.array_equal(weights[name], wanted[name]) for name in wanted)
    return {"kills": kills, "different_tensors": different, "rows_twice": len(rows) - len(set(rows))}


def predicted(folder: Path, out: Path, next_wait: Callable[[], float | None]) -> dict[str, int]:
    """One prediction, killed until it ends."""
    kills = 0
    while not call(
        predict_files,
        {"source": folder / "images", "model": folder / "tiny.safetensors", "out": out, "score": 0.0,
         "save_json": True, "save_masks": True, "device": "cpu", "resume": True},
        lambda: size_of(out / "predictions.unfinished.jsonl"), next_wait(),
    ):  # fmt: skip
        kills += 1
    alone = folder / "alone_predict"
    names = [image["file_name"] for image in read_json(out / "predictions.json", expected="results")["images"]]
    return {
        "kills": kills,
        "twice": len(names) - len(set(names)),
        "lost": IMAGES - len(set(names)),
        "other_results": int((out / "predictions.json").read_bytes() != (alone / "predictions.json").read_bytes()),
        "other_files": len({path.name for path in out.iterdir()} ^ {path.name for path in alone.iterdir()}),
    }


def filmed(folder: Path, out: Path, next_wait: Callable[[], float | None]) -> dict[str, int]:
    """One video, killed once, and what of it plays."""
    out.mkdir(exist_ok=True)
    made, lines = out / "made.unfinished.mp4", out / "made.unfinished.jsonl"
    ended = call(
        predict_video,
        {"source": folder / "clip.mp4", "model": folder / "tiny.safetensors", "save": out / "made.mp4",
         "save_json": out / "made.jsonl", "score": 0.0, "device": "cpu"},
        lambda: size_of(lines) > 0 and lines.read_bytes().count(b"\n") > 2 * FPS, next_wait(),
    )  # fmt: skip
    if ended:
        made, lines = out / "made.mp4", out / "made.jsonl"
    whole = [json.loads(line) for line in lines.read_bytes().split(b"\n")[:-1]]
    with closing(open_video(made)) as video:
        played = sum(1 for _ in video)
        broken = video.broken
    return {"kills": int(not ended), "lines": len(whole), "played": played, "broken_packets": broken}


JOBS = {"train": trained, "predict": predicted, "video": filmed}


def left_of(done: list[dict[str, int]], kills: int) -> int:
    """Kills that are still to come."""
    return max(0, kills - sum(job["kills"] for job in done))


def set_up(folder: Path) -> None:
    """All that the jobs read."""
    if (folder / "set").exists():
        return
    tiny_network(folder / "tiny.safetensors")
    small_images(folder / "images", IMAGES)
    (folder / "set").mkdir()
    training_set(folder / "set")
    noise = np.random.default_rng(0)
    pictures = (noise.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(FRAMES))
    with closing(open_video(pictures, fps=FPS)) as video, write_video(folder / "clip.mp4", video) as writer:
        for frame in video:
            writer.write(frame.image, frame.time)


def main() -> None:
    """Kills, compares, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=list(JOBS), action="append")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--state", type=Path, default=Path("kills.state.json"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    state = read_json(options.state, expected="jobs done") if options.state.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in options.only or JOBS:
            done: list[dict[str, int]] = state.setdefault(kind, [])
            if left_of(done, options.kills):
                set_up(folder)
                JOBS[kind](folder, folder / f"alone_{kind}", lambda: None)
            while left := left_of(done, options.kills):
                chance, out = random.Random(f"{options.seed} {kind} {len(done)}"), folder / f"{kind}{len(done)}"
                waits = [chance.uniform(0, LONGEST_S[kind]) for _ in range(left)]
                done.append(JOBS[kind](folder, out, lambda waits=waits: waits.pop() if waits else None))
                shutil.rmtree(out)
                with atomic(options.state) as temporary:
                    temporary.write_text(json.dumps(state))
                print(kind, len(done), done[-1], flush=True)
    figures = {kind: summary(jobs) for kind, jobs in state.items()}
    print(write_result("kills", {**figures, "images": IMAGES, "frames": FRAMES, "iterations": ITERATIONS}))


def summary(jobs: list[dict[str, int]]) -> dict[str, Any]:
    """Sums over all jobs; of videos the frames that a kill took."""
    killed = [job for job in jobs if job["kills"]]
    sums = {name: sum(job[name] for job in jobs) for name in jobs[0] if name not in ("lines", "played")}
    if "played" in jobs[0]:
        missing = [job["lines"] - job["played"] for job in killed]
        sums |= {"frames_missing_median": float(np.median(missing)), "frames_missing_most": max(missing)}
    return {"jobs": len(jobs), **sums}


if __name__ == "__main__":
    main()
