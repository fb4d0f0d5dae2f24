import hashlib
import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from reference.seeded import shapes_of
from shapes import tiny_preset
from sparseinst.modeling.model import build_model
from sparseinst.zoo.checkpoint import read_checkpoint, save_checkpoint
from sparseinst.zoo.header import checkpoint_extra
from sparseinst.zoo.models import load_model
from sparseinst.zoo.names import shipped_weights


def facts(cli, *arguments: object) -> dict:
    result = cli("info", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def test_a_preset_is_described_without_weights(cli) -> None:
    found = facts(cli, "r50-giam")
    assert found["weights"] is None
    assert found["preset"] == "r50-giam"
    assert found["input"]["size_hw"] == [608, 864]
    assert found["shapes"]["features at stride 8"] == [512, 76, 108]
    assert found["shapes"]["masks"] == [100, 152, 216]
    assert found["published"]["ap_val"] == 33.4
    assert len(found["classes"]) == 80
    assert found["gflop"]["total"] == pytest.approx(sum(found["gflop"][p] for p in ("backbone", "encoder", "decoder")))
    assert found["recipe"]["iterations"] == 270_000
    text = cli("info", "r50-giam").stdout
    for part in ("608 x 864", "sparse_inst_r50_giam", "ap_val=33.4", "toothbrush", "mask_threshold=0.45", "optim.lr"):
        assert part in text


def test_how_many_instances_there_may_be(cli, seeds_checkpoint) -> None:
    assert facts(cli, "r50-giam")["max_instances"] == 100
    found = facts(cli, seeds_checkpoint, "--size", "512x1024")
    assert found["max_instances"] == 800 and found["shapes"]["masks"] == [800, 256, 512]
    text = cli("info", seeds_checkpoint, "--size", "512x1024").stdout
    assert "at most 800 in this frame: 400 instances for each 512 x 512 pixels of an image's frame" in text
    assert "at most 100 in this frame: 100 instances in an image" in cli("info", "r50-giam").stdout


def test_what_ships_is_described_as_it_is_in_its_file(cli) -> None:
    path = shipped_weights("nuclei")
    assert path is not None
    found = facts(cli, "nuclei")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["weights"] == {"file": str(path), "bytes": path.stat().st_size, "sha256": digest}
    assert found["thresholds"]["score"] == read_checkpoint(path)[0].postprocess.score
    assert found["input"] == {"size_hw": [736, 736], "origin": "an image of 512 x 512 at a scale of 1.4"}
    assert found["parameters"]["total"] == sum(p.numel() for p in load_model("nuclei").parameters())
    assert found["recipe"]["augment"]["quarter_turns"] is True
    assert found["provenance"]["iteration"] == checkpoint_extra(path)["iteration"] > 0
    text = cli("info", "nuclei").stdout
    assert f"SHA-256 {digest[:6]} ({digest})" in text
    assert "classes (1)" in text


def test_a_trained_file_brings_its_own_recipe_and_facts(cli, tmp_path: Path) -> None:
    preset = tiny_preset(iterations=7)
    path = tmp_path / "own.safetensors"
    extra = {"description": "my own", "recipe": preset.recipe.model_dump(mode="json"), "best_ap": 0.25}
    save_checkpoint(path, build_model(preset.model), extra=extra)
    found = facts(cli, path)
    assert found["description"] == "my own"
    assert found["recipe"]["iterations"] == found["recipe_changes"]["iterations"] == 7
    assert found["provenance"] == {"best_ap": 0.25}
    assert found["classes"] == list(preset.model.classes)
    assert "best_ap=0.25" in cli("info", path).stdout


def test_a_file_that_does_not_say_how_it_was_trained_is_not_guessed_at(cli, checkpoint: Path) -> None:
    assert facts(cli, checkpoint)["recipe"] is None
    assert "not recorded" in cli("info", checkpoint).stdout


def test_native_scale_is_counted_for_an_image_of_the_usual_size(cli, tmp_path: Path) -> None:
    values = tiny_preset().model_dump(mode="json")
    values["model"]["preprocess"] = {"kind": "native", "diameter_px": 23.456}
    path = tmp_path / "native.yaml"
    path.write_text(yaml.safe_dump(values))
    found = facts(cli, path)
    assert found["input"] == {"size_hw": [512, 512], "origin": "an image of 512 x 512 at its native size"}
    assert "median diameter 23.46 px" in cli("info", path).stdout
    assert facts(cli, path, "--size", "120x70")["input"]["size_hw"] == [128, 96]
    values["model"]["preprocess"] = {"kind": "native", "scale": 0.3}
    path.write_text(yaml.safe_dump(values))
    assert facts(cli, path)["input"] == {"size_hw": [160, 160], "origin": "an image of 512 x 512 at a scale of 0.3"}
    assert "no size stated" in cli("info", path).stdout


def test_a_preset_file_and_another_size(cli, preset: Path) -> None:
    own = facts(cli, preset)
    assert own["input"]["size_hw"] == [64, 64]
    assert own["preset"] is None
    assert own["recipe_changes"]["iterations"] == 2
    larger = facts(cli, preset, "--size", "120x70")
    assert larger["input"]["size_hw"] == [128, 96]
    assert larger["shapes"]["masks"][1:] == [2 * side for side in larger["shapes"]["activation"][1:]]
    assert larger["gflop"]["total"] > own["gflop"]["total"]
    assert larger["parameters"] == own["parameters"]


def test_epochs_decide_over_iterations(cli) -> None:
    changes = facts(cli, "n")["recipe_changes"]
    assert changes["epochs"] == 150
    assert "iterations" not in changes


def test_a_published_checkpoint_is_recognised(cli, tmp_path: Path) -> None:
    tensors = {name: torch.zeros(shape) for name, shape in shapes_of("cspdarknet53-giam").items()}
    path = tmp_path / "sparse_inst_cspdarknet53_giam_123456.pth"
    torch.save({"model": tensors}, path)
    found = facts(cli, path)
    assert found["preset"] == "cspdarknet53-giam"
    assert found["decoder"]["activation"] == "softmax"
    assert found["published"]["ap_val"] == 35.1
    assert found["weights"]["bytes"] == path.stat().st_size
    assert found["recipe"]["optim"]["lr"] == 5e-5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("r50-gaim",), "did you mean r50-giam"),
        (("absent.safetensors",), "absent.safetensors: expected a weights file or an exported network, found none"),
        (("nuclei.onnx",), "nuclei.onnx: expected a network or its weights, got an exported file"),
        (("r50", "--size", "640"), "expected height x width"),
        (("r50", "--size", "0x640"), "expected height x width"),
    ],
)
def test_mistakes_are_one_line(cli, arguments: tuple[str, ...], message: str) -> None:
    result = cli("info", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_file_whose_tensors_are_of_another_network_is_refused(cli, checkpoint: Path, tmp_path: Path) -> None:
    config, tensors = read_checkpoint(checkpoint)
    del tensors["decoder.objectness.bias"]
    path = tmp_path / "torn.safetensors"
    save_file(tensors, path, metadata={"format": "sparseinst-1", "config": config.model_dump_json(), "extra": "{}"})
    result = cli("info", path)
    assert result.exit_code == 2
    assert "missing decoder.objectness.bias" in result.stderr


def test_json_is_yaml_too_and_nothing_else(cli) -> None:
    assert yaml.safe_load(cli("info", "s", "--json").stdout)["model"] == "s"
