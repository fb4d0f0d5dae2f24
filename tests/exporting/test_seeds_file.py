"""Files that end where seeds are chosen: the same instances as from the network, also in tiles; 8 bits come near."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from exporting.conftest import Exports
from sparseinst import Predictor
from sparseinst.config.preprocess import NativeConfig
from sparseinst.errors import InputError
from sparseinst.exporting.exporter import export_model
from sparseinst.inference.fingerprint import of_pipeline
from sparseinst.modeling.model import SparseInst
from sparseinst.runtime.onnx_backend import OnnxBackend
from sparseinst.runtime.torch_backend import TorchBackend
from tiny import tiny_seeds


@pytest.fixture(scope="module")
def native() -> SparseInst:
    """Sees images at their own size; what is larger than 64 x 64 in tiles."""
    model = tiny_seeds(candidates=400, candidates_per="area")
    preprocess = NativeConfig(scale=1.0, one_pass_px=64)
    model.config = model.config.model_copy(update={"preprocess": preprocess})
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, pictures) -> Path:
    """Images to calibrate on."""
    path = tmp_path_factory.mktemp("images")
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(path / f"{number}.png")
    return path


@pytest.fixture(scope="module")
def files(native: SparseInst, folder: Path) -> dict[str, Path]:
    """One of 32 bits, one with 8-bit convolutions."""
    written = {}
    for precision in ("fp32", "int8"):
        written[precision] = folder.parent / f"{precision}.onnx"
        export_model(native, written[precision], export_format="seeds", precision=precision, calibration=folder)
    return written


def test_the_same_instances_also_in_tiles_and_with_their_maps(native, files, pictures) -> None:
    ours, theirs = Predictor(TorchBackend(native, device="cpu"), score=0.1), Predictor(files["fp32"], score=0.1)
    for picture in pictures:
        a, b = ours(picture), theirs(picture)
        assert len(a) == len(b) > 0
        order, other = (np.lexsort(found.boxes.round(3).T) for found in (a, b))
        np.testing.assert_allclose(b.scores[other], a.scores[order], atol=1e-4)
        assert max(np.mean(x != y) for x, y in zip(a[order].masks, b[other].masks, strict=True)) < 1e-3
    assert len(theirs.pipeline.cut(pictures[2]).windows) > 4
    instances, maps = theirs.explain(pictures[0])
    assert len(instances) == len(maps) > 0
    assert len(Predictor(files["fp32"], score=0.0, max_instances=3)(pictures[0])) == 3


def test_what_it_is_does_not_depend_on_the_process(files) -> None:
    first, again, other = (of_pipeline(Predictor(files[name]).pipeline) for name in ("fp32", "fp32", "int8"))
    assert first == again != other and "precision='int8'" in other["weights"]


def test_8_bits_are_all_convolutions_but_the_first_and_the_last(files, pictures) -> None:
    graph = onnx.load(files["int8"]).graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    exact = [node for node in convolutions if makers.get(node.input[1]) != "DequantizeLinear"]
    outputs = {value.name for value in graph.output}
    # Two levels have logits and heads; the rest is the first.
    assert len(exact) == 1 + 2 * 2 + 1 and sum(node.output[0] in outputs for node in exact) == 5
    assert not any(node.op_type == "Clip" for node in graph.node), "what they say is in the range of the 8 bits"
    exact, near = (Predictor(files[name], score=0.1) for name in ("fp32", "int8"))
    pairs = [(exact(picture).scores, near(picture).scores) for picture in pictures[:3]]
    differences = [abs(float(a.mean()) - float(b.mean())) for a, b in pairs]
    assert 0 < max(differences) < 0.05


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"activation": True}, "leave activation and float input out"),
        ({"float_input": True}, "leave activation and float input out"),
        ({"precision": "fp16"}, "format seeds offers fp32, int8"),
        ({"precision": "int8"}, "give a folder of them as calibration"),
    ],
)
def test_what_it_cannot_be_is_said(native, tmp_path, options, named) -> None:
    with pytest.raises(InputError, match=named):
        export_model(native, tmp_path / "a.onnx", export_format="seeds", **options)
    assert not list(tmp_path.iterdir())


def test_networks_of_slots_are_refused(model, tmp_path) -> None:
    with pytest.raises(InputError, match="expected a network of seeds, got one of slots"):
        export_model(model, tmp_path / "a.onnx", export_format="seeds")


@pytest.mark.parametrize("growth", [None, "", "no base64!", "AAAA"])
def test_damaged_weights_are_an_input_error(files, tmp_path, growth) -> None:
    model = onnx.load(files["fp32"])
    kept = {item.key: item.value for item in model.metadata_props if item.key != "growth"}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, kept if growth is None else kept | {"growth": growth})
    path = tmp_path / "damaged.onnx"
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"damaged\.onnx: expected the weights that grow masks"):
        Predictor(path)


def test_other_files_are_none(exported_seeds: Exports) -> None:
    assert isinstance(Predictor(exported_seeds("onnx").files[0]).backend, OnnxBackend)
