"""Random annotations and detections of rectangles, for the tests of what evaluation says beyond AP."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from sparseinst.evaluation.coco_eval import Scored, score_results
from sparseinst.masks import rle

SIDE = 40
NAMES = ("disc", "box", "ring")
IDS = (5, 2, 9)
"""Not in order: COCO's evaluation sorts classes by id."""

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1, ends exclusive."""


def record(image_id: int, category_id: int, box: Box, **more: Any) -> dict[str, Any]:
    """An annotation or, with a score, a detection of a rectangle."""
    x0, y0, x1, y1 = box
    mask = np.zeros((1, SIDE, SIDE), bool)
    mask[0, y0:y1, x0:x1] = True
    segmentation = {"size": [SIDE, SIDE], "counts": rle.encode(mask)[0].decode()}
    return {"image_id": image_id, "category_id": category_id, "segmentation": segmentation, "iscrowd": 0, **more}


def write_truth(path: Path, annotations: list[dict[str, Any]], *, images: int) -> Path:
    """An annotation file of images 1..n, named 1.png, 2.png, ..."""
    sizes = {"height": SIDE, "width": SIDE}
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", **sizes} for i in range(1, images + 1)],
        "annotations": [{**item, "id": i} for i, item in enumerate(annotations)],
        "categories": [{"id": key, "name": name} for key, name in zip(IDS, NAMES, strict=True)],
    }
    path.write_text(json.dumps(content))
    return path


def random_scene(
    seed: int, *, images: int = 6, crowds: bool = True
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Annotations, and detections that shift, lose, double and confuse them; some scores are equal."""
    random = np.random.default_rng(seed)
    annotations, detections = [], []
    for image in range(1, images + 1):
        for _ in range(random.integers(0, 7)):
            x, y, width, height = random.integers((0, 0, 3, 3), (SIDE - 12, SIDE - 12, 12, 12))
            box = (int(x), int(y), int(x + width), int(y + height))
            category = int(random.choice(IDS[:2]))
            crowd = int(crowds and random.random() < 0.15)
            annotations.append(record(image, category, box, iscrowd=crowd))
            for _ in range(random.choice([0, 1, 1, 1, 2])):
                dx, dy = (int(v) for v in random.choice([-1, 0, 0, 0, 1], 2))
                moved = (max(0, box[0] + dx), max(0, box[1] + dy), box[2] + dx, box[3] + dy)
                found = category if random.random() < 0.8 else int(random.choice(IDS))
                detections.append(record(image, found, moved, score=int(random.integers(1, 10)) / 10))
    return annotations, detections


def scored(folder: Path, annotations: list[dict[str, Any]], detections: list[dict[str, Any]], **options: Any) -> Scored:
    """The evaluation of annotations and detections; `images` and `max_dets` are options."""
    path = write_truth(folder / "truth.json", annotations, images=options.pop("images", 6))
    return score_results(
        path,
        detections,
        max_dets=options.pop("max_dets", 100),
        groups=None,
        **options,
    )
