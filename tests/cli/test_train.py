from pathlib import Path
from types import SimpleNamespace

import pytest

from sparseinst.zoo.models import load_model


@pytest.fixture
def train(cli, tiny_data: Path, preset: Path, tmp_path: Path):
    """Trains for 2 iterations into tmp_path/run, with further arguments."""

    def run(*arguments: object, data: Path = tiny_data):
        common = ("--data", data, "--model", preset, "--init", "random", "--out", tmp_path / "run", "--device", "cpu")
        return cli("train", *common, *arguments)

    return run


def test_a_run_says_where_its_files_are(cli, train, tiny_data, tmp_path) -> None:
    result = train("--workers", 0)
    assert result.exit_code == 0, result.stderr
    run = tmp_path / "run"
    assert "6 training images, 12 instances, 2 classes; 2 iterations" in result.stdout
    assert "best: AP" in result.stdout
    assert f"run in {run}" in result.stdout
    split = f"--images {tiny_data}/val --annotations {tiny_data}/val.json"
    assert f"evaluate --model {run}/best.safetensors {split}" in result.stdout
    assert f"export {run}/best.safetensors --format onnx" in result.stdout
    assert "decoder.slots" not in result.stdout
    assert f"predict IMAGES --model {run}/best.safetensors" in result.stdout
    assert load_model(run / "best.safetensors").config.classes == ("disk", "box")
    again = train()
    assert again.exit_code == 2
    assert f"--resume {run}" in again.stderr
    assert cli("train", "--resume", run).exit_code == 0


def test_weights_named_as_the_model_are_trained_on(cli, train, tiny_data, tmp_path) -> None:
    assert train("--workers", 0).exit_code == 0
    last = tmp_path / "run" / "best.safetensors"
    again = cli(
        "train", "--data", tiny_data, "--model", last, "--out", tmp_path / "again", "--workers", 0, "--device", "cpu",
    )  # fmt: skip
    assert again.exit_code == 0, again.stderr
    assert "tensors loaded; fresh: none" in again.stdout
    assert "2 iterations" in again.stdout  # the recipe comes with the weights


def test_options_reach_the_function(cli, tiny_data, preset, checkpoint, tmp_path, monkeypatch) -> None:
    given = {}

    def capture(data: Path, model: str, out: Path, **options: object):
        given.update(options, data=data, model=model, out=out)
        raise KeyboardInterrupt

    run = tmp_path / "run"
    run.mkdir()
    for begun in ("config.yaml", "run.yaml"):
        (run / begun).touch()
    monkeypatch.setattr("sparseinst.training.trainer.train", capture)
    result = cli(
        "train", "--data", tiny_data, "--model", preset, "--init", checkpoint, "--device", "cpu", "--resume", run,
        "--recipe", "published", "--epochs", 3, "--batch", 4, "--size", 96, "--lr", 0.01, "--workers", 1,
        "--precision", "bf16", "--seed", 7, "--max-minutes", 2, "--set", "optim.ema=0.9", "--set", "decoder.slots=8",
        "--augment", "photos", "--freeze", "backbone", "--patience", 3, "--log", "tensorboard",
    )  # fmt: skip
    assert result.exit_code == 130, result.stderr
    console = given.pop("console")
    assert console is not None
    assert given == {
        "data": tiny_data, "model": str(preset), "out": run, "init": str(checkpoint), "device": "cpu",
        "recipe": "published", "epochs": 3.0, "iterations": None, "batch": 4, "size": 96, "lr": 0.01, "workers": 1,
        "precision": "bf16", "seed": 7, "max_minutes": 2.0, "minutes": None, "resume": True,
        "settings": {"optim.ema": "0.9", "decoder.slots": "8"}, "augment": "photos", "freeze": "backbone",
        "patience": 3, "log": ("tensorboard",),
    }  # fmt: skip
    assert "stopped at once; nothing was saved yet" in result.stderr


def test_the_end_before_the_end_is_said(train, tmp_path, monkeypatch) -> None:
    stopped = SimpleNamespace(
        out=tmp_path, ended="time", iterations=5, best_ap=None, weights=tmp_path / "best.safetensors",
        surplus_targets=3, validation=None,
    )  # fmt: skip
    monkeypatch.setattr("sparseinst.training.trainer.train", lambda *_, **__: stopped)
    result = train()
    assert "after 5 iterations" in result.stdout and "--resume" in result.stdout
    assert "3 instances had no slot" in result.stdout
    assert f"--model {tmp_path}/best.safetensors" in result.stdout
    monkeypatch.setenv("RANK", "1")
    assert train().stdout == "", "one process speaks for all"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--set", "optim.lrr=1"], "optim.lr"),
        (["--set", "optim.lr"], "key=value"),
        (["--precision", "fp8"], "bf16"),
        (["--batch", "0"], "batch"),
        (["--epochs", "1", "--iterations", "2"], "leave one out"),
        (["--init", "gone.pth"], "gone.pth"),
        (["--resume", "no/such/run"], "no/such/run"),
        (["--batch", "many"], "batch"),
        (["--freeze", "head"], "backbone"),
        (["--augment", "micrograph"], "did you mean micrographs"),
        (["--log", "tensorbord"], "tensorboard"),
        (["--minutes", "1", "--iterations", "2"], "leave one out"),
        (["--minutes", "0"], "above 0"),
        (["--recipe", "small-data"], "networks of slots"),
    ],
)
def test_wrong_settings_name_themselves(train, tmp_path, arguments, named) -> None:
    result = train(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert named in result.stderr
    assert not (tmp_path / "run").exists()


def test_an_image_broken_in_a_loader_process_is_named_in_one_line(train, tiny_data, tmp_path) -> None:
    data = tmp_path / "data"
    (data / "train").mkdir(parents=True)
    for path in (tiny_data / "train").iterdir():
        (data / "train" / path.name).write_bytes(path.read_bytes()[:60])
    (data / "train.json").write_bytes((tiny_data / "train.json").read_bytes())
    result = train("--workers", 1, data=data)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {data}/train/") and result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr + result.stdout


def test_left_out_annotations_are_warned_about(train, tiny_data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sparseinst.training.starting.build_model", _stop)
    content = (tiny_data / "train.json").read_text()
    first = content.index('"segmentation": [[') + len('"segmentation": [[')
    data = tmp_path / "data"
    data.mkdir()
    (data / "train").symlink_to(tiny_data / "train")
    (data / "train.json").write_text(content[:first] + "1, 1, 1, 1, 1, 1" + content[content.index("]", first) :])
    result = train(data=data)
    assert result.exit_code == 130
    assert "warning: " in result.stderr and "1 of 12 annotations left out" in result.stderr


def _stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_data_alone_is_enough_and_needs_no_download(cli, tiny_data, tmp_path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("offline")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.chdir(tmp_path)
    quick = ("--size", 64, "--batch", 2, "--workers", 0, "--device", "cpu")
    result = cli("train", "--data", tiny_data, "--iterations", 1, *quick)
    assert result.exit_code == 0, result.stderr
    assert f"run in runs/{tiny_data.name}\n" in result.stdout
    assert "network lite, chosen by the data: 2 classes" in result.stdout
    assert "ImageNet weights of tf_efficientnet_lite0 that ship with the package" in result.stdout
    assert load_model(tmp_path / "runs" / tiny_data.name / "best.safetensors").config.decoder.kind == "seeds"
    again = cli("train", "--data", tiny_data, "--iterations", 1, *quick)
    assert again.exit_code == 0 and f"run in runs/{tiny_data.name}-2\n" in again.stdout
