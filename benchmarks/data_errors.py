"""How many spoiled annotations `sparseinst data errors` lists first: car parts, four kinds of mistakes.

    python benchmarks/data_errors.py ../shared/data/carparts --work /tmp/spoiled --minutes 4

Spoils a part of the training annotations, trains a network on the spoiled file, and looks for the mistakes with it:
what somebody has who knows of none of them.
"""

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any

from faster_coco_eval.core import mask as coco_mask
from record import write_result
from spoiling import WAYS, spoil

from sparseinst.data.formats.resolving import resolve_data
from sparseinst.evaluation.matching import IOU
from sparseinst.inference.pipeline import Pipeline
from sparseinst.review.errors import Errors, find_errors
from sparseinst.training.trainer import train

PART, SEED = 0.05, 0
TOP = 0.1
"""Part of the list that is looked at, of the number of annotations."""


def prepare(data: Path, work: Path) -> None:
    """The spoiled training file beside its images."""
    work.mkdir(parents=True, exist_ok=True)
    content, mistakes = spoil(json.loads((data / "train.json").read_bytes()), part=PART, seed=SEED)
    (work / "train.json").write_text(json.dumps(content))
    told = [{**mistake._asdict(), "counts": mistake.counts.decode("ascii")} for mistake in mistakes]
    (work / "mistakes.json").write_text(json.dumps(told))
    (work / "data.yaml").write_text(
        f"name: carparts with mistakes\ntrain: {{images: {data.resolve() / 'train'}, annotations: train.json}}\n"
        f"val: {{images: {data.resolve() / 'val'}, annotations: {data.resolve() / 'val.json'}}}\n"
    )


def train_on(work: Path, minutes: float) -> None:
    train(
        work / "data.yaml", "lite", work / "run", minutes=minutes, workers=0, precision="bf16",
        settings={"augment.flip": 0}, device="cpu",
    )  # fmt: skip


def find(work: Path) -> dict[str, object]:
    """Where the mistakes stand in the list, and how much of them the first tenth holds."""
    split = resolve_data(work / "data.yaml").part("train")
    started = time.perf_counter()
    errors = find_errors(Pipeline(work / "run" / "best.safetensors", score=0.0), split)
    seconds = time.perf_counter() - started
    mistakes = json.loads((work / "mistakes.json").read_text())
    looked_at = round(TOP * len(errors.truth["annotations"]))
    first = [_rank(mistake, errors) for mistake in mistakes]
    found = {
        way: {
            "made": sum(mistake["way"] == way for mistake in mistakes),
            "listed_first": sum(
                rank is not None and rank < looked_at
                for rank, mistake in zip(first, mistakes, strict=True)
                if mistake["way"] == way
            ),
        }
        for way in WAYS
    }
    return {
        "annotations": len(errors.truth["annotations"]),
        "mistakes": len(mistakes),
        "looked_at": looked_at,
        "listed_first": sum(item["listed_first"] for item in found.values()),
        "by_way": found,
        "in_first_50": sum(rank is not None and rank < 50 for rank in first),
        "seconds_to_list": round(seconds, 1),
        "training": _training(work / "run"),
    }


def _rank(mistake: dict[str, Any], errors: Errors) -> int | None:
    """The place of the first dispute that leads to a mistake, from 0: its annotation, or a mask on what was removed."""
    for rank, item in enumerate(errors.disputes):
        if item.image_id != mistake["image_id"]:
            continue
        if mistake["way"] == "removed":
            if item.annotation is None and item.detection is not None:
                seen = errors.detections[item.detection]["segmentation"]
                if coco_mask.iou([seen], [{**seen, "counts": mistake["counts"]}], [0])[0][0] >= IOU:
                    return rank
        elif item.annotation is not None and errors.ids[item.annotation] == mistake["annotation_id"]:
            return rank
    return None


def _training(run: Path) -> dict[str, object]:
    with (run / "metrics.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    with (run / "evaluation.csv").open(newline="") as file:
        best = max(float(row["ap"]) for row in csv.DictReader(file))
    return {
        "iterations": int(last["iteration"]),
        "seconds": round(float(last["seconds"]), 1),
        "ap_on_val": round(best, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for spoiled annotations and the run")
    parser.add_argument("--minutes", type=float, default=4.0, help="of training; a run that is there is taken")
    options = parser.parse_args()
    if not (options.work / "mistakes.json").is_file():
        prepare(options.data, options.work)
    if not (options.work / "run" / "best.safetensors").is_file():
        train_on(options.work, options.minutes)
    figures = find(options.work)
    print(json.dumps(figures, indent=2))
    write_result("data_errors", figures)


if __name__ == "__main__":
    main()
