"""Training at native scale."""

import io

import pytest
from rich.console import Console

from shapes import tiny_preset
from sparseinst.data.coco import CocoDataset
from sparseinst.data.sizes import measure_sizes
from sparseinst.inference.predictor import Predictor
from sparseinst.recipe import Preset
from sparseinst.training.trainer import train
from sparseinst.zoo.names import load_preset


@pytest.fixture
def native() -> Preset:
    values = tiny_preset(iterations=2).model_dump()
    values["model"]["preprocess"] = {"kind": "native"}
    values["recipe"]["augment"] |= {"jitter": (0.5, 2), "frame_hw": (32, 32)}
    return Preset.model_validate(values)


def test_the_size_of_the_objects_is_told_and_kept(tiny_data, tmp_path, native) -> None:
    console = Console(file=io.StringIO(), width=300)
    result = train(tiny_data, native, tmp_path / "run", init="random", device="cpu", console=console)
    median = measure_sizes(CocoDataset.load(tiny_data / "train", tiny_data / "train.json")).median_px
    for config in (result.model.config, load_preset(tmp_path / "run/config.yaml").model):
        assert config.preprocess.diameter_px == pytest.approx(median, abs=0.01)
        assert config.preprocess.frame_hw is None
    assert f"objects: {median:.0f} px across" in console.file.getvalue()
    assert Predictor(result.weights, diameter=2 * median).pipeline.preprocess.scale == pytest.approx(0.5, abs=0.01)
    again = train(tiny_data, native, tmp_path / "run", device="cpu", resume=True)
    assert again.finished


def test_a_diameter_that_is_set_and_a_size(tiny_data, tmp_path, native) -> None:
    result = train(
        tiny_data, native, tmp_path / "run", init="random", iterations=1, size=64, device="cpu",
        settings={"preprocess.diameter_px": 12.0},
    )  # fmt: skip
    assert result.model.config.preprocess.diameter_px == 12
    assert load_preset(tmp_path / "run/config.yaml").recipe.augment.frame_hw == (64, 64)


def test_objects_that_would_be_too_small_are_told(tiny_data, tmp_path) -> None:
    console = Console(file=io.StringIO(), width=300)
    settings = {"preprocess.short_px": 16, "preprocess.long_px": 16}
    train(
        tiny_data, tiny_preset(), tmp_path / "run", init="random", iterations=1, device="cpu", console=console,
        settings=settings,
    )  # fmt: skip
    assert "objects would be 5 px" in console.file.getvalue()
    assert "--model nuclei" in console.file.getvalue()
