import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from inference.standins import ColorBackend
from sparseinst.errors import InputError
from sparseinst.inference import ImageResult, predict_files
from sparseinst.structures import Instances


def save(path: Path, *channels: int, size_hw: tuple[int, int] = (64, 96)) -> Path:
    """An image with a bright square of each channel, side by side."""
    image = np.zeros((*size_hw, 3), np.uint8)
    for i, channel in enumerate(channels):
        image[8:40, 8 + 32 * i : 32 + 32 * i, channel] = 255
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(image).save(path, quality=95)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "in/a.png", 0, 1)
    save(tmp_path / "in/a.jpg", 2)
    save(tmp_path / "in/c.png")
    save(tmp_path / "in/d.png", 1, size_hw=(96, 64))
    (tmp_path / "in/b.png").write_bytes((tmp_path / "in/a.png").read_bytes()[:60])
    return tmp_path / "in"


@pytest.mark.parametrize("batch", [1, 2])
def test_a_folder_with_a_broken_file(folder: Path, batch: int) -> None:
    seen: list[ImageResult] = []
    report = predict_files(folder, model=ColorBackend(), batch=batch, on_image=seen.append)
    assert [(r.path.name, r.position, r.total) for r in seen] == [
        (name, i + 1, 5) for i, name in enumerate(("a.jpg", "a.png", "b.png", "c.png", "d.png"))
    ]
    assert [None if r.instances is None else r.instances.labels.tolist() for r in seen] == [[2], [0, 1], None, [], [1]]
    assert seen[2].error is not None and "b.png" in seen[2].error
    assert [failure.path.name for failure in report.failures] == ["b.png"]
    assert (report.images, report.instances, report.out, report.results) == (4, 4, None, None)
    assert report.per_class == {"grün": 2, "red": 1, "blue": 1}
    assert next(iter(report.per_class)) == "grün", "most first"
    assert sorted(path.name for path in folder.iterdir()) == ["a.jpg", "a.png", "b.png", "c.png", "d.png"]


def test_outputs(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "deep"
    seen: list[ImageResult] = []
    report = predict_files(
        folder, model=ColorBackend(), out=out, save_json=True, save_masks=True, batch=3, on_image=seen.append
    )
    good = [result for result in seen if result.error is None]
    written = {path for result in good for path in (result.overlay, result.labels)}
    assert report.results == out / "predictions.json"
    assert set(out.iterdir()) == written | {report.results}
    assert len(written) == 8
    assert [result.overlay.suffix for result in good] == [".jpg", ".png", ".png", ".png"]
    for result in good:
        labels = cv2.imread(str(result.labels), cv2.IMREAD_UNCHANGED)
        assert labels.shape == result.instances.size_hw
        assert sorted(np.unique(labels[labels > 0])) == list(range(1, len(result.instances) + 1))
        overlay = cv2.imread(str(result.overlay))
        assert overlay.shape[0] % labels.shape[0] == 0 and overlay.shape[0] >= labels.shape[0]
    assert np.abs(cv2.imread(str(good[1].overlay)).astype(int)).sum() > 0


def test_results_are_a_coco_dataset(folder: Path, tmp_path: Path) -> None:
    seen: list[ImageResult] = []
    report = predict_files(folder, model=ColorBackend(), out=tmp_path / "out", save_json=True, on_image=seen.append)
    coco = COCO(str(report.results))
    assert [image["file_name"] for image in coco.imgs.values()] == ["a.jpg", "a.png", "c.png", "d.png"]
    assert [category["name"] for category in coco.cats.values()] == ["red", "grün", "blue"]
    by_name = {image["file_name"]: image for image in coco.imgs.values()}
    for result in (result for result in seen if result.instances is not None):
        image = by_name[result.path.name]
        assert (image["height"], image["width"]) == result.instances.size_hw
        annotations = coco.imgToAnns[image["id"]]
        assert [a["score"] for a in annotations] == result.instances.scores.tolist()
        assert [a["category_id"] - 1 for a in annotations] == result.instances.labels.tolist()
        for annotation, mask in zip(annotations, result.instances.masks, strict=True):
            np.testing.assert_array_equal(coco_mask.decode(annotation["segmentation"]), mask)
            rows, columns = mask.nonzero()
            x, y, width, height = annotation["bbox"]
            assert (x, y, x + width, y + height) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert annotation["area"] == mask.sum()


def test_files_of_several_folders_keep_their_paths_and_do_not_collide(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save(tmp_path / name / "x.png", 0)
    seen: list[ImageResult] = []
    report = predict_files(
        f"{tmp_path}/*/x.png", model=ColorBackend(), out=tmp_path, save_json=True, on_image=seen.append
    )
    assert len({result.overlay for result in seen}) == 3
    names = [image["file_name"] for image in json.loads(report.results.read_text(encoding="utf-8"))["images"]]
    assert names == [f"{tmp_path.as_posix()}/{name}/x.png" for name in ("a", "b", "c")]


def test_a_missing_file_of_a_list_is_skipped(folder: Path) -> None:
    (folder / "list.txt").write_text("gone.png\na.png\n")
    report = predict_files(folder / "list.txt", model=ColorBackend())
    assert (report.images, [failure.path.name for failure in report.failures]) == (1, ["gone.png"])


def test_an_image_that_would_exceed_a_fixed_frame_is_made_smaller(folder: Path) -> None:
    report = predict_files(folder, model=ColorBackend(long_px=96, frame=(64, 96)))
    assert [failure.path.name for failure in report.failures] == ["b.png"]  # which is broken
    assert report.images == 4


def test_classes_and_score_choose(folder: Path) -> None:
    assert predict_files(folder, model=ColorBackend(), classes=["grün", "blue"]).per_class == {"grün": 2, "blue": 1}
    assert predict_files(folder, model=ColorBackend(), score=1.0).instances < 4


def test_wrong_requests_name_the_way_out(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'pink'.*red, grün, blue"):
        predict_files(folder, model=ColorBackend(), classes=["red", "pink"])
    with pytest.raises(InputError, match="give out"):
        predict_files(folder, model=ColorBackend(), save_json=True)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="folder that can be written"):
        predict_files(folder, model=ColorBackend(), out=tmp_path / "file")
    with pytest.raises(InputError, match=r"gone\.png"):
        predict_files(tmp_path / "gone.png", model=ColorBackend())


def test_table_of_few_and_of_many() -> None:
    few = _result(scores=[0.5, 0.9], labels=[1, 0]).table()
    assert few.columns == ("#", "class", "score", "box (x0 y0 x1 y1)", "area")
    assert few.rows == [("2", "red", "0.900", "1 0 2 3", "3"), ("1", "blue", "0.500", "0 0 1 3", "3")]
    many = _result(scores=[0.5, 0.75, 0.25], labels=[1, 1, 0]).table(limit=2)
    assert many.rows == [("blue", "2", "0.500 .. 0.750", "3"), ("red", "1", "0.250 .. 0.250", "3")]
    assert _result(scores=[], labels=[]).table().rows == []
    assert ImageResult(Path("x"), 1, 1, ("red",), error="broken").table().rows == []


def _result(scores: list[float], labels: list[int]) -> ImageResult:
    from sparseinst import rle

    masks = np.zeros((len(scores), 3, 4), bool)
    for i, mask in enumerate(masks):
        mask[:, i] = True
    instances = Instances(
        np.array(scores, np.float32), np.array(labels, np.int64), rle.encode(masks), np.arange(len(scores)), (3, 4)
    )
    return ImageResult(Path("x.png"), 1, 1, ("red", "blue"), instances=instances)
