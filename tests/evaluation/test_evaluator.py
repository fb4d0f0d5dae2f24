"""From images on disk to AP, with a backend that knows the answer."""

import json
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from sparseinst.config.model import ModelConfig
from sparseinst.config.preprocess import NativeConfig
from sparseinst.errors import InputError
from sparseinst.evaluation.evaluator import evaluate
from sparseinst.files import file_hash
from sparseinst.masks import rle
from sparseinst.predictions import Candidates
from tiny import tiny_config

SIDE = 64


class Knowing:
    """Finds the bright square of each image, whatever its place."""

    config: ModelConfig = tiny_config()
    frame = None

    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        masks = (images[:, :1].float() / 255)[:, :, ::2, ::2]
        ones = torch.ones(len(images), 1)
        return Candidates(0.8 * ones, torch.ones(len(images), 1, dtype=torch.int64), masks, 0.9 * ones)


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """Five images with a 16-pixel square each, labelled "box", under sparse category ids."""
    images, annotations = [], []
    for i in range(5):
        image = np.zeros((SIDE, SIDE), np.uint8)
        image[8 * i : 8 * i + 16, 4 : 20 + 4 * i] = 255
        cv2.imwrite(str(tmp_path / f"{i}.png"), image)
        counts = rle.encode(image[None] > 0)[0].decode()
        images.append({"id": 10 + i, "file_name": f"{i}.png", "height": SIDE, "width": SIDE})
        segmentation = {"size": [SIDE, SIDE], "counts": counts}
        annotations.append({"id": i, "image_id": 10 + i, "category_id": 90, "segmentation": segmentation})
    categories = [{"id": 90, "name": "box"}, {"id": 7, "name": "disc"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "truth.json").write_text(json.dumps(content))
    return tmp_path


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (2, 2), (8, 1)])
def test_perfect_masks_reach_ap_one_and_are_saved(squares: Path, batch: int, workers: int) -> None:
    saved = squares / "predictions.json"
    found = evaluate(Knowing(), squares, squares / "truth.json", batch=batch, workers=workers, save=saved)
    assert found.ap == 1.0
    assert {item.name: item.ap for item in found.per_class} == {"box": 1.0, "disc": -1.0}
    results = json.loads(saved.read_text())
    assert [item["image_id"] for item in results] == [10, 11, 12, 13, 14]
    assert {item["category_id"] for item in results} == {90}
    assert results[0]["score"] == pytest.approx(0.8)


def test_a_data_set_is_named_as_for_training(squares: Path) -> None:
    (squares / "set.yaml").write_text("val: {images: ., annotations: truth.json}")
    expected = evaluate(Knowing(), squares, squares / "truth.json").ap
    for part in (None, "val"):
        assert evaluate(Knowing(), data=squares / "set.yaml", part=part).ap == expected
    with pytest.raises(InputError, match="one of its parts val, got test"):
        evaluate(Knowing(), data=squares / "set.yaml", part="test")
    for wrong in ({}, {"images": squares, "data": squares}, {"images": squares, "part": "val"}):
        with pytest.raises(InputError, match="data"):
            evaluate(Knowing(), **wrong)


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (4, 2)])
def test_tiles_find_each_object_once(squares: Path, batch: int, workers: int) -> None:
    found = evaluate(Knowing(), squares, squares / "truth.json", batch=batch, workers=workers, tile=40, overlap=20)
    assert found.ap50 == 1.0 and found.detections == 5


def test_categories_the_model_does_not_know_are_listed(squares: Path) -> None:
    content = json.loads((squares / "truth.json").read_text())
    content["categories"][0]["name"] = "crate"
    (squares / "truth.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="crate"):
        evaluate(Knowing(), squares, squares / "truth.json")


def test_a_report_takes_one_pass_of_the_network(squares: Path) -> None:
    class Counting(Knowing):
        images = 0

        def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
            self.images += len(images)
            return super().__call__(images, resized_hw)

    network, truth = Counting(), squares / "truth.json"
    found = evaluate(network, squares, truth, report=squares / "out/report", model_name="squares")
    assert network.images == 5
    numbers = json.loads((squares / "out/report/report.json").read_text())
    assert numbers["evaluation"] == json.loads(json.dumps(found.to_json()))
    assert (numbers["about"]["model"], numbers["about"]["backend"]) == ("squares", "Counting")
    assert "64 px on the short side" in numbers["about"]["frame"]
    assert numbers["about"]["annotations_sha256"] == file_hash(truth)
    assert "<h1>squares on truth.json</h1>" in (squares / "out/report/index.html").read_text()


def test_twins_and_pieces_are_counted_at_the_default_score(squares: Path) -> None:
    class Odd(Knowing):
        """The square twice, once with a speck of its own, and surely a third time below the default score of 0.3."""

        def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
            masks = super().__call__(images, resized_hw).masks.repeat(1, 3, 1, 1)
            masks[:, 1, -3:, :3] = 1
            scores = torch.tensor([[0.8, 0.6, 0.2]]).repeat(len(images), 1)
            return Candidates(scores, torch.tensor([[1, 0, 1]]).repeat(len(images), 1), masks, scores)

    found = evaluate(Odd(), squares, squares / "truth.json", report=squares / "report")
    assert (found.detections, found.twins, found.pieces) == (15, 1.0, 0.5)
    plain = evaluate(Knowing(), squares, squares / "truth.json")
    assert (plain.twins, plain.pieces) == (0, 0)
    assert json.loads((squares / "report/report.json").read_text())["evaluation"]["pieces"] == 0.5


def test_native_scale_is_measured_at_the_scale_asked_for(squares: Path) -> None:
    class Native(Knowing):
        config = Knowing.config.model_copy(update={"preprocess": NativeConfig(diameter_px=16)})
        frames: ClassVar[set[tuple[int, ...]]] = set()

        def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
            self.frames.add(tuple(images.shape[2:]))
            return super().__call__(images, resized_hw)

    network, truth = Native(), squares / "truth.json"
    assert evaluate(network, squares, truth).ap == 1.0
    evaluate(network, squares, truth, diameter=8, report=squares / "report")
    assert network.frames == {(64, 64), (128, 128)}
    about = json.loads((squares / "report/report.json").read_text())["about"]
    expected = "tiles of what is larger than 1536 x 1536 network pixels, 2 network pixels for each pixel of the image, "
    assert about["frame"] == expected + "padded to multiples of 32"


def test_a_report_that_cannot_be_written_is_told_before_the_network_runs(squares: Path) -> None:
    class Refusing(Knowing):
        def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
            raise AssertionError("ran")

    with pytest.raises(InputError, match=r"report .*: expected a new or empty folder"):
        evaluate(Refusing(), squares, squares / "truth.json", report=squares)
