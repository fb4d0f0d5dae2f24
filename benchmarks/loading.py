"""How long a training image takes to load: read, decode the masks, augment, draw on the mask grid, put in a batch.

python benchmarks/loading.py DATA [--preset r50-giam] [--images 64] [--batch 8] [--workers 1] [--against CHECKOUT]

DATA is a folder or YAML file as `sparseinst train` takes it, of COCO annotations. Milliseconds an image are those of
one loader process; the parts are measured in this process on one thread, the whole through the loader's processes.
CHECKOUT is another state of this repository (`git worktree add CHECKOUT COMMIT`): both load the same batches in turn.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import torch
from record import write_result

from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.loader import Sample, collate, training_loader
from sparseinst.data.transforms import TrainTransform
from sparseinst.errors import InputError
from sparseinst.recipe import Preset
from sparseinst.zoo.names import load_preset


def parts_milliseconds(dataset: CocoDataset, preset: Preset, images: int, batch: int) -> dict[str, dict[str, float]]:
    """Mean and median time an image of each part of the work, one image after the other."""
    from sparseinst.data.targets import draw_targets  # which an older state, measured with --whole, does not have

    model = preset.model
    transform = TrainTransform(preset.recipe.augment, model.preprocess)
    names = ("read", "masks", "augment", "draw", "collate")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    samples = []
    for number in range(images):
        index = number % len(dataset)
        clock = [time.perf_counter()]
        image_hw = dataset.size_hw(index)
        pixels = dataset.image(index, model.preprocess, shrink=transform.shrink(image_hw))
        image = torch.from_numpy(pixels).permute(2, 0, 1)
        clock.append(time.perf_counter())
        strips = dataset.strips(index)
        clock.append(time.perf_counter())
        image, seen = transform(image, image_hw)
        clock.append(time.perf_counter())
        targets = draw_targets(strips, seen, image_hw, dataset.labels(index), model.mask_stride)
        clock.append(time.perf_counter())
        samples.append(Sample(image, targets, index))
        if len(samples) == batch:
            collate(samples, model.mask_stride, preset.recipe.augment.frame_hw)
            seconds["collate"] += [(time.perf_counter() - clock[-1]) / batch] * batch
            samples = []
        for name, start, end in zip(names[:4], clock[:-1], clock[1:], strict=True):
            seconds[name].append(end - start)
    return {
        name: {"mean": round(1000 * statistics.mean(s), 2), "median": round(1000 * statistics.median(s), 2)}
        for name, s in seconds.items()
        if s
    }


def loader_milliseconds(dataset: CocoDataset, preset: Preset, images: int) -> float:
    """Mean time an image takes each of the loader's processes (or this one, without any), once they are under way."""
    recipe = preset.recipe
    batches = iter(training_loader(dataset, preset.model, recipe))
    for _ in range(max(1, 3 * recipe.workers)):  # start-up, and what the processes have ready in advance
        next(batches)
    count = max(2, images // recipe.batch)
    start = time.perf_counter()
    for _ in range(count):
        next(batches)
    return 1000 * (time.perf_counter() - start) / (count * recipe.batch) * max(1, recipe.workers)


def in_turn(checkout: Path, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of an image as this code loads it and as another state of it does, `rounds` of each."""
    own = Path(__file__).parents[1]
    times: dict[str, list[float]] = {"before": [], "now": []}
    for _ in range(rounds):
        for name, code in (("before", checkout.resolve()), ("now", own)):
            environment = os.environ | {"PYTHONPATH": str(code / "src")}
            command = [sys.executable, *sys.argv, "--whole"]
            printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
            times[name].append(float(printed.splitlines()[-1]))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder or YAML file")
    parser.add_argument("--preset", default="r50-giam")
    parser.add_argument("--images", type=int, default=64, help="images measured")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--name", default="loading", help="name of the result file")
    parser.add_argument("--against", type=Path, help="another checkout of this repository")
    parser.add_argument("--rounds", type=int, default=5, help="of turns with it")
    parser.add_argument("--whole", action="store_true", help="print the milliseconds of the whole alone")
    options = parser.parse_args()
    torch.set_num_threads(1)  # as in the loader's processes
    cv2.setNumThreads(0)
    torch.manual_seed(0)
    source = resolve_data(options.data)
    if source.train is None:
        raise InputError(f"{options.data}: expected training images, got none: name them")
    preset = load_preset(options.preset)
    dataset = CocoDataset.load(source.train.images, source.train.annotations)
    preset = preset.model_copy(update={
        "model": preset.model.model_copy(update={"classes": dataset.classes}),
        "recipe": preset.recipe.model_copy(update={"batch": options.batch, "workers": options.workers}),
    })  # fmt: skip
    dataset = dataset.remap(preset.model.classes)
    whole = loader_milliseconds(dataset, preset, options.images)
    if options.whole:
        print(whole)
        return
    figures: dict[str, Any] = {
        "data": source.name,
        "images_in_set": len(dataset),
        "instances_in_set": dataset.instances,
        "preset": options.preset,
        "images": options.images,
        "batch": options.batch,
        "workers": options.workers,
        "milliseconds_per_image_and_worker": round(whole, 2),
        "images_per_second": round(1000 * max(1, options.workers) / whole, 1),
        "parts_milliseconds_per_image": parts_milliseconds(dataset, preset, options.images, options.batch),
    }
    if options.against is not None:
        times = in_turn(options.against, options.rounds)
        ratios = [before / now for before, now in zip(times["before"], times["now"], strict=True)]
        asked = ["git", "-C", str(options.against), "rev-parse", "--short", "HEAD"]
        figures["before"] = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
        figures["in_turn_ms"] = {name: [round(value, 2) for value in values] for name, values in times.items()}
        figures["times_faster"] = round(statistics.median(ratios), 2)
    print(write_result(options.name, figures))
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
