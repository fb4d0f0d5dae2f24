"""What tiles bring on large and crowded images: AP, AR and time of one pass an image against tiles of several sizes.

Images: those of the data's val split that are more than 1.3 times as long as the network's frame, or hold more than 100
objects. All that is above the gate counts, at most 300 detections an image.

python benchmarks/tiles.py DATA [--model nuclei] [--tile SIZE[:OVERLAP] ...] [--name tiles]
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import torch
from record import write_result

from sparseinst import Instances, Predictor
from sparseinst.data.coco import CocoDataset
from sparseinst.evaluation.coco_eval import evaluate_results
from sparseinst.inference.merging import merge
from sparseinst.inference.tiling import Tiling
from sparseinst.inference.writers import to_coco

LARGE, CROWDED = 1.3, 100
WHOLE = ((slice(None), slice(None)),)
MAX_DETS = 300


def chosen(content: dict[str, Any], long_px: int) -> dict[str, Any]:
    """The annotation file of the images that the rule names."""
    objects = Counter(item["image_id"] for item in content["annotations"])
    images = [
        image
        for image in content["images"]
        if max(image["height"], image["width"]) > LARGE * long_px or objects[image["id"]] > CROWDED
    ]
    ids = {image["id"] for image in images}
    annotations = [item for item in content["annotations"] if item["image_id"] in ids]
    return {**content, "images": images, "annotations": annotations}


class Spent(NamedTuple):
    """What an image took: passes of the network, seconds, and those of the processor."""

    passes: int
    wall: float
    processor: float
    merging: float
    """Of the processor."""


def segmented(predictor: Predictor, dataset: CocoDataset, index: int, tiling: Tiling | None) -> tuple[Instances, Spent]:
    """The instances of one image, and the seconds spent."""
    start, processor = time.perf_counter(), time.process_time()
    image = dataset.image(index, predictor.pipeline.preprocess)
    windows = WHOLE if tiling is None else tiling.windows(image.shape[:2])
    found = predictor([image[window] for window in windows])
    merging = time.process_time()
    merged, _ = merge(found, windows, image.shape[:2])
    end = time.process_time()
    return merged, Spent(len(windows), time.perf_counter() - start, end - processor, end - merging)


def measure(
    predictor: Predictor, dataset: CocoDataset, content: dict[str, Any], tiling: Tiling | None
) -> dict[str, Any]:
    """AP and time over all images, whose annotations are also given read."""
    spent: list[Spent] = []
    results: list[dict[str, Any]] = []
    shown = 0
    for index, image_id in enumerate(dataset.image_ids.tolist()):
        found, seconds = segmented(predictor, dataset, index, tiling)
        spent.append(seconds)
        results += to_coco(found, image_id, dataset.category_ids)
        shown += int((found.scores >= predictor.backend.config.postprocess.score).sum())
    objects = Counter(item["image_id"] for item in content["annotations"])
    groups = {
        image["id"]: f"{'more than' if objects[image['id']] > CROWDED else 'at most'} {CROWDED} objects"
        for image in content["images"]
    }
    evaluation = evaluate_results(dataset.annotations, results, max_dets=MAX_DETS, groups=groups)
    figures = {
        name: round(getattr(evaluation, name), 4) for name in ("ap", "ap50", "ap75", "ap_small", "ar", "best_f1")
    }
    passes, wall, processor, merging = (sum(values) for values in zip(*spent, strict=True))
    return {
        "tile": None if tiling is None else tiling.tile,
        "overlap": None if tiling is None else tiling.overlap,
        "tiles": passes,
        **figures,
        "shown_at_default_score": shown,
        "ap_by_group": {name: round(found.ap, 4) for name, found in evaluation.per_group.items()},
        "seconds_per_image": round(wall / len(dataset), 3),
        "processor_seconds_per_image": round(processor / len(dataset), 3),
        "merging_processor_ms_per_tile": round(1000 * merging / passes, 1),
    }


def tiling_of(text: str) -> Tiling:
    """The tiling of SIZE or SIZE:OVERLAP."""
    tile, _, overlap = text.partition(":")
    tiling = Tiling.of(int(tile), int(overlap) if overlap else None)
    assert tiling is not None
    return tiling


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with val/ and val.json")
    parser.add_argument("--model", default="nuclei")
    parser.add_argument(
        "--tile", type=tiling_of, nargs="+", default=[tiling_of(size) for size in ("384", "256", "192")]
    )
    parser.add_argument("--name", default="tiles", help="name of the result file")
    options = parser.parse_args()
    predictor = Predictor(options.model, score=0.0)
    content = chosen(json.loads((options.data / "val.json").read_text()), predictor.pipeline.preprocess.long_px)
    with tempfile.TemporaryDirectory() as folder:
        annotations = Path(folder) / "chosen.json"
        annotations.write_text(json.dumps(content))
        dataset = CocoDataset.load(options.data / "val", annotations).remap(predictor.classes)
        figures: dict[str, Any] = {
            "data": f"{options.data.name} val",
            "rule": f"long side > {LARGE} x {predictor.pipeline.preprocess.long_px} px, or more than {CROWDED} objects",
            "image_ids": dataset.image_ids.tolist(),
            "objects": len(content["annotations"]),
            "threads": torch.get_num_threads(),
            "ways": [],
        }
        for tiling in (None, *options.tile):
            figures["ways"].append(measure(predictor, dataset, content, tiling))
            print(json.dumps(figures["ways"][-1]), flush=True)
            path = write_result(options.name, figures)  # a run that is cut short keeps what it has
    print(path)


if __name__ == "__main__":
    main()
