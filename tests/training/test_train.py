import io
import json
import shutil

import cv2
import pytest
import torch
from rich.console import Console

from shapes import tiny_preset
from sparseinst.errors import InputError
from sparseinst.modeling.slots.criterion import Criterion
from sparseinst.training.engine import NonFiniteLoss
from sparseinst.training.logs import read_table
from sparseinst.training.trainer import train
from sparseinst.zoo.header import checkpoint_extra
from sparseinst.zoo.models import load_model
from sparseinst.zoo.names import load_preset

FIXED = {"augment.flip": 0.0, "augment.short_px": [64]}


def test_a_run_learns_and_leaves_everything(tiny_data, tmp_path):
    out = tmp_path / "run"
    console = Console(file=io.StringIO(), width=200)
    before = torch.random.get_rng_state()
    result = train(
        tiny_data, tiny_preset(), out, init="random", iterations=40, batch=6, console=console, device="cpu",
        settings={**FIXED, "evaluate_every": 25, "log_every": 5, "optim.lr": 4e-3},
    )  # fmt: skip
    assert torch.equal(before, torch.random.get_rng_state())
    assert result.finished
    assert result.iterations == 40
    metrics = read_table(out / "metrics.csv")
    assert [row["iteration"] for row in metrics] == [1, 2, *range(5, 45, 5)]
    assert metrics[-1]["loss"] < 0.7 * metrics[0]["loss"]
    assert metrics[-1]["epoch"] == 40
    evaluations = read_table(out / "evaluation.csv")
    assert [row["iteration"] for row in evaluations] == [25, 40]
    assert result.best_ap == max(row["ap"] for row in evaluations)
    assert checkpoint_extra(result.weights)["iteration"] == result.best_iteration
    assert checkpoint_extra(result.weights)["best_ap"] == pytest.approx(result.best_ap, rel=1e-5)
    for iteration in (25, 40):
        (picture,) = (out / "pictures" / f"iter_{iteration:06}").iterdir()
        image = cv2.imread(str(picture))
        assert image.shape[1] > 2 * image.shape[0]  # truth and prediction side by side
    assert (out / "curves.png").is_file()
    assert not list(out.glob(".*"))  # nothing temporary is left
    kept = {path.name for path in out.iterdir()}
    assert kept == {
        "best.safetensors", "config.yaml", "curves.png", "evaluation.csv", "metrics.csv", "pictures", "run.yaml",
        "samples.png", "state.pt", "tensorboard",
    }  # fmt: skip
    said = console.file.getvalue()
    assert "40/40 loss" in said
    assert "iteration 25: AP" in said
    assert "images/s" in said


def test_config_of_a_run_repeats_it(tiny_data, tmp_path):
    train(tiny_data, tiny_preset(), tmp_path / "a", init="random", epochs=1, device="cpu")
    preset = load_preset(tmp_path / "a" / "config.yaml")
    assert preset.recipe.iterations == 3
    train(tiny_data, tmp_path / "a" / "config.yaml", tmp_path / "b", init="random", device="cpu")
    losses = [[row["loss"] for row in read_table(tmp_path / name / "metrics.csv")] for name in "ab"]
    assert losses[0] == losses[1]


def test_classes_come_from_the_data_and_weights_from_a_checkpoint(tiny_data, tmp_path):
    other = tiny_preset().model_dump()
    other["model"]["classes"] = ("cat", "dog", "disk")
    preset = type(tiny_preset()).model_validate(other)
    first = train(tiny_data, preset, tmp_path / "a", init="random", iterations=1, device="cpu")
    assert first.model.config.classes == ("disk", "box")
    console = Console(file=io.StringIO(), width=300)
    train(tiny_data, preset, tmp_path / "b", init=first.weights, iterations=1, device="cpu", console=console)
    assert "tensors loaded; fresh: none" in console.file.getvalue()


def test_no_validation_images(tiny_data, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(tiny_data / "train", data / "train")
    shutil.copy(tiny_data / "train.json", data)
    result = train(
        data, tiny_preset(held_out=0), tmp_path / "run", init="random", iterations=2, device="cpu"
    )  # fmt: skip
    assert result.best_ap is None and result.evaluation is None and result.validation is None
    images = torch.full((1, 3, 64, 64), 100.0)
    with torch.no_grad():
        saved = load_model(result.weights).to(memory_format=torch.channels_last)  # as trained: equal bits
        expected, got = result.model(images), saved(images)
    assert torch.equal(expected.masks, got.masks)


def test_surplus_targets_are_counted(tiny_data, tmp_path):
    settings = {"decoder.slots": 1, "optim.accumulate": 2}
    result = train(
        tiny_data, tiny_preset(), tmp_path / "run", init="random", iterations=3, device="cpu", settings=settings
    )
    assert result.surplus_targets == 3 * 2 * 2  # one of two instances in each of 2 x 2 images
    assert [row["surplus_targets"] for row in read_table(tmp_path / "run" / "metrics.csv")] == [4, 4, 4]


def test_time_limit_stops_evaluates_and_saves(tiny_data, tmp_path):
    out = tmp_path / "run"
    result = train(tiny_data, tiny_preset(), out, init="random", iterations=500, max_minutes=0, device="cpu")
    assert not result.finished
    assert result.iterations == 1
    assert result.evaluation is not None
    assert (out / "state.pt").is_file()
    resumed = train(
        tiny_data, tiny_preset(), out, init="random", iterations=500, max_minutes=0, device="cpu", resume=True
    )
    assert resumed.iterations == 2


def test_a_loss_that_is_not_finite_stops_with_step_images_and_checkpoint(tiny_data, tmp_path):
    settings = {"optim.lr": 1e30, "optim.warmup": 0, "evaluate_every": 1, "pictures": 0}
    with pytest.raises(NonFiniteLoss) as caught:
        train(tiny_data, tiny_preset(), tmp_path / "run", init="random", device="cpu", settings=settings)
    message = str(caught.value)
    assert "iteration" in message
    assert "last good checkpoint" in message
    assert "optim.lr" in message


@pytest.mark.parametrize("saving", [{"settings": {"evaluate_every": 2}}, {"save_minutes": 0}])
def test_images_of_a_bad_loss_and_the_last_checkpoint_are_named(tiny_data, tmp_path, monkeypatch, saving):
    real, calls = Criterion.__call__, []

    def poisoned(self, *args, **kwargs):
        calls.append(1)
        losses = real(self, *args, **kwargs)
        return losses if len(calls) < 3 else {**losses, "loss_dice": losses["loss_dice"] * float("nan")}

    monkeypatch.setattr(Criterion, "__call__", poisoned)
    with pytest.raises(NonFiniteLoss) as caught:
        train(tiny_data, tiny_preset(), tmp_path / "run", init="random", batch=6, device="cpu", **saving)
    message = str(caught.value)
    assert "iteration 3: loss_dice is not finite for the batch of images 0, 1, 2, 3, 4, 5" in message
    assert "state.pt of iteration 2" in message


def test_bf16(tiny_data, tmp_path):
    result = train(tiny_data, tiny_preset(), tmp_path / "run", init="random", precision="bf16", device="cpu")
    assert result.finished
    assert all(p.dtype == torch.float32 for p in result.model.parameters())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"settings": {"optim.lrr": 1}}, "did you mean optim.lr"),
        ({"precision": "fp16"}, "fp16 trains on cuda only"),
        ({"precision": "int4"}, "setting precision: .*got 'int4'"),
        ({"iterations": 1, "epochs": 1.0}, "iterations or epochs, got both"),
        ({"resume": True}, "found none: check the path, or start a run without --resume"),
        ({"init": "nowhere.safetensors"}, "nowhere.safetensors"),
    ],
)
def test_wrong_input(tiny_data, tmp_path, change, said):
    with pytest.raises(InputError, match=said):
        train(tiny_data, tiny_preset(), tmp_path / "run", **{"init": "random", "device": "cpu", **change})


def test_a_folder_with_a_run_is_not_overwritten_nor_resumed_with_other_settings(tiny_data, tmp_path):
    out = tmp_path / "run"
    train(tiny_data, tiny_preset(), out, init="random", iterations=2, device="cpu")
    with pytest.raises(InputError, match="holds a run already"):
        train(tiny_data, tiny_preset(), out, init="random", iterations=2, device="cpu")
    with pytest.raises(InputError, match=r"optim\.lr: 0.001 in the run, 0.002 now"):
        train(tiny_data, tiny_preset(), out, iterations=2, lr=0.002, device="cpu", resume=True)
    again = train(tiny_data, tiny_preset(), out, iterations=2, device="cpu", resume=True)
    assert again.finished
    assert again.iterations == 2


def test_other_data_is_not_resumed(tiny_data, tmp_path):
    data, out = tmp_path / "data", tmp_path / "run"
    shutil.copytree(tiny_data, data)
    train(data, tiny_preset(), out, init="random", iterations=1, device="cpu")
    content = json.loads((data / "train.json").read_text())
    content["annotations"].pop()
    (data / "train.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="images or instances differ"):
        train(data, tiny_preset(), out, iterations=1, device="cpu", resume=True)


def test_an_unreadable_training_image_is_one_clear_message(tiny_data, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(tiny_data, data)
    for path in (data / "train").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"\.png") as caught:
        train(data, tiny_preset(), tmp_path / "run", init="random", workers=1, device="cpu")
    assert "Traceback" not in str(caught.value)


def test_fresh_weights_are_not_frozen(tiny_data, tmp_path):
    preset = tiny_preset(iterations=1)
    optim = preset.recipe.optim.model_copy(update={"freeze": 4})
    preset = preset.model_copy(update={"recipe": preset.recipe.model_copy(update={"optim": optim})})
    train(tiny_data, preset, out=tmp_path / "run", init="random", device="cpu")
    assert load_preset(tmp_path / "run" / "config.yaml").recipe.optim.freeze is None
    with pytest.raises(InputError, match=r"optim\.freeze.*init random"):
        train(tiny_data, preset, out=tmp_path / "other", init="random", settings={"optim.freeze": 4}, device="cpu")
