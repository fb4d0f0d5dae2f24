"""A file gives what the network gives, and says all about itself."""

import hashlib
import json
import math
import py_compile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from maps import dense
from sparseinst import Predictor
from sparseinst.config.preprocess import NativeConfig
from sparseinst.errors import InputError
from sparseinst.exporting.exporter import export_model
from sparseinst.exporting.formats import FORMATS
from sparseinst.exporting.operators import TENSORRT_OPERATORS
from sparseinst.exporting.tensorrt_build import frames
from sparseinst.runtime.backends import open_backend
from sparseinst.runtime.exported import Exported
from sparseinst.structures import Instances
from sparseinst.version import __version__

RUNNABLE = ("onnx", "openvino", "torch")


def assert_same(found: Instances, expected: Instances) -> None:
    assert found.slots.tolist() == expected.slots.tolist()
    assert found.labels.tolist() == expected.labels.tolist()
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    for mask, truth in zip(found.masks, expected.masks, strict=True):
        assert (mask & truth).sum() >= 0.999 * (mask | truth).sum()


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_file_finds_what_the_network_finds(name, exported, deformable, pictures) -> None:
    expected = Predictor(deformable, score=0)(pictures)
    assert sum(map(len, expected)) > len(pictures)
    path = exported(name).files[0]
    for predictor in (Predictor(path, score=0), Predictor(open_backend(path), score=0, batch=2)):
        for found, truth in zip(predictor(pictures), expected, strict=True):
            assert_same(found, truth)
        assert predictor([]) == []
    assert len(Predictor(path, score=1)(pictures[0])) == 0
    agreement = exported(name).agreement
    assert agreement.raw_score < 1e-3 and agreement.masks < 1e-2 and agreement.images == 3


@pytest.mark.parametrize("name", RUNNABLE)
def test_answers_stay_when_the_file_is_run_again(name, exported) -> None:
    backend = open_backend(exported(name).files[0])
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    sizes = torch.tensor([[64, 96], [60, 90]])
    first = backend(images, sizes)
    kept = [value.clone() for value in first]
    backend(255 - images, sizes)
    assert all(torch.equal(value, copy) for value, copy in zip(first, kept, strict=True))
    assert first.labels.dtype == torch.int64 and first.masks.dtype == torch.float32


@pytest.mark.parametrize("name", RUNNABLE)
def test_activation_maps_come_along(name, exported, deformable, pictures) -> None:
    ((_, maps), (_, expected)) = (
        Predictor(way, score=0).explain(pictures[1]) for way in (exported(name).files[0], deformable)
    )
    np.testing.assert_allclose(dense(maps, (12, 12)), dense(expected, (12, 12)), atol=1e-4)
    assert exported(name).agreement.activation < 1e-3


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_file_says_all_about_itself(name, exported, deformable, checkpoint) -> None:
    backend = open_backend(exported(name).files[0])
    assert backend.config == deformable.config and backend.frame is None
    assert backend.exported == exported(name).exported
    provenance = backend.exported.provenance
    assert provenance.source == "tiny.safetensors" and provenance.version == __version__
    assert provenance.sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", RUNNABLE)
def test_nothing_of_the_machine_is_in_a_file(name, exported) -> None:
    for path in exported(name).files:
        contents = [path.read_bytes()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents = [archive.read(entry) for entry in archive.namelist()]
        assert not any(str(Path(__file__).parents[2]).encode() in content for content in contents)


def test_onnx_has_named_axes_and_operators_that_tensorrt_knows(exported) -> None:
    import onnx

    graph = onnx.load(exported("onnx").files[0]).graph
    axes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in [*graph.input, *graph.output]
    }
    assert axes == {
        "images": ["batch", 3, "height", "width"],
        "resized_hw": ["batch", 2],
        "scores": ["batch", 6],
        "labels": ["batch", 6],
        "masks": ["batch", 6, "mask_height", "mask_width"],
        "gate": ["batch", 6],
        "activation": ["batch", 12, "activation_height", "activation_width"],
    }
    assert {node.op_type for node in graph.node} <= TENSORRT_OPERATORS


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_fixed_frame(name, model, pictures, tmp_path) -> None:
    out = tmp_path / f"fixed{FORMATS[name].suffix}"
    done = export_model(model, out, export_format=name, size_hw=(96, 64), float_input=True)
    backend = open_backend(out)
    assert backend.frame == (96, 64) and done.exported.config.preprocess.frame_hw == (96, 64)
    assert done.exported.provenance.source is None
    model.config, original = done.exported.config, model.config
    try:
        for picture in pictures[1:3]:  # the first of them is wider than the frame and made smaller
            assert_same(Predictor(backend, score=0)(picture), Predictor(model, score=0)(picture))
    finally:
        model.config = original


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_half_halves_the_weights(name, model, tmp_path) -> None:
    out = tmp_path / f"half{FORMATS[name].suffix}"
    done = export_model(model, out, export_format=name, precision="fp16", size_hw=(64, 96))
    whole = sum(4 * parameter.numel() for parameter in model.parameters())
    assert max(path.stat().st_size for path in done.files) < 0.75 * whole
    assert 0 < done.agreement.raw_score < 0.05
    assert open_backend(out).exported.precision == "fp16"


def test_weights_of_deformable_convolutions_are_halved_too(deformable, pictures, tmp_path) -> None:
    onnx = pytest.importorskip("onnx")
    done = export_model(deformable, tmp_path / "half.onnx", export_format="onnx", precision="fp16", size_hw=(64, 96))
    whole = sum(4 * parameter.numel() for parameter in deformable.parameters())
    graph = onnx.load(done.files[0]).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    casts = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast"}
    weights = [casts[node.input[1]] for node in graph.node if node.op_type == "DeformConv"]
    assert weights and {stored[name].data_type for name in weights} == {onnx.TensorProto.FLOAT16}
    single = sum(
        4 * math.prod(tensor.dims) for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT
    )
    assert single < 0.1 * whole and 0 < done.agreement.raw_score < 0.05
    expected = Predictor(deformable, score=0)(pictures[1])
    found = Predictor(open_backend(done.files[0]), score=0)(pictures[1])
    assert np.abs(found.scores - expected.scores).max() < 0.05


def test_tensorrt_gets_an_onnx_file_its_metadata_and_a_build_script(exported) -> None:
    onnx_file, metadata, script = exported("tensorrt").files
    assert script.name == "tiny.build.py"
    py_compile.compile(str(script), doraise=True)
    read = Exported.from_metadata(json.loads(metadata.read_text()), source=str(metadata))
    assert read.images == "float32" and read == open_backend(onnx_file).exported
    assert frames(read.config.preprocess.model_dump(), 1024) == ((32, 32), (64, 96), (96, 96))
    assert frames({"frame_hw": [96, 64], "short_px": 64, "long_px": 96}, 1024) == (((96, 64),) * 3)
    native = NativeConfig().model_dump()
    assert frames(native, 1024) == ((32, 32), (512, 512), (1024, 1024))
    assert frames(native, 330) == ((32, 32), (320, 320), (320, 320))
    assert frames(NativeConfig(frame_hw=(96, 64)).model_dump(), 1024) == (((96, 64),) * 3)


def test_an_engine_needs_its_metadata_a_gpu_and_tensorrt(exported, tmp_path) -> None:
    engine = tmp_path / "tiny.engine"
    with pytest.raises(InputError, match=r"tiny\.engine: expected an exported network"):
        open_backend(engine)
    engine.write_bytes(b"plan")
    with pytest.raises(InputError, match=r"tiny\.json"):
        open_backend(engine)
    engine.with_suffix(".json").write_bytes(exported("tensorrt").files[1].read_bytes())
    with pytest.raises(InputError, match="device 'cpu'"):
        open_backend(engine, device="cpu")
    with pytest.raises(InputError, match="tensorrt"):
        open_backend(engine)
