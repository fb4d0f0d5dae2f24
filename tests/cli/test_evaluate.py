import json
from pathlib import Path

import pytest


@pytest.fixture
def val(tiny_data: Path) -> tuple[str, ...]:
    return ("--images", str(tiny_data / "val"), "--annotations", str(tiny_data / "val.json"))


def test_figures_are_printed_and_saved(cli, val, checkpoint, tmp_path) -> None:
    saved, figures = tmp_path / "deep/results.json", tmp_path / "metrics.json"
    result = cli("evaluate", "--model", checkpoint, *val, "--save", saved, "--json", figures, "--workers", 0)
    assert result.exit_code == 0, result.stderr
    content = json.loads(figures.read_text())
    detections = json.loads(saved.read_text())
    assert isinstance(detections, list) and len(detections) == content["detections"] > 0
    assert f"2 images, 4 instances, {content['detections']} detections" in result.stdout
    rows = dict(line.strip("│ ").split("│", 1) for line in result.stdout.splitlines() if line.startswith("│"))
    assert float({name.strip(): value for name, value in rows.items()}["AP50"]) == pytest.approx(
        content["ap50"], abs=1e-4
    )
    assert {"disk", "box"} <= {name.strip() for name in rows}, "AP by class"
    assert "more than" not in result.stdout
    assert ("have a twin" in result.stdout) == (content["twins"] is not None)
    assert str(saved) in result.stdout and str(figures) in result.stdout


def test_a_report_is_written_and_named(cli, val, checkpoint, tmp_path) -> None:
    result = cli("evaluate", "--model", checkpoint, *val, "--report", tmp_path / "report", "--workers", 0)
    assert result.exit_code == 0, result.stderr
    assert f"report: {tmp_path / 'report/index.html'}" in result.stdout
    assert f"<h1>{checkpoint} on val.json</h1>" in (tmp_path / "report/index.html").read_text()
    assert json.loads((tmp_path / "report/report.json").read_text())["about"]["backend"].startswith("Torch, cpu")
    (tmp_path / "report/mine").touch()
    again = cli("evaluate", "--model", checkpoint, *val, "--report", tmp_path / "report")
    assert again.exit_code == 2 and again.stderr.startswith("error: report ")


def test_crowded_images_get_a_second_figure(cli, tiny_data, checkpoint, tmp_path) -> None:
    content = json.loads((tiny_data / "val.json").read_text())
    for annotation in content["annotations"]:
        annotation["category_id"] = 1  # the cap is one of each class
    (tmp_path / "crowded.json").write_text(json.dumps(content))
    val = ("--images", tiny_data / "val", "--annotations", tmp_path / "crowded.json")
    result = cli("evaluate", "--model", checkpoint, *val, "--max-dets", 1)
    assert result.exit_code == 0, result.stderr
    assert "at 1 detections" in result.stdout and "at 100 detections" in result.stdout
    assert "up to 2 instances of a class, more than the 1" in result.stdout
    assert "more than" not in cli("evaluate", "--model", checkpoint, *val, "--max-dets", 2).stdout


def test_as_much_is_told_as_is_asked_for(cli, val, tiny_data, checkpoint) -> None:
    common = ("evaluate", "--model", checkpoint, *val)
    assert [f"{tiny_data}/val/{name}.png: " in cli(*common, "--verbose").stdout for name in "01"] == [True, True]
    quiet = cli(*common, "--quiet")
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (0, "", "")


def test_options_reach_the_function(cli, val, checkpoint, monkeypatch) -> None:
    given = {}

    def capture(*_: object, **options: object):
        given.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr("sparseinst.evaluation.evaluator.evaluate", capture)
    cli("evaluate", "--model", checkpoint, *val, "--batch", 3, "--half", "--workers", 4, "--max-dets", 300)
    assert (given["batch"], given["half"], given["workers"], given["max_dets"]) == (3, True, 4, 300)
    assert given["device"] == "auto"


def test_wrong_input_names_itself(cli, val, tiny_data, checkpoint, tmp_path) -> None:
    (tmp_path / "file").touch()
    for changes, named in (
        (["--annotations", tmp_path / "gone.json"], "gone.json"),
        (["--images", tmp_path], str(tmp_path)),
        (["--save", tmp_path], "--save"),
        (["--json", tmp_path / "file/metrics.json"], "--json"),
        (["--model", tmp_path / "gone.safetensors"], "gone.safetensors"),
    ):
        result = cli("evaluate", "--model", checkpoint, *val, *changes)
        assert result.exit_code == 2, named
        assert result.stderr.startswith("error: ") and named in result.stderr
        assert result.stdout == ""


def test_classes_that_the_model_lacks_are_listed(cli, tiny_data, checkpoint, tmp_path) -> None:
    content = json.loads((tiny_data / "val.json").read_text())
    content["categories"][1]["name"] = "kite"
    (tmp_path / "kites.json").write_text(json.dumps(content))
    result = cli(
        "evaluate", "--model", checkpoint, "--images", tiny_data / "val", "--annotations", tmp_path / "kites.json"
    )
    assert result.exit_code == 2
    assert "kites.json" in result.stderr and "kite" in result.stderr and "disk, box" in result.stderr


def test_annotations_left_out_show_in_the_exit_code(cli, tiny_data, checkpoint, tmp_path) -> None:
    content = json.loads((tiny_data / "val.json").read_text())
    content["annotations"][0]["segmentation"] = [[500, 2, 510, 2, 510, 9]]
    (tmp_path / "outside.json").write_text(json.dumps(content))
    val = ("--images", tiny_data / "val", "--annotations", tmp_path / "outside.json")
    result = cli("evaluate", "--model", checkpoint, *val)
    assert result.exit_code == 1
    assert "outside.json: 1 of 4 annotations left out" in result.stderr
    assert "correct or remove annotation" in result.stderr
    assert "2 images, 3 instances" in result.stdout
