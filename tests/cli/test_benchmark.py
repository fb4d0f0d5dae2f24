import json

import torch


def test_threads_are_those_asked_for(cli, checkpoint, tmp_path) -> None:
    out = tmp_path / "figures.json"
    try:
        result = cli("benchmark", checkpoint, "--threads", 3, "--rounds", 1, "--device", "cpu", "--json", out)
        assert result.exit_code == 0 and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
    assert json.loads(out.read_text())["origin"]["threads"] == 3


def test_figures_are_written(cli, checkpoint, tmp_path) -> None:
    out = tmp_path / "figures.json"
    result = cli("benchmark", checkpoint, "--rounds", 2, "--device", "cpu", "--json", out)
    assert result.exit_code == 0
    (figures,) = json.loads(out.read_text())["figures"]
    assert figures["rounds"] == 2 and figures["total_median_ms"] > 0
