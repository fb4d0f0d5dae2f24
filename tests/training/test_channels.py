"""From images of several channels to a network that takes them all, and what it does with others."""

import io
import json

import cv2
import numpy as np
import pytest
import tifffile
from rich.console import Console

from shapes import tiny_preset, write_split
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.errors import InputError
from sparseinst.evaluation.evaluator import evaluate
from sparseinst.exporting.exporter import export_model
from sparseinst.inference.prediction import predict_files
from sparseinst.inference.predictor import Predictor
from sparseinst.training.trainer import train
from sparseinst.zoo.models import load_model


def several(root, channels):
    """The tiny data with its colours, and noise, in so many channels of TIFF files."""
    for name, count, first in (("train", 6, 0), ("val", 2, 100)):
        write_split(root, name, count, first=first)
        content = json.loads((root / f"{name}.json").read_text())
        for item in content["images"]:
            path = root / name / item["file_name"]
            picture = cv2.imread(str(path))
            noise = np.random.default_rng(item["id"]).integers(0, 256, (*picture.shape[:2], channels), dtype=np.uint8)
            planes = np.concatenate([picture, noise], axis=2)[:, :, :channels].astype(np.uint16) * 100
            tifffile.imwrite(path.with_suffix(".tif"), np.moveaxis(planes, 2, 0), photometric="minisblack")
            path.unlink()
            item["file_name"] = f"{path.stem}.tif"
        (root / f"{name}.json").write_text(json.dumps(content))
    return root


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """Data of five channels, and a network trained on them."""
    root = tmp_path_factory.mktemp("five")
    data = several(root / "data", 5)
    console = Console(file=io.StringIO(), width=200)
    result = train(
        data, tiny_preset(), root / "run", init="random", iterations=30, batch=6, console=console, device="cpu",
        settings={"augment.color": 0.2, "augment.photometric": 0.3, "augment.copy_paste": 0.5, "optim.lr": 4e-3},
    )  # fmt: skip
    return data, result, console.file.getvalue()


def test_training_sees_how_many_channels_there_are(five):
    _, result, said = five
    assert "channels: 5 in each image" in said
    assert result.model.config.preprocess.channels == 5
    assert load_model(result.weights).config.preprocess.mean == pytest.approx([114.495] * 5)
    assert cv2.imread(str(result.weights.parent / "samples.png")) is not None


def test_it_predicts_and_is_evaluated_on_files_and_arrays(five, tmp_path):
    data, result, _ = five
    evaluation = evaluate(result.weights, resolve_data(data).val, workers=0)
    assert evaluation.ap == pytest.approx(result.best_ap, abs=1e-6)
    seen = []
    report = predict_files(data / "val", model=result.weights, out=tmp_path, score=0.0, save_json=True,
                           on_image=seen.append)  # fmt: skip
    assert (report.images, len(report.failures)) == (2, 0)
    assert [item.place for item in seen] == [(0, 0)] * 2
    assert cv2.imread(str(seen[0].overlay)).shape[2] == 3
    predictor = Predictor(result.weights, score=0.0)
    file = data / "val" / "0.tif"
    array = np.moveaxis(tifffile.imread(file), 0, 2)
    assert len(predictor(file)) == len(predictor(array)) == len(seen[0].instances)


def test_other_channels_are_refused_in_words(five, tmp_path, tiny_data):
    _, result, _ = five
    report = predict_files(tiny_data / "val", model=result.weights)
    assert len(report.failures) == 2
    assert "expected the 5 channels that the network takes (preprocess.channels), got 3" in report.failures[0].message
    with pytest.raises(InputError, match=r"5 channels that the network takes .*got 3"):
        evaluate(result.weights, resolve_data(tiny_data).val, workers=0)
    with pytest.raises(InputError, match=r"as many channels as the network takes .*\(64, 64, 3\)"):
        Predictor(result.weights)(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(InputError, match=r"video: expected a network of pictures .* 5 channels"):
        next(Predictor(result.weights).stream([np.zeros((64, 64, 3), np.uint8)]))
    with pytest.raises(InputError, match=r"a site: expected a network of pictures"):
        export_model(result.weights, tmp_path / "site", export_format="web")


def test_images_of_different_channels_are_not_trained_on_together(five, tmp_path):
    data = several(tmp_path / "data", 5)
    tifffile.imwrite(data / "train" / "3.tif", np.zeros((4, 64, 64), np.uint8), photometric="minisblack")
    with pytest.raises(InputError, match=r"as many channels each, got 4 in 3.tif and 5 in 0.tif"):
        train(data, tiny_preset(), tmp_path / "run", init="random", iterations=1, device="cpu")


def test_two_channels_start_from_weights_of_rgb(tiny_data, tmp_path):
    rgb = train(tiny_data, tiny_preset(), tmp_path / "rgb", init="random", iterations=1, device="cpu")
    console = Console(file=io.StringIO(), width=300)
    train(several(tmp_path / "data", 2), tiny_preset(), tmp_path / "two", init=rgb.weights, iterations=1,
          device="cpu", console=console)  # fmt: skip
    assert "fresh: none; first convolution widened from 3 to 2 channels" in console.file.getvalue()


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("onnx", "n.onnx"),
        pytest.param("openvino", "n.xml", marks=pytest.mark.matrix),
        pytest.param("torch", "n.pt2", marks=pytest.mark.matrix),
    ],
)
def test_exported_files_take_the_same_images(five, tmp_path, form, name):
    data, result, _ = five
    path = tmp_path / name
    export = export_model(result.weights, path, export_format=form, calibration=data / "val")
    assert export.exported.config.preprocess.channels == 5 and export.agreement.found == 1
    image = data / "val" / "1.tif"
    ours, theirs = (Predictor(model, score=0.0, device="cpu")(image) for model in (result.weights, path))
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-3)
