"""What `train` takes beyond settings: callbacks, patience, a batch that is found, trackers, presets of augmentation."""

import io
import shutil

import cv2
import pytest
from rich.console import Console

from shapes import tiny_preset
from sparseinst.errors import InputError
from sparseinst.training.callbacks import Callback
from sparseinst.training.logs import read_table
from sparseinst.training.trainer import train
from sparseinst.zoo.names import load_preset


class Listener(Callback):
    def __init__(self) -> None:
        self.heard: list[object] = []

    def on_start(self, folder, preset) -> None:
        self.heard.append(("start", folder.name, preset.recipe.iterations))

    def on_row(self, row) -> None:
        self.heard.append(int(row["iteration"]))

    def on_evaluation(self, row, evaluation) -> None:
        self.heard.append(("ap", row["ap"] == evaluation.ap))

    def on_end(self, reason) -> None:
        self.heard.append(reason)


def test_callbacks_hear_everything(tiny_data, tmp_path) -> None:
    listener = Listener()
    train(
        tiny_data, tiny_preset(iterations=2), tmp_path / "a", init="random", device="cpu", callbacks=[listener], log=()
    )
    assert listener.heard == [("start", "a", 2), 1, 2, ("ap", True), "end"]

    class Stop(Callback):
        def on_row(self, row) -> None:
            raise RuntimeError("enough")

    last = Listener()
    with pytest.raises(RuntimeError, match="enough"):
        train(tiny_data, tiny_preset(), tmp_path / "b", init="random", device="cpu", callbacks=[Stop(), last], log=())
    assert last.heard[-1] == "error" and not (tmp_path / "b" / "run.lock").exists()


def test_patience_ends_a_run_and_more_of_it_goes_on(tiny_data, tmp_path) -> None:
    preset = tiny_preset(iterations=8, evaluate_every=1, pictures=0)
    settings = {"optim.lr": 1e-12}  # AP stays 0
    result = train(
        tiny_data, preset, tmp_path / "run", init="random", device="cpu", patience=2, settings=settings, log=()
    )
    assert (result.ended, result.iterations, result.finished) == ("patience", 3, True)
    again = train(out=tmp_path / "run", resume=True, device="cpu")
    assert (again.ended, again.iterations) == ("patience", 3)
    more = train(out=tmp_path / "run", resume=True, device="cpu", patience=4)
    assert (more.ended, more.iterations) == ("patience", 5)
    rest = train(out=tmp_path / "run", resume=True, device="cpu", settings={"patience": None})
    assert (rest.ended, rest.iterations) == ("end", 8)


def test_a_folder_alone_is_enough_and_small_when_it_is_done(tiny_data, tmp_path) -> None:
    out = tmp_path / "run"
    first = train(
        tiny_data, tiny_preset(), out, init="random", device="cpu", max_minutes=0, lr=3e-3, log=(),
        settings={"optim.weight_decay": 0.01},
    )  # fmt: skip
    assert first.ended == "time"
    size = (out / "state.pt").stat().st_size
    with pytest.raises(InputError, match=r"optim\.lr: 0\.003 in the run, 0\.004 now"):
        train(out=out, resume=True, device="cpu", lr=4e-3)
    assert train(out=out, resume=True, device="cpu", settings={"pictures": 0}).iterations == 6
    assert (out / "state.pt").stat().st_size < size / 2
    again = train(out=out, resume=True, device="cpu")
    assert (again.ended, again.iterations) == ("end", 6)


def test_settings_that_a_run_was_too_early_to_know_have_their_defaults(tiny_data, tmp_path) -> None:
    import torch

    out = tmp_path / "run"
    train(tiny_data, tiny_preset(), out, init="random", device="cpu", max_minutes=0, log=())
    content = torch.load(out / "state.pt", weights_only=True)
    for name in ("held_out", "patience"):
        del content["preset"]["recipe"][name]
    for name in ("owes_evaluation", "waited"):
        del content["progress"][name]
    torch.save(content, out / "state.pt")
    assert train(out=out, resume=True, device="cpu").finished


def test_validation_images_are_set_aside_and_remembered(tiny_data, tmp_path) -> None:
    data, out = tmp_path / "data", tmp_path / "run"
    shutil.copytree(tiny_data / "train", data / "train")
    shutil.copy(tiny_data / "train.json", data)
    console = Console(file=io.StringIO(), width=300)
    result = train(data, tiny_preset(), out, init="random", device="cpu", max_minutes=0, console=console, log=())
    assert "1 of the 6 training images are set aside" in console.file.getvalue()
    assert "5 training images" in console.file.getvalue()
    assert result.evaluation.images == 1 and result.validation.annotations == out / "validation.json"
    moved = data.rename(tmp_path / "moved")
    with pytest.raises(InputError, match="found nothing"):
        train(out=out, resume=True, device="cpu")
    assert train(moved, out=out, resume=True, device="cpu").finished
    assert len(read_table(out / "evaluation.csv")) == 2


def test_a_batch_that_fits(tiny_data, tmp_path) -> None:
    console = Console(file=io.StringIO(), width=200)
    train(
        tiny_data, tiny_preset(iterations=8, batch=2), tmp_path / "run", init="random", device="cpu", batch="auto",
        console=console, log=(),
    )  # fmt: skip
    recipe = load_preset(tmp_path / "run" / "config.yaml").recipe
    assert f"batch {recipe.batch}: " in console.file.getvalue() and "images/s" in console.file.getvalue()
    assert recipe.batch in (2, 4), "the 6 images give no larger one"  # which of them is faster is the machine's matter
    assert recipe.iterations == 16 // recipe.batch


def test_presets_of_augmentation_and_layers_that_stay(tiny_data, tmp_path) -> None:
    train(
        tiny_data, tiny_preset(iterations=1), tmp_path / "run", init="random", device="cpu", augment="aerial",
        freeze="none", settings={"augment.color": 0.0}, log=(),
    )  # fmt: skip
    recipe = load_preset(tmp_path / "run" / "config.yaml").recipe
    assert recipe.augment.quarter_turns and recipe.augment.color == 0.0 and recipe.optim.freeze is None
    with pytest.raises(InputError, match="worth keeping"):
        train(tiny_data, tiny_preset(), tmp_path / "b", init="random", device="cpu", freeze="backbone")
    start = tmp_path / "run" / "best.safetensors"
    train(tiny_data, tiny_preset(iterations=1), tmp_path / "b", init=start, device="cpu", freeze="backbone", log=())
    assert load_preset(tmp_path / "b" / "config.yaml").recipe.optim.freeze == 32
    samples = cv2.imread(str(tmp_path / "b" / "samples.png"))
    assert samples.shape[1] > samples.shape[0] > 320  # 12 samples in rows of four


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_trackers_write_without_a_network_and_go_on(tiny_data, tmp_path, monkeypatch, name) -> None:
    pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    out = tmp_path / "run"
    train(tiny_data, tiny_preset(), out, init="random", device="cpu", max_minutes=0, log=[name])
    train(out=out, resume=True, device="cpu")
    if name == "tensorboard":
        assert len(list((out / "tensorboard" / "sparseinst").glob("events.*"))) == 2
    elif name == "wandb":
        runs = list((out / "wandb").glob("offline-run-*"))
        assert len(runs) == 2 and len({path.name.rpartition("-")[2] for path in runs}) == 1
    else:
        (metric,) = (tmp_path / "mlruns").rglob("metrics/train/loss")
        assert len(metric.read_text().splitlines()) == 6


def test_trackers_that_are_not_there_are_named(tiny_data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sparseinst.training.trackers.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"log 'wandb': .*pip install 'sparseinst\[wandb\]'"):
        train(tiny_data, tiny_preset(), tmp_path / "run", init="random", device="cpu", log=["wandb"])
    assert not (tmp_path / "run").exists()
