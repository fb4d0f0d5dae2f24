"""What cannot be exported, or is not what it was, leaves a clear message and no file."""

import sys

import pytest
import torch

from exporting.conftest import network
from sparseinst.errors import InputError
from sparseinst.exporting.agreement import LIMITS, Agreement
from sparseinst.exporting.comparison import compare
from sparseinst.exporting.exporter import export_model
from sparseinst.exporting.operators import check_operators
from sparseinst.runtime.torch_backend import TorchBackend
from sparseinst.runtime.tracing import trace

PERFECT = Agreement(
    images=3, raw_score=0.0, masks=0.0, labels=0.0, activation=None, instances=9, found=1.0, iou=1.0, score=0.0
)


@pytest.mark.parametrize(
    ("out", "options", "named"),
    [
        ("a.onnx", {"export_format": "tflite"}, "onnx, openvino, torch, tensorrt"),
        ("a.xml", {"export_format": "onnx"}, r"ends in \.onnx"),
        ("a.onnx", {"export_format": "onnx", "precision": "int8"}, "openvino or seeds for int8"),
        ("a.pt2", {"export_format": "torch", "precision": "fp16"}, "format torch offers fp32"),
        ("a.xml", {"export_format": "openvino", "precision": "int8"}, "calibration"),
        ("a.onnx", {"export_format": "onnx", "size_hw": (100, 64)}, "100x64.*multiples of 32"),
        ("a.onnx", {"export_format": "onnx", "calibration": "gone"}, "gone"),
    ],
)
def test_what_cannot_be_is_said(model, tmp_path, out, options, named) -> None:
    with pytest.raises(InputError, match=named):
        export_model(model, tmp_path / out, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "out", "package"), [("onnx", "a.onnx", "onnxscript"), ("openvino", "a.xml", "openvino")]
)
def test_a_missing_package_is_named_with_its_extra(model, tmp_path, monkeypatch, name, out, package) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"{package}.*sparseinst\[export\]"):
        export_model(model, tmp_path / out, export_format=name, size_hw=(64, 64))
    assert not list(tmp_path.iterdir())


def test_a_file_that_differs_is_not_left_behind(model, tmp_path, monkeypatch) -> None:
    def trace_another(other, exported, **options):
        with torch.no_grad():
            changed = network()
            changed.decoder.objectness.bias += 0.5
        return trace(changed, exported, **options)

    monkeypatch.setattr("sparseinst.exporting.exporter.trace", trace_another)
    with pytest.raises(InputError, match=r"a\.pt2: not written.*raw_score"):
        export_model(model, tmp_path / "a.pt2", export_format="torch", size_hw=(64, 64))
    assert not list(tmp_path.iterdir())


def test_a_network_agrees_with_itself_and_not_with_another(model) -> None:
    itself = compare(TorchBackend(model, activation=True), TorchBackend(model, activation=True))
    assert itself == PERFECT._replace(activation=0.0, instances=itself.instances) and itself.instances >= 3 * 6
    other = network()
    torch.nn.init.normal_(other.decoder.kernel.weight)
    differs = compare(TorchBackend(model), TorchBackend(other))
    assert differs.masks > 0.1 and differs.iou < 0.9 and differs.raw_score < 1e-6
    assert any(line.startswith("iou") for line in LIMITS["int8"].broken(differs))


@pytest.mark.parametrize("field", ["found", "iou", "score", "raw_score", "masks", "labels"])
def test_limits_judge_each_difference_and_what_is_no_number(field: str) -> None:
    assert LIMITS["fp32"].broken(PERFECT) == []
    for value in (float("nan"), 0.5):
        (line,) = LIMITS["fp32"].broken(PERFECT._replace(**{field: value}))
        assert line.startswith(field)


def test_an_operator_that_tensorrt_lacks_is_named() -> None:
    from onnx import helper

    graph = helper.make_graph([helper.make_node(kind, ["x"], ["y"]) for kind in ("Relu", "NonZero")], "g", [], [])
    with pytest.raises(InputError, match="no operator NonZero"):
        check_operators(helper.make_model(graph))
