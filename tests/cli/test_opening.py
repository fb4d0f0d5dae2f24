"""Which backend a command takes."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from sparseinst.cli.opening import open_model
from sparseinst.errors import InputError
from sparseinst.runtime.cache import keep_converted
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


def test_seeds_take_it_too_for_what_every_cell_says(seeds_checkpoint: Path, cache: Path) -> None:
    pytest.importorskip("onnxruntime")
    first, second = (open_model(str(seeds_checkpoint), **PLAIN) for _ in range(2))
    (kept,) = cache.iterdir()
    with pytest.raises(InputError, match="export the network again"):
        OnnxBackend(kept)  # a part of a network is no network
    expected = TorchBackend(load_model(seeds_checkpoint))(IMAGES, SIZES)
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


def test_settings_of_a_yaml_file_apply_to_weights_and_to_their_converted_form(
    checkpoint: Path, cache: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    trained = load_model(checkpoint).config
    path = tmp_path / "mine.yaml"
    for score in (0.11, 0.22):
        changed = trained.model_copy(update={"postprocess": trained.postprocess.model_copy(update={"score": score})})
        content = {"description": "mine", "model": changed.model_dump(mode="json")}
        path.write_text(yaml.safe_dump(content))
        assert load_model(path, weights=checkpoint).config == changed
        assert open_model(str(path), **PLAIN | {"weights": checkpoint}).config.postprocess.score == score
    assert len(list(cache.iterdir())) == 2


def test_weights_of_other_classes_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    trained = load_model(checkpoint).config
    path = tmp_path / "mine.yaml"
    changed = trained.model_copy(update={"classes": ("one", "two", "three")})
    path.write_text(yaml.safe_dump({"description": "mine", "model": changed.model_dump(mode="json")}))
    with pytest.raises(InputError, match="expected the 3 classes"):
        load_model(path, weights=checkpoint)


def test_the_converted_networks_kept_are_bounded(
    checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir()
    for number in range(3):
        old = cache / f"{number}.onnx"
        old.write_bytes(bytes(1000))
        os.utime(old, (number, number))
    monkeypatch.setattr("sparseinst.runtime.cache.MOST_BYTES", 2000)
    monkeypatch.setattr("sparseinst.runtime.cache.onnx_of", lambda *_: bytes(500))
    keep_converted(cache / "new.onnx", load_model(checkpoint), checkpoint)
    assert sorted(file.name for file in cache.iterdir()) == ["2.onnx", "new.onnx"]
