"""Which backend a command takes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sparseinst.cli.opening import open_model
from sparseinst.runtime.onnx_backend import OnnxBackend
from sparseinst.runtime.torch_backend import EagerBackend, TorchBackend
from sparseinst.zoo.models import load_model

PLAIN = {"weights": None, "random_weights": False, "device": "cpu", "half": False}
IMAGES, SIZES = torch.randint(0, 255, (1, 3, 64, 64), dtype=torch.uint8), torch.tensor([[64, 64]])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("sparseinst.runtime.cache.can_convert", lambda: True)
    monkeypatch.setenv("SPARSEINST_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_a_cpu_takes_onnx_runtime_and_converts_once(
    checkpoint: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    first = open_model(str(checkpoint), **PLAIN)
    assert isinstance(first, OnnxBackend)
    assert "for ONNX Runtime, once" in capsys.readouterr().err.replace("\n", " ")
    (kept,) = cache.iterdir()
    written = kept.stat().st_mtime_ns
    second = open_model(str(checkpoint), **PLAIN)
    assert capsys.readouterr().err == ""
    assert kept.stat().st_mtime_ns == written
    expected = EagerBackend(load_model(checkpoint))(IMAGES, SIZES)
    for backend in (first, second):
        np.testing.assert_allclose(backend(IMAGES, SIZES).scores, expected.scores, atol=1e-4)


@pytest.mark.parametrize("change", [{"half": True}, {"activation": True}, {"backend": "torch"}])
def test_what_onnx_runtime_does_not_do_pytorch_does(checkpoint: Path, cache: Path, change: dict[str, object]) -> None:
    assert isinstance(open_model(str(checkpoint), **PLAIN | change), TorchBackend)
    assert not cache.exists()


def test_what_cannot_be_converted_is_said_and_pytorch_runs_it(
    checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such operator\nmore")

    monkeypatch.setattr("sparseinst.runtime.cache.keep_converted", fail)
    assert isinstance(open_model(str(checkpoint), **PLAIN), TorchBackend)
    assert "cannot be converted (no such operator): PyTorch runs it" in capsys.readouterr().err.replace("\n", " ")
