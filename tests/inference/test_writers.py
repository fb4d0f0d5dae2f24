import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from sparseinst.data.signature import is_ours
from sparseinst.files import atomic
from sparseinst.inference.writers import (
    OutputStems,
    label_image,
    to_coco,
    to_detections,
    write_image,
    write_json,
    write_labels,
)
from sparseinst.masks import rle
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
@settings(max_examples=60)
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


def one_pixel_each(count: int, size_hw: tuple[int, int]) -> Instances:
    """Instance i is pixel i, down the columns."""
    height, width = size_hw
    runs = [{"counts": [i, 1, height * width - i - 1], "size": size_hw} for i in range(count)]
    counts = tuple(mask["counts"] for mask in coco_mask.frPyObjects(runs, height, width))
    return Instances(np.full(count, 0.5, np.float32), np.zeros(count, np.int64), counts, np.arange(count), size_hw)


@pytest.mark.parametrize("count", [1, 255, 256, 2**16 - 1])
def test_label_images_are_16_bit_png(tmp_path: Path, count: int) -> None:
    instances = one_pixel_each(count, (256, 257))
    assert label_image(instances).dtype == np.uint16
    file = write_labels(tmp_path / "größe_labels", instances)
    assert [path.name for path in tmp_path.iterdir()] == [file.name] == ["größe_labels.png"]
    read = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_UNCHANGED)
    assert read.dtype == np.uint16
    expected = [*range(1, count + 1), *[0] * (256 * 257 - count)]
    assert read.T.ravel().tolist() == expected
    with Image.open(file) as image:
        assert np.asarray(image).T.ravel().tolist() == expected


def test_label_images_beyond_16_bits_are_tiff(tmp_path: Path) -> None:
    instances = one_pixel_each(2**16 + 1, (256, 257))
    file = write_labels(tmp_path / "a.b_labels", instances)
    assert [path.name for path in tmp_path.iterdir()] == [file.name] == ["a.b_labels.tif"]
    read = tifffile.imread(file)
    assert read.dtype == np.uint32 and read.shape == (256, 257)
    assert read.T.ravel()[: 2**16 + 2].tolist() == [*range(1, 2**16 + 2), 0]
    with Image.open(file) as image:
        assert (np.asarray(image) == read).all()
    assert file.stat().st_size < read.nbytes / 2


@pytest.mark.parametrize(
    ("suffix", "size_hw"), [(".png", (16, 16)), (".jpg", (16, 16)), (".tif", (16, 16)), (".tif", (3000, 2000))]
)
def test_pictures_say_who_wrote_them(tmp_path: Path, suffix: str, size_hw: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*size_hw, 3), np.uint8)
    path = tmp_path / f"x_overlay{suffix}"
    write_image(path, image)
    assert is_ours(path)
    with Image.open(path) as read:
        read.load()
        texts = [read.info.get("Software"), read.info.get("comment"), getattr(read, "tag_v2", {}).get(270)]
        assert np.abs(np.asarray(read).astype(int) - image).mean() < (60 if suffix == ".jpg" else 1e-9)
        Image.fromarray(image).save(path)
    assert any(text in ("sparseinst", b"Software: sparseinst", "Software: sparseinst") for text in texts)
    assert not is_ours(path), "the same name from another program"
    write_image(tmp_path / f"x{suffix}", image)
    assert not is_ours(tmp_path / f"x{suffix}"), "a name that is not one of ours"
    assert not is_ours(tmp_path / f"gone_overlay{suffix}")


def test_a_format_that_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.png or \.jpg, got \.bmp"):
        write_image(tmp_path / "x.bmp", np.zeros((4, 4), np.uint8))
    assert not list(tmp_path.iterdir())


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
    detections = to_detections(replace(instances_of(masks, [0.9, 0.5], [1, 0]), classes=("cat", "dog")))
    assert detections.xyxy.tolist() == [[3, 2, 9, 5], [0, 6, 2, 10]]
    assert detections.data["class_name"].tolist() == ["dog", "cat"]
    assert detections.class_id.tolist() == [1, 0]
    np.testing.assert_array_equal(detections.mask, masks)
    np.testing.assert_allclose(detections.confidence, [0.9, 0.5])
    assert len(to_detections(Instances.empty((10, 12)))) == 0


def test_stems_never_meet(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a/x.png", "b/x.png", "a/X.jpg", "a/x-2.png", "a/y.png", "a/x.png")]
    stems = OutputStems(paths, tmp_path / "out", ["_overlay.png"])
    taken = [stems.take(path.stem) for path in paths]
    assert taken[0] == "x" and taken[4] == "y"
    assert len({stem.casefold() for stem in taken}) == len(paths)


def test_stems_never_overwrite_an_input(tmp_path: Path) -> None:
    paths = [tmp_path / "x.png", tmp_path / "x_overlay.png"]
    stems = OutputStems(paths, tmp_path, ["_overlay.png"])
    assert not {tmp_path / f"{stems.take(path.stem)}_overlay.png" for path in paths} & set(paths)
