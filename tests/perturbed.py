"""Predictions for real annotations, made without a network."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as oracle_mask


def perturbed(annotations: Path, *, seed: int = 0) -> list[dict[str, Any]]:
    """Predictions made from the ground truth: shifted, eroded, lost, doubled and confused, scores half sensible."""
    random = np.random.default_rng(seed)
    truth = json.loads(annotations.read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    categories = [category["id"] for category in truth["categories"]]
    results = []
    for item in truth["annotations"]:
        height, width = sizes[item["image_id"]]
        segmentation = item["segmentation"]
        if not isinstance(segmentation, dict) or isinstance(segmentation["counts"], list):
            encoded = oracle_mask.frPyObjects(segmentation, height, width)
            segmentation = oracle_mask.merge(encoded) if isinstance(encoded, list) else encoded
        mask = oracle_mask.decode(segmentation)
        if random.random() < 0.2 or not mask.any():
            continue
        reach = max(1, round(0.07 * mask.sum() ** 0.5))
        for _ in range(1 + (random.random() < 0.15)):
            moved = np.roll(mask, random.integers(-reach, reach + 1, 2), axis=(0, 1))
            counts = oracle_mask.encode(np.asfortranarray(moved))["counts"].decode()
            category = item["category_id"] if random.random() < 0.9 else int(random.choice(categories))
            results.append({
                "image_id": item["image_id"], "category_id": category, "score": round(float(random.random()), 2),
                "segmentation": {"size": [height, width], "counts": counts},
            })  # fmt: skip
    return results
