"""`sparseinst predict` for people who count cells."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.conftest import Cli
from sparseinst.config.preprocess import NativeConfig
from sparseinst.modeling.model import build_model
from sparseinst.zoo.checkpoint import save_checkpoint
from stack_files import write_ome
from tiny import tiny_seeds, tiny_seeds_config

pytest.importorskip("roifile")


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    array = np.random.default_rng(0).integers(0, 4000, (2, 2, 64, 64), np.uint16)
    return write_ome(tmp_path / "a.ome.tif", array, "ZCYX", "DAPI", "GFP")


@pytest.fixture
def native(tmp_path: Path) -> Path:
    """Fresh weights at native scale, which state the size of what they were trained on."""
    path = tmp_path / "native.safetensors"
    network = NativeConfig(scale=1.0, diameter_px=100.0)
    config = tiny_seeds_config().model_copy(update={"preprocess": network})
    model = build_model(config).eval()
    model.load_state_dict(tiny_seeds().state_dict())
    save_checkpoint(path, model)
    return path


def test_a_stack_gives_tables_and_files_for_others(cli: Cli, checkpoint: Path, stack: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = cli(
        "predict", stack, "--model", checkpoint, "--score", 0, "--out", out, "--channel", "DAPI", "--measure",
        "--save-rois", "--save-geojson", "--save-outlines", "--stitch", "--pixel-size", "0.5",
    )  # fmt: skip
    assert result.exit_code == 0 and "measurements: " in result.stdout and "pixels alone" in result.stdout
    names = {path.name for path in out.iterdir()}
    assert {"measurements.csv", "volumes.csv", "a.ome_rois.zip", "a.ome.geojson", "a.ome_labels.ome.tif"} <= names
    assert {"a.ome_0_cp_outlines.txt", "a.ome_1_cp_outlines.txt", "a.ome_0_overlay.png"} <= names
    with (out / "measurements.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows and {"mean_DAPI", "ring_mean_GFP", "object", "area_um2"} <= set(rows[0])
    assert float(rows[0]["area_um2"]) == pytest.approx(float(rows[0]["area"]) / 4)


def test_without_a_channel_nothing_is_guessed(cli: Cli, checkpoint: Path, stack: Path, tmp_path: Path) -> None:
    result = cli("predict", stack, "--model", checkpoint, "--out", tmp_path / "out", "--measure")
    assert result.exit_code == 1 and "0 DAPI, 1 GFP" in result.stderr


def test_one_projection_an_image(cli: Cli, checkpoint: Path, stack: Path, tmp_path: Path) -> None:
    result = cli(
        "predict", stack, "--model", checkpoint, "--out", tmp_path / "out", "--channel", "1", "--project", "max"
    )
    assert result.exit_code == 0 and {path.name for path in (tmp_path / "out").iterdir()} == {"a.ome_overlay.png"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--project", "mean"], "expected max"),
        (["--project", "max", "--stitch"], "no planes to stitch"),
        (["--diameter", "large"], "pixels or auto"),
        (["--diameter", "auto"], "native scale"),
        (["--pixel-size", "0"], "above 0"),
        (["--regions", "absent.geojson"], "found nothing"),
        (["--measure", "--save", "film.mp4"], "expected images"),
    ],
)
def test_what_cannot_be_is_said(
    cli: Cli, checkpoint: Path, stack: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    result = cli("predict", stack, "--model", checkpoint, "--out", tmp_path / "out", *options)
    assert result.exit_code != 0 and said in " ".join(result.stderr.split())


def test_objects_of_another_size_are_told(cli: Cli, native: Path, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(tmp_path / "a.png")
    asked = ["predict", tmp_path / "a.png", "--model", native, "--score", 0, "--out", tmp_path / "out"]
    result = cli(*asked)
    assert result.exit_code == 0 and "far smaller than those" in result.stdout and "--diameter auto" in result.stdout
    estimated = cli(*asked, "--diameter", "auto")
    assert estimated.exit_code == 0 and "objects of about" in estimated.stdout
    assert "far smaller" not in estimated.stdout
