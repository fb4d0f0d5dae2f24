"""Memory over a long video and a long training with a tiny network: it must not grow.

python benchmarks/flat_memory.py [--only video] [--frames 20000] [--steps 5000] [--name flat_memory]

Each runs in a process of its own, on one thread; the memory it holds of its own (MB, without pages of files) is read
after every hundredth of the way. Growth is the difference between the median of the last tenth and that of the tenth
after the first quarter.
"""

import argparse
import gc
import tempfile
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from batch_kills import tiny_network
from kills import FPS, recipe, training_set
from numpy.typing import NDArray
from record import write_result

from sparseinst.training.callbacks import Callback
from sparseinst.training.trainer import train
from sparseinst.video.prediction import predict_video


def held_mb() -> float:
    """What this process holds now of its own: pages of files may be dropped and read again as the system likes."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return sum(int(line[1]) for line in lines if line[0] in ("RssAnon:", "VmSwap:")) * 1024 / 1e6


def one_thread() -> None:
    """Tiny tensors are slower on several."""
    import torch

    torch.set_num_threads(1)


def over_video(folder: Path, frames: int) -> list[float]:
    """Memory while a video is gone through, drawn and written, with its lines of JSON."""
    one_thread()
    noise, held = np.random.default_rng(0), []
    still = noise.integers(0, 255, (48, 64, 3), dtype=np.uint8)

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for number in range(frames):
            yield np.roll(still, number, axis=1)

    def see(result: Any, _: object) -> None:
        if (result.frame.index + 1) % (frames // 100) == 0:
            held.append(held_mb())

    predict_video(
        pictures(), model=folder / "tiny.safetensors", score=0.0, save=folder / "long.mp4",
        save_json=folder / "long.jsonl", track="mask", fps=FPS, device="cpu", on_frame=see,
    )  # fmt: skip
    return held


def over_training(folder: Path, steps: int) -> list[float]:
    """Memory while a network is trained, with a state saved every 500 steps."""
    one_thread()
    held: list[float] = []

    class Watch(Callback):
        def on_row(self, row: Any) -> None:
            gc.collect()
            held.append(held_mb())

    train(
        folder / "set", recipe(), folder / "run", init="random", device="cpu", iterations=steps, log=(),
        settings={"log_every": steps // 100, "evaluate_every": 500}, callbacks=[Watch()],
    )  # fmt: skip
    return held


KINDS = {"video": over_video, "train": over_training}


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=list(KINDS), action="append")
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=5_000)
    parser.add_argument("--name", default="flat_memory")
    options = parser.parse_args()
    lengths, figures = {"video": options.frames, "train": options.steps}, {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny_network(folder / "tiny.safetensors")
        (folder / "set").mkdir()
        training_set(folder / "set")
        for kind in options.only or KINDS:
            with get_context("spawn").Pool(1) as pool:
                held = pool.apply(KINDS[kind], (folder, lengths[kind]))
            early, late = median(held[25:35]), median(held[-10:])
            figures[kind] = {
                "length": lengths[kind], "mb_after_a_quarter": round(early, 1), "mb_at_the_end": round(late, 1),
                "growth_mb": round(late - early, 1), "mb_most": round(max(held), 1),
                "mb": [round(value, 1) for value in held],
            }  # fmt: skip
            print(kind, {name: value for name, value in figures[kind].items() if name != "mb"}, flush=True)
    print(write_result(options.name, figures))


if __name__ == "__main__":
    main()
