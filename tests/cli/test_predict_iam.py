from pathlib import Path

import pytest


@pytest.fixture
def image(tiny_data: Path) -> Path:
    return tiny_data / "val" / "0.png"


def test_iam_adds_a_sheet_of_activation_maps(cli, image, checkpoint, tmp_path) -> None:
    result = cli("predict", image, "--model", checkpoint, "--score", 0, "--iam", "--out", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"0_overlay.png", "0_iam.png"}


def test_without_it_there_is_none(cli, image, checkpoint, tmp_path) -> None:
    assert cli("predict", image, "--model", checkpoint, "--score", 0, "--out", tmp_path).exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"0_overlay.png"}


def test_help_names_it(cli) -> None:
    assert "--iam" in cli("predict", "--help").stdout
