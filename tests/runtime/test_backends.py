"""How backends are chosen, opened and refused; what exported files give is in tests/exporting."""

import json
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from sparseinst.errors import InputError
from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.runtime.backends import BACKENDS, SUFFIXES, Backend, is_exported, open_backend
from sparseinst.runtime.exported import EXPORT_FORMAT, Exported
from sparseinst.runtime.torch_backend import TorchBackend
from tiny import tiny_config


@pytest.fixture(scope="module")
def model() -> SparseInst:
    torch.manual_seed(0)
    return build_model(tiny_config()).eval()


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "exported"])
def test_a_network_in_memory_runs_elsewhere_as_it_does_here(name: str, model: SparseInst) -> None:
    backend = open_backend(model, name=name)
    assert isinstance(backend, Backend) and backend.config == model.config and backend.frame is None
    for batch, height, width in ((1, 32, 32), (1, 32, 96), (3, 160, 96)):
        images = torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8)
        sizes = torch.tensor([[height - 5, width]] * batch)
        ours, theirs = TorchBackend(model)(images, sizes), backend(images, sizes)
        assert theirs.activation is None
        for expected, found in zip(ours[:4], theirs[:4], strict=True):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_a_network_without_a_name_is_torch(model: SparseInst) -> None:
    assert isinstance(open_backend(model), TorchBackend)
    assert isinstance(open_backend("nuclei"), TorchBackend)
    assert set(SUFFIXES.values()) <= set(BACKENDS)


def test_names_of_exported_files() -> None:
    assert is_exported("a.onnx") and is_exported(Path("b.xml")) and is_exported("c.pt2") and is_exported("d.engine")
    assert not is_exported("nuclei") and not is_exported("a.safetensors") and not is_exported(object())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_absent_file_is_named(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"gone\{suffix}: expected an exported network, found no such file"):
        open_backend(tmp_path / f"gone{suffix}")


@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".pt2"])
def test_a_broken_file_is_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(b"no network")
    with pytest.raises(InputError, match=rf"(?s)broken\{suffix}.*export the network again"):
        open_backend(path)


def test_a_file_of_another_making_is_refused(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [out])
    path = tmp_path / "other.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    with pytest.raises(InputError, match=r"other\.onnx.*'no mark'"):
        open_backend(path)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"name": "tpu"}, "backend 'tpu'.*onnxruntime"),
        ({"name": "tensorrt"}, "build script"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"threads": 2}, "torch.set_num_threads"),
        ({"name": "exported", "threads": 2}, "torch.set_num_threads"),
        ({"name": "onnxruntime", "half": True}, "export with --half"),
        ({"name": "eager", "compile": True}, "compile: expected the backend torch"),
        ({"name": "exported", "device": "gpu"}, "device 'gpu'"),
    ],
)
def test_what_a_backend_cannot_do_is_said(model: SparseInst, options: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named):
        open_backend(model, **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, which ONNX Runtime may have")
@pytest.mark.parametrize(
    ("suffix", "named"), [(".xml", "OpenVINO models run on the processor"), (".onnx", "onnxruntime-gpu")]
)
def test_a_device_that_a_runtime_lacks_is_said(suffix: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.touch()
    with pytest.raises(InputError, match=named):
        open_backend(path, device="cuda")


@pytest.mark.parametrize(("name", "device"), [("openvino", "cuda"), ("openvino", "mps"), ("onnxruntime", "mps")])
def test_a_device_that_a_runtime_lacks_is_said_before_anything_is_converted(
    model: SparseInst, name: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(*_: object, **__: object) -> None:
        raise AssertionError("converted first")

    monkeypatch.setattr("sparseinst.runtime.backends.trace", convert)
    with pytest.raises(InputError, match=f"device '{device}'"):
        open_backend(model, name=name, device=device)


def test_a_file_and_the_name_of_another_backend(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.onnx: expected a \.xml file"):
        open_backend(tmp_path / "a.onnx", name="openvino")


def test_metadata_come_back_and_what_does_not_fit_is_said(model: SparseInst) -> None:
    exported = Exported(config=model.config, images="float32", precision="fp16", activation=True)
    metadata = exported.to_metadata()
    assert Exported.from_metadata({**metadata, "producer": "x"}, source="a") == exported
    assert exported.outputs == ("scores", "labels", "masks", "gate", "activation")
    broken = [
        {},
        {**metadata, "format": "sparseinst-export-0"},
        {"format": EXPORT_FORMAT},
        {**metadata, "config": "{"},
        {**metadata, "config": json.dumps({"classes": ["a"], "depth": 3})},
    ]
    for other in broken:
        with pytest.raises(InputError, match=r"a\.onnx: .*export the network again"):
            Exported.from_metadata(other, source="a.onnx")
