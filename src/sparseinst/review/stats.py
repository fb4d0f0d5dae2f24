"""Figures of a data set."""

from typing import Any

import numpy as np

from sparseinst.data.coco import CocoDataset
from sparseinst.data.sizes import measure_sizes


def class_counts(dataset: CocoDataset) -> list[tuple[str, int]]:
    """Objects of each class, most first."""
    counts = np.bincount(dataset.class_of[dataset.records.labels], minlength=len(dataset.classes)).tolist()
    return sorted(zip(dataset.classes, counts, strict=True), key=lambda item: (-item[1], item[0]))


def statistics(dataset: CocoDataset) -> dict[str, Any]:
    """Images, objects, sizes and classes as JSON values; sizes are null where there is no object."""
    sizes = measure_sizes(dataset)
    in_image = np.bincount(sizes.image_of, minlength=len(dataset))
    heights, widths = sizes.images_hw[:, 0], sizes.images_hw[:, 1]
    diameters = None
    if dataset.instances:
        low, median, high = np.percentile(sizes.diameters_px, (5, 50, 95)).round(2).tolist()
        diameters = {"p5": low, "median": median, "p95": high}
    return {
        "images": len(dataset),
        "objects": dataset.instances,
        "classes": len(dataset.classes),
        "images_without_objects": int((in_image == 0).sum()),
        "objects_in_an_image": {"median": float(np.median(in_image)), "most": int(in_image.max())},
        "diameter_px": diameters,
        "image_hw": {
            "smallest": [int(heights.min()), int(widths.min())],
            "largest": [int(heights.max()), int(widths.max())],
        },
        "per_class": dict(class_counts(dataset)),
    }
