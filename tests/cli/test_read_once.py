"""Files that may be large are read once, whoever asks for them."""

import sys
from pathlib import Path

import pytest

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
