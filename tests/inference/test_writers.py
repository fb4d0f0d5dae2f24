import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sparseinst import rle
from sparseinst.files import atomic
from sparseinst.inference import (
    label_image,
    output_stems,
    to_coco,
    to_detections,
    write_image,
    write_json,
    write_labels,
)
from sparseinst.structures import Instances


def instances_of(masks: NDArray[np.bool_], scores: list[float], labels: list[int] | None = None) -> Instances:
    count = len(masks)
    return Instances(
        np.array(scores, np.float32),
        np.array(labels or [0] * count, np.int64),
        rle.encode(masks),
        np.arange(count),
        (masks.shape[1], masks.shape[2]),
    )


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_label_image_is_the_best_instance_of_each_pixel(data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9))
    masks = data.draw(hnp.arrays(np.bool_, shape))
    scores = data.draw(st.permutations([(i + 1) / 10 for i in range(len(masks))]))
    expected = np.zeros(shape[1:], np.uint16)
    for i in sorted(range(len(masks)), key=lambda i: scores[i]):
        expected[masks[i]] = i + 1
    image = label_image(instances_of(masks, list(scores)))
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, expected)


def test_label_image_of_none() -> None:
    assert label_image(Instances.empty((4, 6))).tolist() == np.zeros((4, 6)).tolist()


def test_label_png_keeps_numbers_above_255(tmp_path: Path) -> None:
    masks = np.zeros((300, 20, 15), bool)
    masks.reshape(300, -1)[np.arange(300), np.arange(300)] = True
    write_labels(tmp_path / "größe.png", instances_of(masks, [0.5] * 300))
    read = cv2.imdecode(np.fromfile(tmp_path / "größe.png", np.uint8), cv2.IMREAD_UNCHANGED)
    assert read.dtype == np.uint16
    assert read.ravel().tolist() == list(range(1, 301))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_pictures_are_rgb_and_leave_no_temporary_file(tmp_path: Path, suffix: str) -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0] = 250
    write_image(tmp_path / f"x{suffix}", image)
    blue, green, red = cv2.imread(str(tmp_path / f"x{suffix}"))[8, 8]
    assert red > 240 and green < 10 and blue < 10
    assert [path.name for path in tmp_path.iterdir()] == [f"x{suffix}"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"é": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, [1, float("nan")])
    with pytest.raises(KeyError), atomic(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert json.loads(path.read_text(encoding="utf-8")) == {"é": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_coco_records_decode_to_the_masks() -> None:
    masks = np.random.default_rng(0).random((3, 12, 9)) > 0.6
    records = to_coco(instances_of(masks, [0.75, 0.5, 0.25], [1, 0, 1]), 77, [4, 90])
    assert json.loads(json.dumps(records)) == records
    assert [(r["image_id"], r["category_id"], r["score"]) for r in records] == [
        (77, 90, 0.75),
        (77, 4, 0.5),
        (77, 90, 0.25),
    ]
    assert all("bbox" not in record for record in records)
    for record, mask in zip(records, masks, strict=True):
        np.testing.assert_array_equal(coco_mask.decode(record["segmentation"]), mask)


def test_detections() -> None:
    masks = np.zeros((2, 10, 12), bool)
    masks[0, 2:5, 3:9] = masks[1, 6:, :2] = True
    detections = to_detections(instances_of(masks, [0.9, 0.5], [1, 0]), ("cat", "dog"))
    assert detections.xyxy.tolist() == [[3, 2, 9, 5], [0, 6, 2, 10]]
    assert detections.data["class_name"].tolist() == ["dog", "cat"]
    assert detections.class_id.tolist() == [1, 0]
    np.testing.assert_array_equal(detections.mask, masks)
    np.testing.assert_allclose(detections.confidence, [0.9, 0.5])
    assert len(to_detections(Instances.empty((10, 12)), ("cat",))) == 0


def test_stems_never_meet(tmp_path: Path) -> None:
    out = tmp_path / "out"
    paths = [tmp_path / name for name in ("a/x.png", "b/x.png", "a/X.jpg", "a/x-2.png", "a/y.png", "a/x.png")]
    stems = output_stems(paths, out, ["_overlay.png"])
    assert stems[0] == "x" and stems[4] == "y"
    assert len({stem.casefold() for stem in stems}) == len(paths)


def test_stems_never_overwrite_an_input(tmp_path: Path) -> None:
    paths = [tmp_path / "x.png", tmp_path / "x_overlay.png"]
    stems = output_stems(paths, tmp_path, ["_overlay.png"])
    assert not {tmp_path / f"{stem}_overlay.png" for stem in stems} & set(paths)
