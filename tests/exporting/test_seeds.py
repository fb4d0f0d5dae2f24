"""A file of a network of seeds gives what the network gives, for as many seeds as the frame has room for."""

import json

import numpy as np
import pytest

from sparseinst import Predictor
from sparseinst.config.preprocess import NativeConfig
from sparseinst.errors import InputError
from sparseinst.exporting.comparison import compare
from sparseinst.exporting.exporter import export_model
from sparseinst.exporting.formats import FORMATS
from sparseinst.exporting.half import after_convolutions
from sparseinst.exporting.operators import MOST_CHOSEN, check_candidates, check_operators
from sparseinst.modeling.model import SparseInst
from sparseinst.runtime.backends import open_backend
from sparseinst.runtime.torch_backend import EagerBackend
from sparseinst.structures import Instances
from tiny import tiny_seeds

RUNNABLE = ("onnx", "openvino", "torch")


def assert_same(found: Instances, expected: Instances) -> None:
    """The same but for the order of seeds of almost the same score."""
    assert len(found) == len(expected) and found.full == expected.full
    theirs = found.masks.reshape(len(found), np.prod(found.size_hw)).astype(np.float32)
    for score, label, mask in zip(expected.scores, expected.labels, expected.masks, strict=True):
        like = theirs @ mask.ravel() / (theirs.sum(1) + mask.sum() - theirs @ mask.ravel())
        alike = (like > 0.999) & (found.labels == label) & (abs(found.scores - score) < 1e-4)
        assert alike.any()


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_file_finds_what_the_network_finds(name, seeds, exported_seeds, pictures) -> None:
    done = exported_seeds(name)
    assert done.agreement.instances >= 30 and done.agreement.found == 1 and done.agreement.activation < 0.01
    backend = open_backend(done.files[0])
    assert backend.config == seeds.config and backend.config.most_instances is None
    expected = Predictor(EagerBackend(seeds), score=0)(pictures)
    for predictor in (Predictor(backend, score=0), Predictor(backend, score=0, batch=2)):
        for found, truth in zip(predictor(pictures), expected, strict=True):
            assert_same(found, truth)
    few = Predictor(backend, score=0, max_instances=2)(pictures[0])
    assert len(few) == 2 and few.full and min(few.scores) >= np.sort(expected[0].scores)[-3]
    (_, maps) = Predictor(backend, score=0).explain(pictures[0])
    assert maps.groups == 1 and maps.cells_px[0].tolist() == [4, 4]


def test_a_fixed_frame_has_a_fixed_number(seeds, pictures, tmp_path) -> None:
    out = tmp_path / "fixed.xml"
    done = export_model(seeds, out, export_format="openvino", size_hw=(96, 64))
    assert done.exported.config.most_instances == 22
    assert json.loads(done.exported.to_metadata()["max_instances"]) == 22
    with pytest.raises(InputError, match=r"at most 22, .* got 23: export it with a larger"):
        Predictor(out, max_instances=23)
    assert len(Predictor(out, score=0, max_instances=22)(pictures[2])) <= 22


def test_another_number_is_a_setting_of_the_export(seeds, model, pictures, tmp_path) -> None:
    done = export_model(seeds, tmp_path / "a.pt2", export_format="torch", max_instances=5, size_hw=(64, 96))
    assert done.exported.config.most_instances == 5
    assert len(Predictor(done.files[0], score=0)(pictures[0])) <= 5
    assert seeds.config.most_instances is None
    with pytest.raises(InputError, match="expected a network of seeds"):
        export_model(model, tmp_path / "b.pt2", export_format="torch", max_instances=5)


def test_onnx_names_the_axis_and_has_operators_that_tensorrt_knows(exported_seeds) -> None:
    import onnx

    done = exported_seeds("onnx")
    model = onnx.load(done.files[0])
    check_operators(model)
    check_candidates(done.exported.config)
    graph = model.graph
    axes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in graph.output
    }
    assert axes["scores"] == axes["labels"] == axes["gate"] == ["batch", "candidates"]
    assert axes["masks"] == ["batch", "candidates", "mask_height", "mask_width"]
    assert axes["activation"] == ["batch", "maps", "activation_height", "activation_width"]
    assert json.loads(done.exported.to_metadata()["max_instances"]) is None
    kept = after_convolutions(graph)
    kinds = {node.op_type for node in graph.node if node.name in kept}
    assert {"TopK", "MaxPool", "Tanh", "Softplus", "Sigmoid", "Resize"} <= kinds and "Conv" not in kinds


def test_tensorrt_chooses_only_so_many() -> None:
    config = tiny_seeds(candidates=MOST_CHOSEN + 1).config
    with pytest.raises(InputError, match=f"up to {MOST_CHOSEN}"):
        check_candidates(config)
    check_candidates(tiny_seeds(candidates=MOST_CHOSEN).config)


@pytest.mark.parametrize(("name", "size_hw"), [("onnx", None), ("openvino", (64, 2048))])
def test_half_keeps_places_apart_in_a_wide_frame(name, size_hw, tmp_path) -> None:
    model = tiny_seeds(candidates=40)
    model.config = model.config.model_copy(update={"preprocess": NativeConfig()})
    out = tmp_path / f"half{FORMATS[name].suffix}"
    agreement = export_model(model, out, export_format=name, precision="fp16", size_hw=size_hw).agreement
    assert 0 < agreement.raw_score < 0.05 and agreement.iou > 0.9
    picture = np.random.default_rng(0).integers(0, 256, (40, 2048, 3), np.uint8)
    ours, theirs = (Predictor(way, score=0)(picture) for way in (EagerBackend(model), out))
    far = [np.flatnonzero(found.boxes[:, 0] > 1800) for found in (ours, theirs)]
    assert len(far[0]) > 1
    found = theirs.masks[far[1]]
    same = [
        max((mask & other).sum() / (mask | other).sum() for other in found) for mask in ours.masks[far[0]]
    ]  # fmt: skip
    assert np.median(same) > 0.95


def test_the_order_of_seeds_is_no_difference(seeds: SparseInst) -> None:
    backend = EagerBackend(seeds)

    class Shuffled:
        config, frame = seeds.config, None

        def __call__(self, images, resized_hw):
            found = backend(images, resized_hw)
            return type(found)(*(part if part is None else part.flip(1) for part in found))

    agreement = compare(backend, Shuffled())
    assert agreement.found == 1 and agreement.iou == pytest.approx(1, abs=1e-3)
    assert agreement.raw_score < 1e-4 and agreement.masks < 1e-2 and agreement.labels == 0
    other = tiny_seeds(seed=1, candidates=900, candidates_per="area")
    other.config = seeds.config
    assert compare(backend, EagerBackend(other)).iou < 0.9
