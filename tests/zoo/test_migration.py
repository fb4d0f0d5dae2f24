"""What version 0.1 wrote is still read, and gives what it gave; see fixtures/v01/README.md."""

import json
import logging
import shutil
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from pycocotools import mask as oracle
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from shapes import write_split
from sparseinst import InputError, Predictor
from sparseinst.exporting.exporter import export_model
from sparseinst.runtime.backends import open_backend
from sparseinst.structures import Instances
from sparseinst.training.logs import read_table
from sparseinst.training.trainer import train
from sparseinst.zoo.checkpoint import save_checkpoint
from sparseinst.zoo.header import checkpoint_extra
from sparseinst.zoo.models import load_model, preset_of
from sparseinst.zoo.names import load_preset

FILES = Path(__file__).parents[1] / "fixtures" / "v01"
EXPECTED = json.loads((FILES / "expected.json").read_text())
LEFT_OUT = "{}: settings of version 0.1 that are gone, left out: {}"
USED = "loss.guidance, loss.guidance_warmup, loss.boundary, auxiliary.semantic"


@pytest.fixture(scope="module")
def pictures() -> list[NDArray[np.uint8]]:
    found = [cv2.imread(str(FILES / f"image_{i}.png")) for i in range(2)]
    return [cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) for picture in found]


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    with zipfile.ZipFile(FILES / "exported.zip") as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("shapes")
    write_split(root, "train", 6, first=0)
    write_split(root, "val", 2, first=100)
    return root


def assert_equal(found: list[Instances], name: str) -> None:
    assert len(found) == len(EXPECTED[name]) and sum(map(len, found)) > 4
    for best_first, theirs in zip(found, EXPECTED[name], strict=True):
        mine = best_first[np.argsort(best_first.slots)]  # as 0.1 gave them
        assert mine.labels.tolist() == theirs["labels"] and mine.slots.tolist() == theirs["slots"]
        np.testing.assert_allclose(mine.scores, theirs["scores"], rtol=0, atol=2e-6)  # processors round otherwise
        assert [counts.decode() for counts in mine.rles] == theirs["counts"]
        assert mine.size_hw == tuple(theirs["size_hw"])


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def rewritten(source: Path, out: Path, **metadata: str) -> Path:
    """A copy of a checkpoint in which some of the metadata are others."""
    with safe_open(source, framework="pt") as file:
        before = file.metadata()
    save_file(load_file(source), out, metadata={**before, **metadata})
    return out


@pytest.mark.parametrize("name", EXPECTED)
def test_a_checkpoint_gives_the_same_instances(name: str, pictures, caplog) -> None:
    assert_equal(Predictor(load_model(FILES / f"{name}.safetensors"))(pictures), name)
    assert warnings(caplog) == []  # no network ever read what is gone


def test_a_checkpoint_names_no_kind_and_is_written_again_as_one_of_today(tmp_path: Path, pictures) -> None:
    path = FILES / "tiny.safetensors"
    with safe_open(path, framework="pt") as file:
        before = file.metadata()
    settings = json.loads(before["config"])
    assert before["format"] == "sparseinst-1"
    assert "kind" not in settings["decoder"] and "kind" not in settings["preprocess"]
    again = tmp_path / "again.safetensors"
    save_checkpoint(again, load_model(path), extra=checkpoint_extra(path))  # with all that its recipe holds
    with safe_open(again, framework="pt") as file:
        assert file.metadata()["format"] == "sparseinst-2"
    assert_equal(Predictor(load_model(again))(pictures), "tiny")
    assert preset_of(again) == preset_of(path)


def test_a_recipe_is_read_without_what_is_gone_and_one_line_says_so(caplog) -> None:
    path = FILES / "tiny.safetensors"
    preset = preset_of(path)
    assert warnings(caplog) == [LEFT_OUT.format(path, USED)]
    assert preset.recipe.iterations == 800 and preset.recipe.optim.lr == 0.004
    assert preset.recipe == load_preset(FILES / "mine.yaml").recipe
    assert checkpoint_extra(path)["recipe"]["loss"]["guidance"] == 0.5  # how it was trained stays on record


def test_defaults_that_are_gone_are_left_out_in_silence(caplog) -> None:
    assert preset_of(FILES / "run" / "last.safetensors") == load_preset(FILES / "run" / "config.yaml")
    assert warnings(caplog) == []


@pytest.mark.parametrize(("name", "gone"), [("mine.yaml", USED), ("nuclei.yaml", "start")])
def test_a_users_preset_is_read_without_what_is_gone(name: str, gone: str, caplog) -> None:
    preset = load_preset(FILES / name)
    assert warnings(caplog) == [LEFT_OUT.format(FILES / name, gone)]
    assert load_model(FILES / name, random_weights=True).config == preset.model


def test_a_users_preset_of_shipped_weights_finds_what_they_find(pictures) -> None:
    mine = load_preset(FILES / "mine.yaml").model
    model = load_model(FILES / "mine.yaml", weights=FILES / "tiny.safetensors")
    assert (model.config.decoder, model.config.postprocess) == (mine.decoder, mine.postprocess)
    their_own = load_model(FILES / "tiny.safetensors").config
    model.config = model.config.model_copy(update={"postprocess": their_own.postprocess})
    assert_equal(Predictor(model)(pictures), "tiny")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"loss": {"guidance": 0.5, "guidence": 0.5}}, r"recipe\.loss\.guidence"),
        ({"auxiliary": {"semantics": 0.2}}, r"recipe\.auxiliary"),
        ({"start": "anchored", "begin": "anchored"}, r"recipe\.begin"),
        ({"guidance": 0.5}, r"recipe\.guidance"),
        ({"optim": {"start": "anchored"}}, r"recipe\.optim\.start"),
        ({"loss": 3}, r"recipe\.loss"),
    ],
)
def test_any_other_unknown_setting_stays_an_error(change: dict[str, Any], named: str, tmp_path: Path) -> None:
    preset = yaml.safe_load((FILES / "mine.yaml").read_text(encoding="utf-8"))
    preset["recipe"] |= change
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(preset), encoding="utf-8")
    with pytest.raises(InputError, match=rf"mine\.yaml: {named}"):
        load_preset(path)
    extra = json.dumps({"recipe": preset["recipe"]})
    checkpoint = rewritten(FILES / "tiny.safetensors", tmp_path / "mine.safetensors", extra=extra)
    with pytest.raises(InputError, match=named.removeprefix(r"recipe\.")):
        preset_of(checkpoint)


def test_a_format_of_the_future_is_refused(tmp_path: Path) -> None:
    path = rewritten(FILES / "tiny.safetensors", tmp_path / "new.safetensors", format="sparseinst-3")
    with pytest.raises(InputError, match=r"new\.safetensors: expected a sparseinst checkpoint.*'sparseinst-3'"):
        load_model(path)


@pytest.mark.parametrize("suffix", ["onnx", "xml", "pt2"])
def test_an_exported_file_gives_the_same_instances(suffix: str, exported: Path, pictures) -> None:
    predictor = Predictor(exported / f"tiny.{suffix}")
    for best_first, theirs in zip(predictor(pictures), EXPECTED["tiny"], strict=True):
        found = best_first[np.argsort(best_first.slots)]  # as 0.1 gave them
        assert found.labels.tolist() == theirs["labels"] and found.slots.tolist() == theirs["slots"]
        np.testing.assert_allclose(found.scores, theirs["scores"], rtol=0, atol=1e-3)
        masks, expected = (
            [{"size": theirs["size_hw"], "counts": counts} for counts in these]
            for these in (found.rles, theirs["counts"])
        )
        assert (np.diag(oracle.iou(masks, expected, [0] * len(masks))) >= 0.99).all()


def test_an_exported_file_of_today_says_so(tmp_path: Path, exported: Path) -> None:
    path = tmp_path / "again.pt2"
    export_model(FILES / "tiny.safetensors", path, export_format="torch")
    new, old = open_backend(path).exported, open_backend(exported / "tiny.pt2").exported
    assert new.to_metadata()["format"] == "sparseinst-export-2"
    assert new.config == old.config


def copied(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(FILES / name, folder / name))


def test_a_run_goes_on_where_it_stopped(shapes: Path, tmp_path: Path, caplog) -> None:
    out = copied("run", tmp_path)
    result = train(shapes, out / "config.yaml", out, init="random", device="cpu", resume=True)
    assert result.finished and result.iterations == 4
    found, expected = read_table(out / "metrics.csv"), read_table(FILES / "run-whole.csv")
    assert [row["iteration"] for row in found] == [1, 2, 3, 4]
    for row, whole in zip(found, expected, strict=True):
        for name in ("lr", "loss", "loss_ce", "loss_mask", "loss_dice", "loss_objectness"):
            assert row[name] == pytest.approx(whole[name], rel=1e-4), name
    assert warnings(caplog) == []


def test_a_run_of_gone_mechanisms_cannot_go_on_but_its_weights_can(shapes: Path, tmp_path: Path) -> None:
    out = copied("run-guided", tmp_path)
    with pytest.raises(
        InputError, match=r"state\.pt: .*version 0\.1.*gone: loss\.guidance=0\.5.*last\.safetensors.*another folder"
    ):
        train(shapes, out / "config.yaml", out, init="random", device="cpu", resume=True)
    last = copied("run", tmp_path) / "last.safetensors"
    for name, options in (("model", {}), ("init", {"init": last})):
        model = last if name == "model" else out / "config.yaml"
        result = train(shapes, model, tmp_path / name, iterations=1, device="cpu", **options)
        assert result.finished


def test_a_run_whose_settings_change_is_still_refused(shapes: Path, tmp_path: Path) -> None:
    out = copied("run", tmp_path)
    with pytest.raises(InputError, match=r"changed: optim\.lr: 0\.001 in the run, 0\.01 now\. "):
        train(shapes, out / "config.yaml", out, lr=0.01, init="random", device="cpu", resume=True)


def test_a_state_of_the_future_is_refused(shapes: Path, tmp_path: Path) -> None:
    out = copied("run", tmp_path)
    content = torch.load(out / "state.pt", weights_only=True)
    torch.save({**content, "format": "sparseinst-run-3"}, out / "state.pt")
    with pytest.raises(InputError, match=r"state\.pt: .*'sparseinst-run-3'.*another folder"):
        train(shapes, out / "config.yaml", out, init="random", device="cpu", resume=True)
