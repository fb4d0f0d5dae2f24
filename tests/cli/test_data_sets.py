"""`sparseinst data` on small data sets, as a user types it."""

import json
from pathlib import Path

import numpy as np
import pytest

from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data


@pytest.mark.parametrize("form", ["coco", "yolo", "labelme", "labels"])
def test_every_format_is_trained_on_and_measured(cli, tiny_data: Path, preset: Path, tmp_path: Path, form: str) -> None:
    made = cli("data", "convert", tiny_data, tmp_path / "set", "--to", form)
    assert made.exit_code == 0 and "train: 6 images, 12 objects" in made.stdout
    trained = cli(
        "train", "--data", tmp_path / "set", "--model", preset, "--out", tmp_path / "run", "--init", "random",
        "--device", "cpu",
    )  # fmt: skip
    assert trained.exit_code == 0 and "found train: " in trained.stdout
    advised = [line.split() for line in trained.stdout.splitlines() if line.startswith("measure it: ")]
    assert len(advised) == 1 and (form == "coco" or advised[0][-2:] == ["--data", str(tmp_path / "set")])
    weights = tmp_path / "run" / "best.safetensors"
    measured = cli(
        "evaluate", "--model", weights, "--data", tmp_path / "set", "--report", tmp_path / "report", "--workers", 0
    )
    assert measured.exit_code == 0 and "2 images, 4 instances" in measured.stdout
    assert len(json.loads((tmp_path / "report" / "report.json").read_text())["about"]["annotations_sha256"]) == 64


def test_convert_says_what_is_wrong(cli, tiny_data: Path, tmp_path: Path) -> None:
    assert "expected one of coco, yolo" in cli("data", "convert", tiny_data, tmp_path / "x", "--to", "voc").stderr
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    assert "not there yet" in cli("data", "convert", tiny_data, tmp_path / "there").stderr
    assert "label images" in cli("data", "convert", tmp_path / "there", tmp_path / "y").stderr


def test_evaluate_takes_one_of_both(cli, tiny_data: Path, checkpoint: Path) -> None:
    assert "got neither" in cli("evaluate", "--model", checkpoint).stderr
    both = cli("evaluate", "--model", checkpoint, "--data", tiny_data, "--images", tiny_data)
    assert both.exit_code == 2 and "got both" in both.stderr
    assert "train, val" in cli("evaluate", "--model", checkpoint, "--data", tiny_data, "--split", "test").stderr


def test_check_fix_and_page(cli, tiny_data: Path, preset: Path, tmp_path: Path) -> None:
    content = json.loads((tiny_data / "train.json").read_text())
    content["annotations"].append({**content["annotations"][0], "id": 900, "image_id": 5000})
    content["annotations"].append({**content["annotations"][0], "id": 901})
    (tmp_path / "bad.json").write_text(json.dumps(content))
    (tmp_path / "data.yaml").write_text(f"train: {{images: {tiny_data / 'train'}, annotations: bad.json}}\n")
    page = tmp_path / "check.html"
    result = cli("data", "check", tmp_path, "--model", preset, "--page", page, "--fix", tmp_path / "fixed")
    assert result.exit_code == 1
    assert "annotation of no image or category" in result.stdout and "object annotated twice" in result.stdout
    text = page.read_text()
    assert "data:image/jpeg;base64," in text and "http" not in text.replace("http-equiv", "")
    again = cli("data", "check", tmp_path / "fixed", "--model", preset)
    assert again.exit_code == 0 and "6 images and 12 objects can be used" in again.stdout


def test_show_stats_and_split(cli, tiny_data: Path, tmp_path: Path) -> None:
    shown = cli("data", "show", tiny_data, "--out", tmp_path / "sheet.html", "--count", 2)
    assert shown.exit_code == 0 and (tmp_path / "sheet.html").read_text().count("<figure>") == 4
    wrong = cli("data", "show", tiny_data, "--out", tmp_path / "sheet.png")
    assert wrong.exit_code and "ends in .html" in wrong.stderr and not (tmp_path / "sheet.png").exists()
    told = cli("data", "stats", tiny_data, "--json", tmp_path / "stats.json")
    assert told.exit_code == 0 and "train: 6 images, 12 objects" in told.stdout
    assert json.loads((tmp_path / "stats.json").read_text())["val"]["per_class"] == {"box": 2, "disk": 2}
    divided = cli("data", "split", tiny_data, tmp_path / "parts", "--val", 0.25, "--test", 0.25)
    assert divided.exit_code == 0
    found = resolve_data(tmp_path / "parts")
    assert [len(CocoDataset.of(split)) for split in found.splits.values()] == [4, 2, 2]


def test_errors_and_annotate(cli, tiny_data: Path, checkpoint: Path, tmp_path: Path) -> None:
    result = cli("data", "errors", tiny_data, "--model", checkpoint, "--out", tmp_path / "errors", "--workers", 0)
    assert result.exit_code == 0 and "12 annotations" in result.stdout
    assert isinstance(json.loads((tmp_path / "errors" / "errors.json").read_text()), list)
    assert "Disputed annotations" in (tmp_path / "errors" / "errors.html").read_text()

    images = tiny_data / "val"
    coco = tmp_path / "coco.json"
    assert cli("data", "annotate", images, "--model", checkpoint, "--score", 0, "--out", coco).exit_code == 0
    proposed = CocoDataset.load(images, coco)
    assert len(proposed) == 2 and proposed.instances > 0
    for form in ("yolo", "labelme"):
        out = tmp_path / form
        made = cli("data", "annotate", images, "--model", checkpoint, "--score", 0, "--out", out, "--to", form)
        assert made.exit_code == 0
        again = CocoDataset.of(resolve_data(out).train)
        # what was proposed is what is read, to the pixel where there is nothing to simplify
        assert again.instances == proposed.instances
        for index in range(2):
            one, other = proposed.masks(index), again.masks(index)
            common = (one & other).sum((1, 2)) / np.maximum((one | other).sum((1, 2)), 1)
            assert common.min() >= 0.98
    taken = cli("data", "annotate", images, "--model", checkpoint, "--score", 0, "--out", tmp_path / "labelme")
    assert taken.exit_code == 2 and "would be overwritten" in taken.stderr
    assert "expected one of" in cli("data", "annotate", images, "--model", checkpoint, "--out", "x", "--to", "y").stderr
