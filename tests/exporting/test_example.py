"""The example that runs an exported file without PyTorch finds what the package finds."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dense import dense_masks
from sparseinst import Predictor
from sparseinst.config.preprocess import NativeConfig, PreprocessConfig, ShortSideConfig
from sparseinst.data.geometry import network_hw
from sparseinst.data.prepare import resize
from sparseinst.exporting.exporter import export_model
from sparseinst.masks import rle
from sparseinst.masks.pieces import drop_small_pieces
from sparseinst.zoo.names import DEMO_IMAGE

EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_only.py"
SPEC = importlib.util.spec_from_file_location("onnx_only", EXAMPLE)
onnx_only = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(onnx_only)

SIDE = st.integers(2, 90)


@pytest.fixture(scope="module")
def nuclei(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("nuclei") / "nuclei.onnx"
    agreement = export_model("nuclei", out, export_format="onnx").agreement
    assert agreement.instances > 30 and agreement.iou > 0.999
    return out


def test_it_finds_the_same_instances(nuclei: Path) -> None:
    expected = Predictor("nuclei")(DEMO_IMAGE)
    found = list(onnx_only.segment(nuclei, Image.open(DEMO_IMAGE)))
    assert len(found) == len(expected) > 50
    for truth, truth_score in zip(expected.masks, expected.scores, strict=True):
        score, name, mask = max(found, key=lambda item: (item[2] & truth).sum() / (item[2] | truth).sum())
        assert name == "nucleus" and abs(score - truth_score) < 1e-3
        assert (mask & truth).sum() >= 0.999 * (mask | truth).sum()


def test_it_runs_without_pytorch_and_without_this_package(nuclei: Path) -> None:
    code = (
        "import runpy, sys; sys.modules.update(torch=None, sparseinst=None); "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(EXAMPLE), str(nuclei), str(DEMO_IMAGE)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("nucleus 0.") > 50


@given(height=SIDE, width=SIDE, new_height=SIDE, new_width=SIDE)
@settings(max_examples=50)
def test_pillows_resize_is_that_of_the_package(height: int, width: int, new_height: int, new_width: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    theirs = np.asarray(Image.fromarray(image).resize((new_width, new_height), Image.Resampling.BILINEAR))
    ours = resize(torch.from_numpy(image).permute(2, 0, 1), (new_height, new_width)).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(theirs.astype(int), ours.astype(int), atol=1)  # both round to 8 bits between two passes


short_sides = st.builds(
    lambda short, more, fixed: ShortSideConfig(
        short_px=32 * short, long_px=32 * (short + more), frame_hw=(32 * short, 32 * (short + more)) if fixed else None
    ),
    st.integers(1, 30), st.integers(0, 30), st.booleans(),
)  # fmt: skip
natives = st.builds(
    lambda scale, cells: NativeConfig(scale=scale, frame_hw=None if cells is None else (32 * cells, 64 * cells)),
    st.floats(0.01, 8), st.none() | st.integers(1, 40),
)  # fmt: skip


@given(st.integers(1, 5000), st.integers(1, 5000), short_sides | natives)
@settings(max_examples=1000)
def test_its_sizes_are_those_of_the_package(height: int, width: int, config: PreprocessConfig) -> None:
    ours = onnx_only.resized_hw(height, width, config.model_dump(mode="json"))
    assert ours == network_hw((height, width), config)
    frame = config.frame_hw
    assert frame is None or (ours[0] <= frame[0] and ours[1] <= frame[1])


@given(dense_masks(), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_small_pieces(masks: np.ndarray, least: float) -> None:
    expected = drop_small_pieces(rle.encode(masks), masks.shape[1:], least=least)
    for mask, counts in zip(masks, expected, strict=True):
        assert rle.encode(onnx_only.without_small_pieces(mask, least)[None]) == (counts,)
