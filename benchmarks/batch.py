"""What a batch job costs beside its network, where the rest goes, and how much memory it holds over time.

python benchmarks/batch.py IMAGES [--models n,r50-giam] [--images 24,8] [--rounds 3] [--backend torch] [--score S]
    [--name batch]
python benchmarks/batch.py --memory 20000

Costs are processor seconds of one process with one thread, which what else runs on the machine hardly changes: the bare
network on images that are prepared already, and the whole job from files to rows of the same images, in turn. Processes
share nothing, so that this is the ratio on any number of cores. Weights are those that ship, or else random.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from batch_kills import small_images, tiny_network
from record import write_result

from sparseinst import load_model
from sparseinst.cli.opening import converted
from sparseinst.data.images import read_image
from sparseinst.data.prepare import stack
from sparseinst.data.sources import list_sources
from sparseinst.errors import InputError
from sparseinst.inference.pipeline import Pipeline
from sparseinst.modeling.postprocess import select
from sparseinst.scale.job import Progress, run_batch
from sparseinst.scale.results import read_rows
from sparseinst.scale.rows import FileFacts, row_of, write_rows
from sparseinst.scale.settings import BatchSettings
from sparseinst.zoo.checkpoint import save_checkpoint
from sparseinst.zoo.names import shipped_weights


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of this process in a call, and what it gave."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def parts(pipeline: Pipeline, paths: list[Path], folder: Path) -> dict[str, float]:
    """Processor milliseconds an image of each step by itself."""
    spent: dict[str, float] = defaultdict(float)
    rows, post = [], pipeline.backend.config.postprocess
    for path in paths:
        used, content = cpu_seconds(path.read_bytes)
        spent["read"] += used
        used, pixels = cpu_seconds(lambda content=content: read_image(content, pipeline.preprocess.intensity))
        spent["decode"] += used
        used, prepared = cpu_seconds(lambda pixels=pixels: pipeline.prepare(pixels))
        spent["resize"] += used
        used, candidates = cpu_seconds(lambda prepared=prepared: pipeline.backend(*stack([prepared])))
        spent["network"] += used
        used, (found,) = cpu_seconds(
            lambda candidates=candidates, prepared=prepared: list(
                select(
                    candidates, [prepared.frame], gate=post.gate, mask_threshold=post.mask_threshold,
                    min_score=pipeline.score, least_piece=post.least_piece,
                )
            )
        )  # fmt: skip
        spent["masks"] += used
        used, row = cpu_seconds(lambda found=found, path=path: row_of(path.name, pipeline.named(found), 0.0))
        spent["rows"] += used
        rows.append(row)
    facts = FileFacts({}, len(rows), 0, 0, len(rows), True, None, None)
    spent["write"], _ = cpu_seconds(lambda: write_rows(folder / "parts.parquet", rows, facts))
    return {name: round(1000 * value / len(paths), 2) for name, value in spent.items()}


def measure(name: str, paths: list[Path], options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The bare network and the job in turn, and the parts."""
    weights = folder / f"{name}.safetensors"
    save_checkpoint(weights, load_model(name, random_weights=shipped_weights(name) is None))
    listed = folder / f"{name}.txt"
    listed.write_text("".join(f"{path.resolve()}\n" for path in paths))
    runs = str(converted(str(weights), None)) if options.backend == "onnxruntime" else None  # as the command does
    settings = BatchSettings(model=str(weights), backend=options.backend, runs=runs, score=options.score)
    pipeline = settings.open()
    inputs = [stack([pipeline.prepare(pipeline.read(path))]) for path in paths]
    opening, times = [], {"network": [], "job": []}
    for number in range(-1, options.rounds):
        bare, _ = cpu_seconds(lambda: [pipeline.backend(*one) for one in inputs])
        opened, _ = cpu_seconds(settings.open)
        out = folder / f"{name}-{number}"
        job, done = cpu_seconds(lambda out=out: run_batch(str(listed), out, settings, processes=0))
        if done.failed:
            raise InputError(f"{options.source}: expected images that can be read, {done.failed} of them cannot: look")
        if number >= 0:  # the first round warms up
            times["network"].append(bare)
            times["job"].append(job - opened)
            opening.append(opened)
    found = sum(len(row["instances"]) for row in read_rows(out))
    stored = sum(path.stat().st_size for path in (out / "rows").iterdir())
    ratios = [bare / job for bare, job in zip(times["network"], times["job"], strict=True)]
    medians = {key: statistics.median(values) / len(paths) for key, values in times.items()}
    return {
        "images": len(paths),
        "backend": type(pipeline.backend).__name__,
        "instances_an_image": round(found / len(paths), 1),
        "network_ms": round(1000 * medians["network"], 1),
        "job_ms": round(1000 * medians["job"], 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "parts_ms": parts(pipeline, paths, folder),
        "opening_s": round(statistics.median(opening), 2),
        "images_an_hour_and_core": round(3600 / medians["job"]),
        "stored_bytes_an_image": round(stored / len(paths)),
        "image_file_bytes": round(statistics.mean(path.stat().st_size for path in paths)),
    }


def memory(count: int, folder: Path) -> dict[str, Any]:
    """Memory in use at tenths of a job of many small images."""
    tiny_network(folder / "tiny.safetensors")
    small_images(folder / "images", 500)
    names = sorted(path.name for path in (folder / "images").iterdir())
    listed = folder / "images/list.txt"
    listed.write_text("".join(f"{names[number % len(names)]}\n" for number in range(count)))
    held: dict[str, float] = {}

    def look(done: Progress) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        held.setdefault(f"{int(10 * done.share) / 10:.0%}", round(pages * resource.getpagesize() / 2**20, 1))

    settings = BatchSettings(model=str(folder / "tiny.safetensors"))
    done = run_batch(str(listed), folder / "out", settings, processes=0, on_progress=look)
    return {"images": done.images, "seconds": round(done.seconds, 1), "rss_mb": held}


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", nargs="?")
    parser.add_argument("--models", default="n,r50-giam")
    parser.add_argument("--images", default="24,8")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--score", type=float)
    parser.add_argument("--memory", type=int)
    parser.add_argument("--name", default="batch", help="name of the result file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.memory:
            figures = memory(options.memory, folder)
            print(figures)
            print(write_result("batch_memory", figures))
            return
        counts = map(int, options.images.split(","))
        found = {}
        for model, count in zip(options.models.split(","), counts, strict=True):
            found[model] = measure(model, list_sources(options.source)[:count], options, folder)
            print(model, found[model], flush=True)
        print(write_result(options.name, found))


if __name__ == "__main__":
    main()
