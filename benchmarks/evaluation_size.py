"""Evaluation at the size of COCO's validation set, beside pycocotools: times, and the figures' difference.

python benchmarks/evaluation_size.py [--images 5000] [--detections 100]

Annotations and detections are ellipses of the sizes of COCO's objects, 7 annotations an image of 80 classes. Each
annotation has a detection near it; the others are anywhere. Times are of one call each, in this process.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from record import write_result

from sparseinst.evaluation.coco_eval import evaluate_results

HEIGHT, WIDTH, CLASSES, INSTANCES = 480, 640, 80, 7
NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")


def ellipse(
    random: np.random.Generator, near: tuple[float, ...] | None = None
) -> tuple[dict[str, Any], tuple[float, ...]]:
    """A mask as COCO encodes it, and the shape: a new one, or one near another."""
    if near is None:
        radius = float(np.clip(np.exp(random.normal(3.2, 0.9)), 3, 200))
        shape = (
            *random.uniform((0, 0), (WIDTH, HEIGHT)),
            radius,
            radius * random.uniform(0.4, 1),
            random.uniform(0, 180),
        )
    else:
        shape = tuple(value + random.normal(0, 0.08) * near[2] for value in near)
    x, y, first, second, turn = shape
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    axes = (max(2, round(first)), max(2, round(second)))
    cv2.ellipse(canvas, (round(x), round(y)), axes, turn, 0, 360, 1, -1)
    return coco_mask.encode(np.asfortranarray(canvas)), shape


def make(images: int, detections: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A COCO annotation file and a results list."""
    random = np.random.default_rng(0)
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    pool = [ellipse(random) for _ in range(2000)]
    for image_id in range(1, images + 1):
        found = []
        for _ in range(random.poisson(INSTANCES)):
            code, shape = pool[random.integers(len(pool))]
            category = int(random.integers(1, CLASSES + 1))
            annotations.append({
                "id": len(annotations) + 1, "image_id": image_id, "category_id": category, "iscrowd": 0,
                "area": float(coco_mask.area(code)), "bbox": coco_mask.toBbox(code).tolist(),
                "segmentation": text(code),
            })  # fmt: skip
            found.append((ellipse(random, shape)[0], category, random.beta(4, 2)))
        while len(found) < detections:
            code, _ = pool[random.integers(len(pool))]
            found.append((code, int(random.integers(1, CLASSES + 1)), random.beta(1, 6)))
        for code, category, score in found[:detections]:
            results.append({
                "image_id": image_id, "category_id": category, "score": float(score), "segmentation": text(code)
            })  # fmt: skip
    content = {
        "images": [
            {"id": n, "file_name": f"{n}.jpg", "height": HEIGHT, "width": WIDTH} for n in range(1, images + 1)
        ],
        "annotations": annotations,
        "categories": [{"id": n, "name": f"class {n}"} for n in range(1, CLASSES + 1)],
    }  # fmt: skip
    return content, results


def text(code: dict[str, Any]) -> dict[str, Any]:
    """An encoding as JSON has it."""
    return {"size": [HEIGHT, WIDTH], "counts": code["counts"].decode()}


def by_pycocotools(annotations: Path, results: list[dict[str, Any]]) -> list[float]:
    """The first six of COCO's figures."""
    truth = COCO(str(annotations))
    evaluator = COCOeval(truth, truth.loadRes(results), "segm")
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return [float(value) for value in evaluator.stats[: len(NAMES)]]


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100)
    parser.add_argument("--alone", action="store_true", help="without pycocotools")
    options = parser.parse_args()
    content, results = make(options.images, options.detections)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "truth.json"
        path.write_text(json.dumps(content))
        wall, cpu = time.perf_counter(), time.process_time()
        ours = evaluate_results(path, results)
        spent = {"seconds": round(time.perf_counter() - wall, 1), "cpu_s": round(time.process_time() - cpu, 1)}
        print(spent, ours.ap)
        if options.alone:
            return
        wall, cpu = time.perf_counter(), time.process_time()
        theirs = by_pycocotools(path, results)
        peer = {"seconds": round(time.perf_counter() - wall, 1), "cpu_s": round(time.process_time() - cpu, 1)}
    difference = max(abs(getattr(ours, key) - value) for key, value in zip(NAMES, theirs, strict=True))
    figures = {
        "images": options.images, "detections": len(results), "instances": len(content["annotations"]), "ours": spent,
        "pycocotools": peer, "largest_difference": difference, "ap": ours.ap,
    }  # fmt: skip
    print(figures)
    print(write_result("evaluation_size", figures))


if __name__ == "__main__":
    main()
