import json

import pytest

from sparseinst.exporting.formats import FORMATS


@pytest.fixture(scope="module")
def program(checkpoint, tmp_path_factory):
    """The tiny network as a .pt2, the format that is written fastest; and what the command said."""
    from typer.testing import CliRunner

    from sparseinst.cli.app import app

    out = tmp_path_factory.mktemp("export") / "deep" / "tiny.pt2"
    result = CliRunner().invoke(
        app, ["export", str(checkpoint), "--format", "torch", "--size", "64x64", "--out", str(out)]
    )
    assert result.exit_code == 0, result.stderr
    return out, result.stdout


def test_it_says_what_was_written_and_how_well_it_agrees(program) -> None:
    out, text = program
    assert [path.name for path in out.parent.iterdir()] == ["tiny.pt2"]
    assert "on 3 images" in text and "mean IoU of their masks" in text and "1.0000" in text
    assert f"sparseinst predict IMAGES --model {out}" in text


def test_predict_and_evaluate_take_the_file(cli, program, checkpoint, tiny_data, tmp_path) -> None:
    figures = {}
    for model in (program[0], checkpoint):
        result = cli("predict", tiny_data / "val", "--model", model, "--score", 0, "--save-json", "--out", tmp_path)
        assert result.exit_code == 0, result.stderr
        content = json.loads((tmp_path / "predictions.json").read_text())
        result = cli(
            "evaluate", "--model", model, "--images", tiny_data / "val", "--annotations", tiny_data / "val.json",
            "--json", tmp_path / "figures.json",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        figures[model] = (content, json.loads((tmp_path / "figures.json").read_text()))
    assert figures[program[0]] == figures[checkpoint]
    assert figures[checkpoint][0]["annotations"]


def test_the_number_of_instances_is_told_and_chosen(cli, seeds_checkpoint, tiny_data, tmp_path) -> None:
    out = tmp_path / "seeds.pt2"
    result = cli("export", seeds_checkpoint, "--format", "torch", "--out", out, "--max-instances", 3, "--size", "64x64")
    assert result.exit_code == 0, result.stderr
    assert "at most 3 instances in an image" in result.stdout
    val = ("--images", tiny_data / "val", "--annotations", tiny_data / "val.json")
    for number, code in ((2, 0), (4, 2)):
        found = cli("evaluate", "--model", out, *val, "--max-instances", number, "--save", tmp_path / "found.json")
        assert found.exit_code == code, found.stderr
    assert "export it with a larger max_instances" in found.stderr
    assert len(json.loads((tmp_path / "found.json").read_text())) <= 2 * 2
    shown = cli("predict", tiny_data / "val", "--model", out, "--score", 0, "--out", tmp_path / "out").stdout
    assert "all 3 places" in shown and "export the network again with a larger --max-instances" in shown


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--format", "onnx", "--out", "a.onnx", "--half", "--int8"], "leave one out"),
        (["--format", "tflite", "--out", "a.tflite"], "onnx, openvino, torch, tensorrt"),
        (["--format", "onnx", "--out", "a.onnx", "--size", "640"], "1080x1920"),
        (["--format", "torch", "--out", "."], "ends in .pt2 for format torch: rename it"),
    ],
)
def test_wrong_input_names_itself(cli, checkpoint, tmp_path, monkeypatch, arguments, named) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("export", checkpoint, *arguments)
    assert result.exit_code == 2
    assert named in result.stderr and result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_exported_file_brings_its_weights(cli, program, checkpoint, tiny_data) -> None:
    result = cli("predict", tiny_data / "val", "--model", program[0], "--weights", checkpoint)
    assert result.exit_code == 2 and "brings its own weights" in result.stderr


def test_help_names_every_format(cli) -> None:
    text = cli("export", "--help").stdout
    assert all(name in text for name in FORMATS)


def test_a_site_says_how_to_look_at_it(cli, checkpoint, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sparseinst.web.ort.provide", lambda folder: folder.mkdir())
    site = tmp_path / "site"
    result = cli("export", checkpoint, "--format", "web", "--size", "64x64", "--out", site)
    assert result.exit_code == 0, result.stderr
    assert f"python -m http.server --directory {site}" in result.stdout and (site / "index.html").is_file()
    assert "model.onnx" in {path.name for path in site.iterdir()}
    again = cli("export", checkpoint, "--format", "web", "--out", site)
    assert again.exit_code == 2 and "remove it or name another" in again.stderr
