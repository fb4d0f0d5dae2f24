"""A small COCO data set on disk, of known masks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Document = dict[str, Any]


def document() -> Document:
    """Three images of 20 x 30 pixels: two overlapping squares and a triangle, nothing, and one square with a crowd."""
    square = [2, 3, 12, 3, 12, 13, 2, 13]
    shifted = [7, 8, 17, 8, 17, 18, 7, 18]
    triangle = [20.5, 2, 28, 2, 28, 12.5]
    stripe = {"size": [20, 30], "counts": [0, 40, 560]}
    rows = [(1, 5, [square]), (1, 9, [shifted, [20, 15, 25, 15, 25, 19]]), (1, 5, [triangle]), (4, 9, stripe)]
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "height": 20, "width": 30} for i in (1, 7, 4)],
        "categories": [{"id": 9, "name": "disc"}, {"id": 5, "name": "cell"}],
        "annotations": [
            {"id": 10 + i, "image_id": image, "category_id": category, "segmentation": mask, "iscrowd": 0}
            for i, (image, category, mask) in enumerate(rows)
        ]
        + [
            {
                "id": 99,
                "image_id": 4,
                "category_id": 5,
                "segmentation": {"size": [20, 30], "counts": [60, 40, 500]},
                "iscrowd": 1,
            }
        ],
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Writes a document and random images of the sizes it states; gives (image folder, annotation file)."""

    def write_files(content: Document | None = None, *, name: str = "train") -> tuple[Path, Path]:
        content = document() if content is None else content
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        random = np.random.default_rng(0)
        for image in content.get("images", []):
            pixels = random.integers(0, 256, (image["height"], image["width"], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / image["file_name"])
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return folder, path

    return write_files


@pytest.fixture
def content() -> Document:
    return document()
