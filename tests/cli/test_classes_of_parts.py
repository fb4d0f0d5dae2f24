"""A data set whose format has no list of classes has those of all its parts, in one order, for every command."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.zoo.names import load_preset

CLASSES = ("axle", "bolt", "cog")
NAMES = {"train": {"disk": "bolt", "box": "cog"}, "val": {"disk": "bolt", "box": "axle"}}
"""Training images have no axle and validation images no cog."""


@pytest.fixture(scope="module")
def originals(tiny_data: Path) -> dict[str, list[str]]:
    """Class names as the shapes have them."""
    return {part: list(CocoDataset.of(split).classes) for part, split in resolve_data(tiny_data).splits.items()}


@pytest.fixture(params=["labelme", "labels"])
def parted(cli, tiny_data: Path, originals, tmp_path: Path, request) -> Path:
    """LabelMe files, or label images with tables that list no classes."""
    out = tmp_path / "parted"
    assert cli("data", "convert", tiny_data, out, "--to", request.param).exit_code == 0
    for part, names in NAMES.items():
        renamed = dict(zip(sorted(originals[part]), (names["box"], names["disk"]), strict=True))
        for file in (out / part).glob("*.json"):
            content = json.loads(file.read_text())
            for shape in content["shapes"]:
                shape["label"] = renamed[shape["label"]]
            file.write_text(json.dumps(content))
        table = out / part / "labels.csv"
        if table.is_file():
            rows = [row for row in csv.DictReader(table.read_text().splitlines()) if row["file"]]
            lines = [f"{row['file']},{row['number']},{renamed[row['class']]}" for row in rows]
            table.write_text("\n".join(["file,number,class", *lines]))
    return out


def objects(folder: Path, part: str) -> list[tuple[str, int, str]]:
    """The image, the label and the class of each object of a part."""
    dataset = CocoDataset.of(resolve_data(folder).part(part))
    return sorted(
        (Path(dataset.name(i)).stem, label, dataset.classes[label])
        for i in range(len(dataset))
        for label in dataset.labels(i).tolist()
    )


def test_parts_have_the_classes_of_all(parted: Path) -> None:
    for part, names in NAMES.items():
        dataset = CocoDataset.of(resolve_data(parted).part(part))
        assert (dataset.classes, dataset.category_ids) == (CLASSES, (1, 2, 3))
        assert {name for _, _, name in objects(parted, part)} == set(names.values())


def test_a_training_and_an_evaluation_know_them(cli, parted: Path, preset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    begun = cli(
        "train", "--data", parted, "--model", preset, "--init", "random", "--out", run, "--workers", 0,
        "--device", "cpu",
    )  # fmt: skip
    assert begun.exit_code == 0, begun.stderr
    assert "no training image has an object of: axle" in " ".join((begun.stdout + begun.stderr).split())
    assert load_preset(run / "config.yaml").model.classes == CLASSES
    for part in NAMES:
        scored = cli(
            "evaluate", "--model", run / "best.safetensors", "--data", parted, "--split", part, "--device", "cpu",
            "--json", tmp_path / f"{part}.json",
        )  # fmt: skip
        assert scored.exit_code == 0, scored.stderr
        counts = {
            row["name"]: row["instances"] for row in json.loads((tmp_path / f"{part}.json").read_text())["per_class"]
        }
        images = len(CocoDataset.of(resolve_data(parted).part(part)))
        assert counts == {name: images * (name in NAMES[part].values()) for name in CLASSES}


@pytest.mark.parametrize("target", ["coco", "yolo", "labelme", "labels"])
def test_every_format_is_written_with_them(cli, parted: Path, tmp_path: Path, target: str) -> None:
    written = cli("data", "convert", parted, tmp_path / "out", "--to", target)
    assert written.exit_code == 0, written.stderr
    for part in NAMES:
        assert objects(tmp_path / "out", part) == objects(parted, part)
    if target == "yolo":
        assert list(yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())["names"].values()) == list(CLASSES)


def test_parts_of_coco_in_different_orders_are_written_in_one(cli, parted: Path, tmp_path: Path) -> None:
    cli("data", "convert", parted, tmp_path / "coco", "--to", "coco")
    file = tmp_path / "coco" / "val.json"
    content = json.loads(file.read_text())
    content["categories"].reverse()
    file.write_text(json.dumps(content))
    assert cli("data", "convert", tmp_path / "coco", tmp_path / "yolo", "--to", "yolo").exit_code == 0
    for part in NAMES:
        assert objects(tmp_path / "yolo", part) == objects(parted, part)


def test_a_check_says_which_classes_a_part_lacks(cli, parted: Path) -> None:
    told = cli("data", "check", parted)
    assert told.stdout.count("unused category") == 2, told.stdout
