import json
from pathlib import Path

import pytest
import torch

from shapes import tiny_preset
from sparseinst.config.preprocess import NativeConfig
from sparseinst.modeling.model import build_model
from sparseinst.zoo.checkpoint import save_checkpoint


@pytest.fixture(scope="session")
def native(tmp_path_factory) -> Path:
    """A network at native scale, with fresh weights, trained on objects of 20 pixels as far as it knows."""
    config = tiny_preset().model.model_copy(update={"preprocess": NativeConfig(diameter_px=20)})
    path = tmp_path_factory.mktemp("native") / "native.safetensors"
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        save_checkpoint(path, build_model(config))
    return path


def test_images_and_videos_are_predicted_at_the_scale_asked_for(cli, tiny_data, native, tmp_path) -> None:
    def found(*options: object) -> str:
        common = ("predict", tiny_data / "val", "--model", native, "--score", 0, "--save-json", "--out", tmp_path)
        result = cli(*common, *options)
        assert result.exit_code == 0, result.stderr
        (written,) = (*tmp_path.glob("*.json"), *tmp_path.glob("*.jsonl"))
        text = written.read_text()
        written.unlink()
        return text

    assert found("--scale", 0.5) == found("--diameter", 40) != found() == found("--scale", 1)
    video = ("--track", "--no-draw")
    assert found(*video, "--scale", 0.5) == found(*video, "--diameter", 40) != found(*video)


def test_a_network_is_measured_at_the_scale_asked_for(cli, tiny_data, native, tmp_path) -> None:
    def saved(*options: object) -> list[dict]:
        truth = ("--images", tiny_data / "val", "--annotations", tiny_data / "val.json")
        assert cli("evaluate", "--model", native, *truth, "--save", tmp_path / "a.json", *options).exit_code == 0
        return json.loads((tmp_path / "a.json").read_text())

    assert saved("--scale", 0.5) == saved("--diameter", 40) != saved()


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--scale", 2, "--diameter", 9), "leave one out"), (("--scale", -1), "above 0"), (("--diameter", 0), "above 0")],
)
def test_scales_that_cannot_be(cli, tiny_data, native, tmp_path, options, said) -> None:
    for command in (
        ("predict", tiny_data / "val", "--out", tmp_path / "out"),
        ("evaluate", "--images", tiny_data / "val", "--annotations", tiny_data / "val.json"),
    ):
        result = cli(*command, "--model", native, *options)
        assert result.exit_code == 2 and said in result.stderr and "Traceback" not in result.stderr


def test_a_network_that_resizes_by_the_short_side_has_no_scale(cli, tiny_data, checkpoint, tmp_path) -> None:
    result = cli("predict", tiny_data / "val", "--model", checkpoint, "--out", tmp_path / "out", "--scale", 2)
    assert result.exit_code == 2 and "64 px on the short side: leave scale out" in result.stderr
