"""What a user does with a predictor and its results."""

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import sparseinst
from inference.standins import ColorBackend
from sparseinst import InputError, Instances, Predictor


@pytest.fixture
def image() -> np.ndarray:
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[10:30, 10:40, 0] = pixels[40:60, 50:90, 1] = 255
    return pixels


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(ColorBackend())


def png(image: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def test_an_image_of_any_kind_gives_the_same(predictor: Predictor, image: np.ndarray, tmp_path: Path) -> None:
    expected = predictor(image)
    assert len(expected) == 2
    (tmp_path / "a.png").write_bytes(png(image))
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    for kind in (str(tmp_path / "a.png"), png(image), Image.fromarray(image), tensor, tensor.float() / 255):
        assert predictor(kind).rles == expected.rles
    both = predictor(torch.stack([tensor, tensor]))
    assert isinstance(both, list) and [one.rles for one in both] == [expected.rles] * 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.zeros(5, 8, 8, dtype=torch.uint8), r"tensor \(3, H, W\)"),
        (torch.full((3, 8, 8), 255.0), r"in 0\.\.1, got 255"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "uint8, or floating"),
        (b"no image", "could not decode"),
    ],
)
def test_what_is_no_image_is_an_input_error(predictor: Predictor, wrong: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        predictor(wrong)


def test_options_of_a_call(predictor: Predictor, image: np.ndarray) -> None:
    everything = predictor(image, score=0.0)
    assert everything.scores.tolist() == sorted(everything.scores.tolist(), reverse=True)
    best = predictor(image, max_instances=1)
    assert best.rles == everything.rles[:1]
    name = everything.names[1]
    assert set(predictor(image, classes=[name]).names) == {name}
    for wrong in ({"score": 2.0}, {"classes": ["tree"]}, {"max_instances": 0}):
        with pytest.raises(InputError):
            predictor(image, **wrong)


def test_instances_say_what_they_are(predictor: Predictor, image: np.ndarray) -> None:
    found = predictor(image)
    assert all(name in repr(found) for name in found.names) and "64 x 96" in repr(found) and len(repr(found)) < 120
    assert repr(Instances.empty((4, 6))) == "Instances(none in 4 x 6)"
    assert "ColorBackend" in repr(predictor)
    told = json.loads(found.to_json())
    assert (told["width"], told["height"], told["instances"]) == (96, 64, found.summary())
    assert [item["class"] for item in found.summary()] == found.names


def test_instances_are_saved_as_their_name_says(predictor: Predictor, image: np.ndarray, tmp_path: Path) -> None:
    found = predictor(image)
    assert json.loads(found.save(tmp_path / "a.json").read_text()) == json.loads(found.to_json())
    labels = cv2.imread(str(found.save(tmp_path / "a.png")), cv2.IMREAD_UNCHANGED)
    assert labels.dtype == np.uint16 and np.unique(labels).tolist() == [0, 1, 2]
    picture = cv2.imread(str(found.save(tmp_path / "b.jpg", image)))
    assert min(picture.shape[:2]) >= 64 and found.plot(image).shape == image.shape
    with pytest.raises(InputError, match=r"expected \.json"):
        found.save(tmp_path / "a.jpg")


def test_a_table_has_a_row_an_instance(predictor: Predictor, image: np.ndarray, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    found = predictor(image)
    table = found.to_dataframe()
    assert table["class"].tolist() == found.names and table["area"].tolist() == found.areas.tolist()
    again = pandas.read_csv(found.save(tmp_path / "a.csv"))
    assert again["id"].tolist() == [1, 2]


def test_videos_are_followed(image: np.ndarray) -> None:
    frames = [np.roll(image, step, axis=1) for step in range(4)]
    results = list(sparseinst.track(frames, model=ColorBackend()))
    assert len(results) == 4
    ids = [sorted(result.ids.tolist()) for result in results]
    assert ids[0] == [1, 2] and all(found == ids[0] for found in ids)
