import json

import pytest
import torch


@pytest.mark.parametrize(("backend", "expected"), [("torch", None), ("onnxruntime", 1), ("openvino", 1)])
def test_threads_reach_the_runtime(cli, checkpoint, monkeypatch, backend: str, expected: int | None) -> None:
    from sparseinst.runtime import open_backend

    asked = []

    def opened(model: object, **choices: object) -> object:
        asked.append(choices)
        return open_backend(model)

    monkeypatch.setattr("sparseinst.runtime.open_backend", opened)
    result = cli("benchmark", checkpoint, "--backend", backend, "--threads", 1, "--rounds", 1, "--device", "cpu")
    assert result.exit_code == 0 and torch.get_num_threads() == 1
    assert [choices["threads"] for choices in asked] == [expected] and not asked[0]["compile"]


def test_figures_are_written(cli, checkpoint, tmp_path) -> None:
    out = tmp_path / "figures.json"
    result = cli("benchmark", checkpoint, "--rounds", 2, "--device", "cpu", "--json", out)
    assert result.exit_code == 0
    (figures,) = json.loads(out.read_text())["figures"]
    assert figures["rounds"] == 2 and figures["total_median_ms"] > 0
