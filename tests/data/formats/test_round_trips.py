"""Real data sets written in every format and read again: every object stays, with its mask."""

from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco_mask

from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.formats.source import DataSource
from sparseinst.data.formats.writing import TARGETS, convert_data

IMAGES = 12
SETS = ("dsb2018", "carparts", "coco_mini")


@pytest.fixture(scope="module", params=SETS)
def part(request, shared: Path, tmp_path_factory) -> DataSource:
    """The validation images of a real set; a few of them, so that tests stay short."""
    import json

    split = resolve_data(shared / "data" / request.param).val
    content = json.loads(split.annotations.read_bytes())
    content["images"] = content["images"][:IMAGES]
    keys = {item["id"] for item in content["images"]}
    content["annotations"] = [item for item in content["annotations"] if item["image_id"] in keys]
    root = tmp_path_factory.mktemp(request.param)
    (root / "val.json").write_text(json.dumps(content))
    return DataSource(name=request.param, val=split.model_copy(update={"annotations": root / "val.json"}))


def objects(dataset: CocoDataset) -> dict[str, list[tuple[str, bytes]]]:
    """Class and mask of each object, by the name of its image."""
    return {
        dataset.path(i).name: [
            (dataset.classes[label], counts) for label, counts in zip(dataset.labels(i), dataset.rles(i), strict=True)
        ]
        for i in range(len(dataset))
    }


def ious(one: list[tuple[str, bytes]], other: list[tuple[str, bytes]], size_hw: tuple[int, int]) -> np.ndarray:
    """Of each object with the one of its class that fits best, each taken once."""
    records = [[{"size": list(size_hw), "counts": counts} for _, counts in side] for side in (one, other)]
    table = np.array(coco_mask.iou(*records, [0] * len(other))).reshape(len(one), len(other))
    same = np.array([[a == b for b, _ in other] for a, _ in one]).reshape(table.shape)
    table = np.where(same, table, -1.0)
    best = []
    for row in np.argsort(-table.max(1, initial=0)):
        column = int(table[row].argmax())
        best.append(table[row, column])
        table[:, column] = -1
    return np.array(best)


@pytest.mark.parametrize("target", TARGETS)
def test_every_object_stays(part: DataSource, tmp_path: Path, target: str) -> None:
    before = CocoDataset.of(part.val)
    told = convert_data(part, tmp_path / "out", target)
    found = resolve_data(tmp_path / "out")
    after = CocoDataset.of(found.val)
    assert found.val.kind == target
    one, other = objects(before), objects(after)
    assert one.keys() == other.keys()
    if target == "labelme":  # knows the classes of its objects alone
        assert set(after.classes) <= set(before.classes)
    else:
        assert after.classes == before.classes
    vanished = covered = 0
    for index in range(len(before)):
        name, size = before.path(index).name, before.size_hw(index)
        if target == "labels":
            vanished += len(one[name]) - len(other[name])
        else:
            assert len(one[name]) == len(other[name]), name
        if other[name]:
            fits = ious(other[name], one[name], size)
            covered += int((fits < 0.99).sum())
            assert target == "labels" or fits.min() >= 0.99
    if target == "labels":
        # objects that overlap are the one thing that a label image cannot hold, and it is told
        assert bool(covered) == any("lose more than 1 %" in line for line in told)
        assert bool(vanished) == any("vanish" in line for line in told)
        assert part.name != "dsb2018" or not covered + vanished


def test_crowds_are_told(shared: Path, tmp_path: Path) -> None:
    split = resolve_data(shared / "data" / "coco_mini").val
    source = DataSource(name="mini", val=split)
    assert any("9 crowd regions" in line for line in convert_data(source, tmp_path / "yolo", "yolo"))
    convert_data(source, tmp_path / "coco", "coco")
    assert '"iscrowd": 1' in (tmp_path / "coco" / "val.json").read_text()
