"""How exactly data sets come back from every format: each object's mask against itself after writing and reading.

    python benchmarks/data_round_trips.py ../shared/data/dsb2018 ../shared/data/carparts ../shared/data/coco_mini

Validation images. An object is looked for among those of its class in its image; IoU 0 is one that is gone.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from record import write_result
from scipy.optimize import linear_sum_assignment

from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.formats.source import DataSource
from sparseinst.data.formats.writing import TARGETS, convert_data
from sparseinst.masks import rle

SMALL_PX = 32**2
"""COCO's small objects: an area below it."""


def round_trip(source: DataSource, target: str, folder: Path) -> dict[str, object]:
    """What became of the objects of a data set."""
    told = convert_data(source, folder, target)
    before = CocoDataset.of(source.val)
    after = CocoDataset.of(resolve_data(folder).val)
    names = {after.path(i).name: i for i in range(len(after))}
    ious, areas = [], []
    for index in range(len(before)):
        size = before.size_hw(index)
        ious.append(_ious(before, index, after, names[before.path(index).name], size))
        areas.append(rle.areas(before.rles(index), size))
    iou, area = np.concatenate(ious), np.concatenate(areas)
    size_mb = sum(f.stat().st_size for f in folder.rglob("*") if f.suffix in (".txt", ".json", ".csv", ".yaml")) / 1e6
    return {
        "objects": len(iou),
        "read_again": int(after.instances),
        "exact": int((iou == 1).sum()),
        "least_iou": round(float(iou.min()), 4),
        "least_iou_small": round(float(iou[area < SMALL_PX].min()), 4),
        "below_0.99": int((iou < 0.99).sum()),
        "text_mb": round(size_mb, 2),
        "told": [line for line in told if not line.endswith("objects")],
    }


def _ious(before: CocoDataset, one: int, after: CocoDataset, other: int, size: tuple[int, int]) -> np.ndarray:
    sides = [
        [{"size": list(size), "counts": counts} for counts in dataset.rles(index)]
        for dataset, index in ((before, one), (after, other))
    ]
    classes = [
        np.array([dataset.classes[label] for label in dataset.labels(index)], dtype=object)
        for dataset, index in ((before, one), (after, other))
    ]
    if not sides[0] or not sides[1]:
        return np.zeros(len(sides[0]))
    table = np.array(coco_mask.iou(*sides, [0] * len(sides[1])))
    table = np.where(classes[0][:, None] == classes[1], table, 0)
    found = np.zeros(len(sides[0]))
    rows, columns = linear_sum_assignment(-table)
    found[rows] = table[rows, columns]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    figures = {}
    for data in parser.parse_args().data:
        source = DataSource(name=data.name, val=resolve_data(data).val)
        for target in TARGETS:
            with tempfile.TemporaryDirectory() as folder:
                figures[f"{data.name} {target}"] = round_trip(source, target, Path(folder) / "set")
            print(data.name, target, figures[f"{data.name} {target}"])
    write_result("data_round_trips", figures)


if __name__ == "__main__":
    main()
