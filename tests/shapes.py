"""A tiny data set on disk and a tiny network, with which a training run takes seconds."""

import json
from pathlib import Path

import cv2
import numpy as np

from sparseinst.recipe import Preset

SIZE = 64
CLASSES = ("disk", "box")


def write_split(root: Path, name: str, count: int, *, first: int) -> None:
    (root / name).mkdir(parents=True)
    images, annotations = [], []
    for i in range(count):
        rng = np.random.default_rng(first + i)
        picture = rng.integers(0, 60, (SIZE, SIZE, 3), dtype=np.uint8)
        disk, box = np.zeros((SIZE, SIZE), np.uint8), np.zeros((SIZE, SIZE), np.uint8)
        x, y = (int(v) for v in rng.integers(12, 20, 2))
        cv2.circle(disk, (x, y), 10, 1, -1)
        cv2.rectangle(box, (x + 20, y + 18), (x + 38, y + 38), 1, -1)
        picture[disk > 0], picture[box > 0] = (230, 200, 40), (40, 120, 240)
        cv2.imwrite(str(root / name / f"{i}.png"), picture)
        images.append({"id": first + i, "file_name": f"{i}.png", "height": SIZE, "width": SIZE})
        for category, mask in ((1, disk), (2, box)):
            (contour,), _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            annotations.append({
                "id": len(annotations) + 1, "image_id": first + i, "category_id": category, "iscrowd": 0,
                "segmentation": [contour.flatten().tolist()], "area": int(mask.sum()), "bbox": [0, 0, 1, 1],
            })  # fmt: skip
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / f"{name}.json").write_text(json.dumps(content))


def tiny_preset(**recipe: object) -> Preset:
    """A network of some 100,000 weights and a recipe for a few iterations."""
    return Preset.model_validate({
        "description": "tiny",
        "model": {
            "classes": CLASSES,
            "preprocess": {"short_px": SIZE, "long_px": SIZE},
            "backbone": {"name": "test_efficientnet", "norm": "batch"},
            "encoder": {"channels": 16},
            "decoder": {"slots": 6, "groups": 2, "channels": 16, "convs": 1, "kernel_channels": 8},
        },
        "recipe": {
            "iterations": 6, "batch": 2, "workers": 0, "evaluate_every": 1000, "log_every": 1, "pictures": 1,
            "augment": {"flip": 0.5, "short_px": [48, SIZE], "long_px": SIZE, "frame_hw": [SIZE, SIZE]},
            "optim": {"lr": 1e-3, "lr_rule": "none", "warmup": 2, "warmup_factor": 0.1, "ema": 0.9},
            **recipe,
        },
    })  # fmt: skip
