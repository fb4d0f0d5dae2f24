"""How backends are chosen, opened and refused; what exported files give is in tests/exporting."""

import json
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from sparseinst.errors import InputError
from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.runtime.backends import Backend, open_backend
from sparseinst.runtime.exported import EXPORT_FORMAT, Exported
from sparseinst.runtime.names import BACKENDS, SUFFIXES, is_exported
from sparseinst.runtime.torch_backend import TorchBackend
from tiny import tiny_config, tiny_seeds


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


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_seeds_grow_as_they_do_in_pytorch_whoever_computes_the_cells(name: str) -> None:
    network = tiny_seeds(candidates=40)
    backend, torch_backend = open_backend(network, name=name), TorchBackend(network)
    assert backend.config == network.config and backend.frame is None
    pairs = [
        (backend, torch_backend),
        (backend.with_max_instances(3), torch_backend.with_max_instances(3)),
        (backend.with_least_score(0.4).with_activation(), torch_backend.with_least_score(0.4).with_activation()),
    ]
    for found_by, expected_by in pairs:
        for batch, height, width in ((1, 32, 96), (2, 160, 96)):
            images = torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8)
            sizes = torch.tensor([[height - 5, width]] * batch)
            found, expected = found_by(images, sizes), expected_by(images, sizes)
            assert found.masks and (found.raw_scores > 0).any()
            for ours, theirs in zip(found.masks, expected.masks, strict=True):
                assert ours.grid_hw == theirs.grid_hw
                assert [patch.values.shape for patch in ours.items] == [patch.values.shape for patch in theirs.items]
            for ours, theirs in zip(found._replace(masks=None), expected._replace(masks=None), strict=True):
                torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_a_fixed_frame_of_seeds_is_kept() -> None:
    network = tiny_seeds()
    preprocess = network.config.preprocess.model_copy(update={"frame_hw": (64, 96)})
    network.config = network.config.model_copy(update={"preprocess": preprocess})
    backend = open_backend(network, name="onnxruntime")
    assert backend.frame == (64, 96)
    assert backend(torch.zeros(1, 3, 64, 96, dtype=torch.uint8), torch.tensor([[64, 96]])).scores.shape[0] == 1


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
    ("suffix", "name", "named"),
    [
        (".xml", "openvino", "OpenVINO models run on the processor"),
        (".onnx", "onnxruntime", "onnxruntime-gpu"),
    ],
)
def test_a_device_that_a_runtime_lacks_is_said(
    suffix: str, name: str, named: str, tmp_path: Path, model: SparseInst
) -> None:
    path = tmp_path / f"a{suffix}"
    path.touch()
    for wanted in (path, model):
        with pytest.raises(InputError, match=named):
            open_backend(wanted, name=name, device="cuda")


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
    with pytest.raises(InputError, match=r"a\.onnx: expected a network or its weights, got an exported file"):
        open_backend(tmp_path / "a.onnx", name="torch")


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
