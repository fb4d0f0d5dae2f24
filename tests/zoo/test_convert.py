"""Published checkpoints into ours, and backbones from elsewhere."""

import hashlib
import logging
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision

from reference.seeded import tensors_of
from sparseinst.errors import InputError
from sparseinst.modeling.model import build_model
from sparseinst.zoo.conversion import convert
from sparseinst.zoo.header import checkpoint_extra
from sparseinst.zoo.models import init_weights, load_model, preset_of
from sparseinst.zoo.names import load_preset
from sparseinst.zoo.tensors import read_tensors

IMAGES = torch.rand(1, 3, 64, 64) * 255


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tensors = tensors_of("r50-giam")
    path = tmp_path_factory.mktemp("published") / "sparse_inst_r50_giam_abcdef.pth"
    torch.save({"model": tensors, "optimizer": {"lr": 1.0}, "iteration": 270000}, path)
    return path


def masks(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(IMAGES).masks


def test_a_published_checkpoint_is_recognised_and_keeps_its_provenance(
    published: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        result = convert(published, out=tmp_path / "mine.safetensors")
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    assert f"name ends in abcdef, but its SHA-256 begins with {digest[:6]}" in caplog.text
    assert result.name == "r50-giam"
    facts = checkpoint_extra(result.out)
    assert facts["provenance"]["sha256"] == digest
    assert facts["provenance"]["file"] == published.name
    assert facts["provenance"]["preset"] == "r50-giam"
    again = load_model(result.out)
    torch.testing.assert_close(masks(again), masks(load_model(published)), rtol=0, atol=0)
    torch.testing.assert_close(masks(again), masks(load_model("r50-giam", weights=published)), rtol=0, atol=0)
    assert preset_of(result.out).recipe == load_preset("r50-giam").recipe


def test_a_right_mark_in_the_name_is_no_warning(
    published: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    right = tmp_path / f"sparse_inst_r50_giam_{digest[:6]}.pth"
    right.symlink_to(published)
    with caplog.at_level(logging.WARNING):
        result = convert(right, half=True)
    assert caplog.text == ""
    assert result.out == right.with_suffix(".safetensors")
    assert result.out.stat().st_size < 0.6 * published.stat().st_size


def test_what_cannot_be_converted_is_said(published: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not of 'r50d': .*Leave the name out"):
        convert(published, model="r50d")
    with pytest.raises(InputError, match=r"expected 80 different class names, .* got 2: a, b"):
        convert(published, out=tmp_path / "x.safetensors", classes=["a", "b"])
    with pytest.raises(InputError, match=r"name that ends in \.safetensors"):
        convert(published, out=tmp_path / "x.onnx")
    torch.save({"model": {"weight": torch.ones(2)}}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.pth: expected a published SparseInst checkpoint, got other tensors"):
        load_model(tmp_path / "other.pth")
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_detectron2_backbones_are_read_as_arrays_and_fit(tmp_path: Path, protocol: int) -> None:
    model = build_model(load_preset("r50").model)
    prefix = "backbone.features."
    ours = {k.removeprefix(prefix): 1 + v for k, v in model.state_dict().items() if k.startswith(prefix)}
    arrays = OrderedDict((_detectron2(name), tensor.numpy()) for name, tensor in ours.items())
    arrays["stem.fc.bias"] = np.zeros(1000, np.float32)
    with (tmp_path / "R-50.pkl").open("wb") as file:
        pickle.dump({"model": dict(arrays), "__author__": "torchvision", "matching_heuristics": True}, file, protocol)
    report = init_weights(model, tmp_path / "R-50.pkl")
    assert "backbone" not in report.split("fresh:")[1]
    torch.testing.assert_close(model.backbone.features.layer3[2].conv2.weight, ours["layer3.2.conv2.weight"])


def test_caffe2_backbones_are_another_network(tmp_path: Path) -> None:
    with (tmp_path / "R-50.pkl").open("wb") as file:
        pickle.dump({"res2_0_branch2a_w": np.zeros((64, 64, 1, 1), np.float32)}, file)
    with pytest.raises(InputError, match=r"Caffe2's form .*torchvision/R-50\.pkl"):
        init_weights(build_model(load_preset("r50").model), tmp_path / "R-50.pkl")


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this code was run",)


@pytest.mark.parametrize("content", [{"model": Evil()}, Evil(), {"model": {"a": np.array([Evil()], object)}}])
def test_a_raw_pickle_that_would_run_code_is_refused(
    tmp_path: Path, content: object, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match="loads without running code"):
        read_tensors(tmp_path / "evil.pkl")
    assert capsys.readouterr().out == ""


def test_damaged_pickles_are_named(tmp_path: Path) -> None:
    whole = pickle.dumps({"model": {"a": np.zeros(100)}})
    for name, content in {"cut.pkl": whole[:80], "text.pkl": b"<html>", "none.pkl": b"", "cut.pth": whole[:80]}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: expected"):
            read_tensors(tmp_path / name)


def test_torchvision_and_timm_weights_start_a_backbone(tmp_path: Path) -> None:
    weights = torchvision.models.resnet50().state_dict()
    torch.save(weights, tmp_path / "resnet50.pth")
    model = build_model(load_preset("r50").model)
    assert "backbone" not in init_weights(model, tmp_path / "resnet50.pth").split("fresh:")[1]
    torch.testing.assert_close(model.backbone.features.layer4[2].conv3.weight, weights["layer4.2.conv3.weight"])
    headless = timm.create_model("cspdarknet53", num_classes=0).state_dict()
    torch.save(headless, tmp_path / "cspdarknet53.pth")
    model = build_model(load_preset("cspdarknet53-giam").model)
    assert "backbone" not in init_weights(model, tmp_path / "cspdarknet53.pth").split("fresh:")[1]
    first = model.backbone.features.stem_conv1.conv.weight
    torch.testing.assert_close(first, headless["stem.conv1.conv.weight"])


def test_eighty_classes_start_a_network_of_three_and_only_the_class_head_is_fresh(published: Path) -> None:
    config = load_preset("r50-giam").model.model_copy(update={"classes": ("a", "b", "c")})
    model = build_model(config)
    report = init_weights(model, published)
    assert report.endswith("tensors loaded; fresh: decoder.classifier")
    own = load_model(published).state_dict()
    for name, tensor in model.state_dict().items():
        if not name.startswith("decoder.classifier"):
            torch.testing.assert_close(tensor, own[name], rtol=0, atol=0)


def _detectron2(name: str) -> str:
    """timm's name of a ResNet's tensor as detectron2 has it."""
    for ours, theirs in (
        ("layer1", "res2"), ("layer2", "res3"), ("layer3", "res4"), ("layer4", "res5"),
        ("downsample.0", "shortcut"), ("downsample.1", "shortcut.norm"),
        ("bn1", "conv1.norm"), ("bn2", "conv2.norm"), ("bn3", "conv3.norm"),
    ):  # fmt: skip
        name = name.replace(ours, theirs)
    return name if name.startswith("res") else f"stem.{name}"
