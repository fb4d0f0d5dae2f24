"""Networks at native scale in other runtimes: images of any size, or in a fixed frame that they are shrunk to fit."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from exporting.conftest import network
from sparseinst.config.preprocess import NativeConfig
from sparseinst.exporting.exporter import export_model
from sparseinst.inference.predictor import Predictor
from sparseinst.modeling.model import SparseInst


@pytest.fixture(scope="module")
def native() -> SparseInst:
    model = network()
    model.config = model.config.model_copy(update={"preprocess": NativeConfig(scale=0.5, diameter_px=20)})
    return model


@pytest.mark.parametrize("size_hw", [None, (64, 96)])
def test_an_exported_file_finds_the_same(native, pictures, tmp_path: Path, size_hw) -> None:
    out = tmp_path / "native.onnx"
    done = export_model(native, out, export_format="onnx", size_hw=size_hw)
    assert done.exported.config.preprocess == NativeConfig(scale=0.5, diameter_px=20, frame_hw=size_hw)
    theirs = Predictor(out, score=0, diameter=20)
    assert theirs.pipeline.preprocess == done.exported.config.preprocess
    written = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
    preprocess = json.loads(written["config"])["preprocess"]
    assert (preprocess["kind"], preprocess["scale"], preprocess["diameter_px"]) == ("native", 0.5, 20)
    native.config, original = done.exported.config, native.config
    try:
        for picture in pictures[:3]:
            found, ours = theirs(picture), Predictor(native, score=0)(picture)
            assert found.size_hw == picture.shape[:2] and found.labels.tolist() == ours.labels.tolist()
            np.testing.assert_allclose(found.scores, ours.scores, atol=1e-3)
    finally:
        native.config = original
