"""Files that may be large are read once, whoever asks for them."""

import sys
from pathlib import Path

import pytest
import torch

from sparseinst.zoo.models import load_model

opened: list[str] = []
listening = False


def _listen(event: str, arguments: tuple[object, ...]) -> None:
    if listening and event == "open":
        opened.append(str(arguments[0]))


sys.addaudithook(_listen)


@pytest.fixture
def counted(cli):
    """Runs a command; how often it opened each file."""

    def run(*arguments: object) -> dict[str, int]:
        global listening
        opened.clear()
        listening = True
        try:
            result = cli(*arguments)
        finally:
            listening = False
        assert result.exit_code == 0, result.stderr
        return {name: opened.count(name) for name in opened}

    return run


def test_annotations_are_read_once_by_a_training_with_evaluations(counted, tiny_data, preset, tmp_path: Path) -> None:
    times = counted(
        "train", "--data", tiny_data, "--model", preset, "--init", "random", "--out", tmp_path / "run", "--workers", 0,
        "--device", "cpu", "--set", "evaluate_every=1",
    )  # fmt: skip
    assert (times[f"{tiny_data}/train.json"], times[f"{tiny_data}/val.json"]) == (1, 1)


@pytest.mark.parametrize("by", ["data", "files"])
def test_annotations_are_read_once_by_an_evaluation(counted, tiny_data, checkpoint, by: str) -> None:
    files = ("--images", tiny_data / "val", "--annotations", tiny_data / "val.json")
    named = ("--data", tiny_data) if by == "data" else files
    assert counted("evaluate", "--model", checkpoint, *named)[f"{tiny_data}/val.json"] == 1


@pytest.fixture
def published(tmp_path: Path, preset: Path) -> Path:
    """The weights of the tiny network as a pickled file."""
    path = tmp_path / "start.pth"
    torch.save({"model": load_model(preset, random_weights=True).state_dict()}, path)
    return path


@pytest.mark.parametrize(
    "trial", [(), ("--batch", "auto"), ("--batch", "auto", "--minutes", 0.001)], ids=["run", "batch", "minutes"]
)
def test_weights_to_start_from_are_read_once(
    counted, tiny_data, preset, published, tmp_path: Path, trial: tuple[object, ...]
) -> None:
    times = counted(
        "train", "--data", tiny_data, "--model", preset, "--init", published, "--out", tmp_path / "run", "--workers", 0,
        "--device", "cpu", *trial,
    )  # fmt: skip
    assert times[str(published)] == 1


def test_the_state_of_a_run_is_read_once(counted, cli, tiny_data, preset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    begun = cli(
        "train", "--data", tiny_data, "--model", preset, "--init", "random", "--out", run, "--workers", 0,
        "--device", "cpu", "--set", "optim.warmup=1", "--max-minutes", 0,
    )  # fmt: skip
    assert begun.exit_code == 0, begun.stderr
    times = counted("train", "--resume", run, "--device", "cpu")
    assert times[str(run / "state.pt")] == 1


def test_labelme_files_are_read_once_by_a_training_with_evaluations(
    counted, cli, tiny_data, preset, tmp_path: Path
) -> None:
    data = tmp_path / "labelme"
    assert cli("data", "convert", tiny_data, data, "--to", "labelme").exit_code == 0
    times = counted(
        "train", "--data", data, "--model", preset, "--init", "random", "--out", tmp_path / "run", "--workers", 0,
        "--device", "cpu", "--set", "evaluate_every=1",
    )  # fmt: skip
    files = {str(file): 1 for part in ("train", "val") for file in (data / part).glob("*.json")}
    assert len(files) == 8 and {name: times[name] for name in files} == files
