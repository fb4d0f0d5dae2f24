import json

import cv2
import numpy as np
import pytest

from real import LAYER_OF_CELLS
from sparseinst import load_model
from sparseinst.zoo.checkpoint import save_checkpoint


@pytest.fixture
def val(tiny_data) -> tuple[str, ...]:
    return ("--images", str(tiny_data / "val"), "--annotations", str(tiny_data / "val.json"))


@pytest.mark.parametrize(
    ("options", "named"),
    [(("--tile", 1), "tile"), (("--tile", 64, "--overlap", 40), "1..32"), (("--overlap", 8), "give tile")],
)
def test_tiles_out_of_range(cli, tiny_data, val, checkpoint, tmp_path, options, named) -> None:
    for command in (
        ("predict", tiny_data / "val", "--out", tmp_path / "out", "--model", checkpoint),
        ("evaluate", *val, "--model", checkpoint),
    ):
        result = cli(*command, *options)
        assert result.exit_code == 2 and named in result.stderr and result.stdout == ""
    assert not (tmp_path / "out").exists()


def test_activation_maps_of_tiles(cli, tiny_data, checkpoint, tmp_path) -> None:
    result = cli("predict", tiny_data / "val", "--out", tmp_path / "out", "--model", checkpoint, "--tile", 32, "--iam")
    assert result.exit_code == 0
    assert {path.name for path in (tmp_path / "out").glob("*_iam.png")} == {
        f"{path.stem}_iam.png" for path in (tiny_data / "val").iterdir()
    }


def test_tiles_are_predicted_and_measured(cli, tiny_data, val, checkpoint, tmp_path) -> None:
    common = ("--model", checkpoint, "--tile", 32, "--overlap", 8)
    saved = ("--score", 0, "--save-json", "--out", tmp_path / "out")
    assert cli("predict", tiny_data / "val", *common, *saved).exit_code == 0
    predicted = json.loads((tmp_path / "out/predictions.json").read_text())["annotations"]
    assert cli("evaluate", *val, *common, "--save", tmp_path / "found.json").exit_code == 0
    measured = json.loads((tmp_path / "found.json").read_text())
    assert cli("evaluate", *val, "--model", checkpoint, "--save", tmp_path / "whole.json").exit_code == 0
    assert measured != json.loads((tmp_path / "whole.json").read_text())
    assert [item["segmentation"] for item in predicted] == [item["segmentation"] for item in measured]


def test_what_a_fixed_frame_cannot_hold_is_cut_by_itself(cli, tmp_path) -> None:
    model, framed = load_model("nuclei"), tmp_path / "framed.safetensors"
    preprocess = model.config.preprocess.model_copy(update={"frame_hw": (512, 512)})
    model.config = model.config.model_copy(update={"preprocess": preprocess})
    save_checkpoint(framed, model)
    common = ("predict", "--model", framed, "--backend", "torch", "--out", tmp_path, LAYER_OF_CELLS)
    assert f"{LAYER_OF_CELLS.name} in 6 tiles: " in cli(*common).stdout
    assert "tiles" not in cli(*common, "--no-tile").stdout
    both = cli(*common, "--no-tile", "--tile", 200)
    assert both.exit_code == 2 and "--tile 200 or --no-tile, got both" in both.stderr


def test_images_that_were_shrunk_get_advice(cli, tmp_path, checkpoint) -> None:
    cv2.imwrite(str(tmp_path / "large.png"), np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8))
    common = ("predict", tmp_path / "large.png", "--model", checkpoint, "--out", tmp_path / "out")
    told = cli(*common).stdout
    assert "1 large image shrunk up to 6.2 times" in told and "less than 62 px" in told and "--tile 42" in told
    assert "--tile" not in cli(*common, "--tile", 100).stdout
    assert "--tile" not in cli(*common, "--no-tile").stdout
