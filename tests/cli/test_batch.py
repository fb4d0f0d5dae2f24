import json
import re
from pathlib import Path

import cv2
import pyarrow.dataset as ds
import pytest


@pytest.fixture
def done(cli, tiny_data: Path, checkpoint: Path, tmp_path: Path) -> Path:
    """The result of a job on the validation images."""
    result = cli(
        "batch", tiny_data / "val", "--out", tmp_path / "out", "--model", checkpoint, "--score", 0, "--processes", 0
    )
    assert result.exit_code == 0, result.stderr
    assert re.search(r"2 images, \d+ instances, [\d.]+ images/s; rows in", result.stdout)
    return tmp_path / "out"


def test_a_result_scores_as_the_network_does(cli, done, tiny_data, checkpoint, tmp_path) -> None:
    by_network, by_result = tmp_path / "network.json", tmp_path / "result.json"
    annotations = ("--annotations", tiny_data / "val.json")
    cli("evaluate", "--model", checkpoint, "--images", tiny_data / "val", *annotations, "--json", by_network)
    result = cli("evaluate", "--predictions", done, *annotations, "--json", by_result, "--save", tmp_path / "all.json")
    assert result.exit_code == 0, result.stderr
    wanted, found = json.loads(by_network.read_text()), json.loads(by_result.read_text())
    differ = {name for name in wanted if wanted[name] != found[name]}
    assert differ <= {"twins", "pieces", "counts"}, "only what is measured from a score on"
    assert found["detections"] == len(json.loads((tmp_path / "all.json").read_text())) > 0
    assert "above its score" not in result.stdout


def test_what_does_not_fit_a_result_is_said(cli, done, tiny_data, checkpoint, tmp_path) -> None:
    other = cli("evaluate", "--predictions", done, "--annotations", tiny_data / "train.json")
    assert other.exit_code == 2 and "are missing" in other.stderr
    neither = cli("evaluate", "--annotations", tiny_data / "val.json")
    assert neither.exit_code == 2 and "--predictions" in neither.stderr
    both = cli("evaluate", "--predictions", done, "--model", checkpoint, "--annotations", tiny_data / "val.json")
    assert both.exit_code == 2 and "give these two alone" in both.stderr
    gone = cli("evaluate", "--predictions", tmp_path, "--annotations", tiny_data / "val.json")
    assert gone.exit_code == 2 and "job.json" in gone.stderr


def test_a_report_counts_and_shows(cli, done) -> None:
    result = cli("batch", "report", done, "--sheet", 2)
    assert result.exit_code == 0, result.stderr
    report = json.loads((done / "report.json").read_text())
    rows = ds.dataset(done / "rows").to_table().to_pylist()
    assert report["images"] == 2 and report["failed"] == 0
    assert report["instances"] == sum(len(row["instances"]) for row in rows)
    for item in report["classes"]:
        of_class = [found for row in rows for found in row["instances"] if found["class"] == item["name"]]
        assert item["instances"] == len(of_class) == sum(item["scores"])
        assert item["median_area"] == sorted(found["area"] for found in of_class)[(len(of_class) - 1) // 2]
    sheet = cv2.imread(str(done / "sheet.jpg"))
    assert sheet.shape == (344, 640, 3) and sheet.std() > 20


def test_failures_are_rows_and_an_exit_code(cli, tiny_data, checkpoint, tmp_path) -> None:
    (tmp_path / "list.txt").write_text(f"{tiny_data}/val/0.png\ngone/1.png\ngone/2.png\n")
    command = ("batch", tmp_path / "list.txt", "--out", tmp_path / "out", "--model", checkpoint, "--processes", 0)
    result = cli(*command)
    assert result.exit_code == 1 and "2 images failed: sparseinst batch report" in result.stderr
    report = cli("batch", "report", tmp_path / "out")
    assert "there is no such file: ..." in report.stdout and "gone/1.png" in report.stdout
    again = cli(*command)
    assert again.exit_code == 1 and "3 of them by earlier calls" in again.stdout


def test_a_dry_run_does_nothing(cli, tiny_data, checkpoint, tmp_path) -> None:
    command = ("batch", "--out", tmp_path / "out", tiny_data / "train", "--model", checkpoint, "--limit", 5)
    result = cli(*command, "--rows", 2, "--shard", "1/2", "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert "6 image files" in result.stdout and "2 images in 1 piece of this part" in result.stdout
    assert not (tmp_path / "out").exists()
    for shard in ("1", "2/2", "a/b"):
        assert cli(*command, "--shard", shard).exit_code == 2


def test_random_weights_are_kept_for_later_calls(cli, tiny_data, preset, tmp_path) -> None:
    command = ("batch", tiny_data / "val", "--out", tmp_path / "out", "--model", preset, "--random-weights")
    for shard in ("0/2", "1/2"):
        result = cli(*command, "--processes", 0, "--rows", 1, "--shard", shard)
        assert result.exit_code == 0, result.stderr
    assert len(list((tmp_path / "out/rows").iterdir())) == 2
