import json
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from inference.standins import ActiveBackend, ColorBackend
from sparseinst.config.preprocess import PreprocessConfig
from sparseinst.errors import InputError
from sparseinst.inference.outcome import ImageResult
from sparseinst.inference.pipeline import Pipeline
from sparseinst.inference.prediction import predict_files
from sparseinst.inference.tiles import Cut
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


def stack(path: Path, *channels: int | None) -> Path:
    """A TIFF file with a page for each channel, bright squares of which it shows; None is a page that is damaged."""
    with tifffile.TiffWriter(path) as file:
        for channel in channels:
            page = np.zeros((64, 96, 3), np.uint8)
            page[8:40, 8:32, channel or 0] = 255
            file.write(page, photometric="rgb", metadata=None, compression="zlib")
    with tifffile.TiffFile(path) as file:
        starts = [page.dataoffsets[0] for page in file.pages]
    content = bytearray(path.read_bytes())
    for start in (start for start, channel in zip(starts, channels, strict=True) if channel is None):
        content[start : start + 20] = b"\xff" * 20
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("batch", [1, 3])
def test_every_page_is_an_image_and_a_broken_one_is_broken_alone(tmp_path: Path, batch: int) -> None:
    save(tmp_path / "in/a.png", 0)
    stack(tmp_path / "in/b.tif", 0, None, 2)
    save(tmp_path / "in/b_2.png", 1)
    frames = [Image.fromarray(np.full((64, 96, 3), value, np.uint8)) for value in ((255, 0, 0), (0, 255, 0))]
    frames[0].save(tmp_path / "in/c.gif", save_all=True, append_images=frames[1:])
    seen: list[ImageResult] = []
    report = predict_files(
        tmp_path / "in", model=ColorBackend(), out=tmp_path / "out", save_json=True, save_masks=True, batch=batch,
        on_image=seen.append,
    )  # fmt: skip
    assert [(result.name.removeprefix(f"{tmp_path}/in/"), result.position, result.pages) for result in seen] == [
        ("a.png", 1, 1), ("b.tif[0]", 2, 3), ("b.tif[1]", 2, 3), ("b.tif[2]", 2, 3), ("b_2.png", 3, 1),
        ("c.gif[0]", 4, 2), ("c.gif[1]", 4, 2),
    ]  # fmt: skip
    assert {result.total for result in seen} == {4}
    labels = [None if result.instances is None else result.instances.labels.tolist() for result in seen]
    assert labels == [[0], [0], None, [2], [1], [0], [1]]
    assert seen[2].error is not None and seen[2].error.startswith(f"{tmp_path}/in/b.tif[1]: ")
    assert [(failure.path.name, failure.page) for failure in report.failures] == [("b.tif", 1)]
    assert (report.images, report.instances) == (6, 6)
    stems = ["a", "b_0", "b_2-2", "b_2", "c_0", "c_1"]
    files = [f"{stem}_{kind}.png" for stem in stems for kind in ("overlay", "labels")]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*files, "predictions.json"}
    assert [r.overlay.name.removesuffix("_overlay.png") for r in seen if r.overlay] == stems
    coco = json.loads(report.results.read_text(encoding="utf-8"))
    file_names = ["a.png", "b.tif[0]", "b.tif[2]", "b_2.png", "c.gif[0]", "c.gif[1]"]
    assert [image["file_name"] for image in coco["images"]] == file_names
    assert [image["id"] for image in coco["images"]] == [1, 2, 4, 5, 6, 7]
    assert [annotation["image_id"] for annotation in coco["annotations"]] == [1, 2, 4, 5, 6, 7]


def test_files_of_many_pages_sort_as_their_pages(tmp_path: Path) -> None:
    seen: list[ImageResult] = []
    predict_files(
        stack(tmp_path / "s.tif", *[0] * 11), model=ColorBackend(), out=tmp_path / "out", on_image=seen.append
    )
    written = [result.overlay.name for result in seen]
    assert written[0] == "s_00_overlay.png" and written[-1] == "s_10_overlay.png"
    assert written == sorted(written)


def test_one_page_at_a_time_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[weakref.ref[NDArray[np.uint8]]] = []
    most: list[int] = []

    class Watching(Pipeline):
        def cut(self, image: NDArray[np.uint8], *how: PreprocessConfig) -> Cut:
            held.append(weakref.ref(image))
            most.append(sum(reference() is not None for reference in held))
            return super().cut(image, *how)

    monkeypatch.setattr("sparseinst.inference.prediction.Pipeline", Watching)
    predict_files(stack(tmp_path / "s.tif", *[0] * 12), model=ColorBackend())
    assert len(held) == 12 and max(most) <= 3


def test_what_was_not_read_is_reported(folder: Path) -> None:
    for name in ("notes.docx", "a.oib", "a.json", ".x.oib"):
        (folder / name).touch()
    report = predict_files(folder, model=ColorBackend())
    assert [path.name for path in report.unread] == ["a.oib", "notes.docx"]
    assert [path.name for path in report.unread_images] == ["a.oib"]
    assert predict_files(folder / "a.png", model=ColorBackend()).unread == ()


def test_subfolders_keep_their_paths(tmp_path: Path) -> None:
    for name in ("x.png", "a/x.png", "a/b/x.jpg", "a_x.png"):
        save(tmp_path / "in" / name, 0)
    seen: list[ImageResult] = []
    for _ in range(2):  # where results lie in the folder, they are not read when it is gone through again
        seen.clear()
        report = predict_files(
            tmp_path / "in", model=ColorBackend(), out=tmp_path / "in/out", save_json=True, save_masks=True,
            recursive=True, on_image=seen.append,
        )  # fmt: skip
        names = [image["file_name"] for image in json.loads(report.results.read_text(encoding="utf-8"))["images"]]
        assert names == ["a/b/x.jpg", "a/x.png", "a_x.png", "x.png"]
        written = [result.overlay.name for result in seen]
        assert written == ["a_b_x_overlay.jpg", "a_x_overlay.png", "a_x-2_overlay.png", "x_overlay.png"]
    assert predict_files(tmp_path / "in", model=ColorBackend()).images == 2


@pytest.mark.parametrize("recursive", [False, True])
def test_a_folder_that_is_written_to_can_be_read_again(folder: Path, recursive: bool) -> None:
    (folder / "b.png").unlink()
    stack(folder / "e.tif", 0, 1)
    found = []
    for _ in range(2):
        seen: list[ImageResult] = []
        report = predict_files(
            folder, model=ActiveBackend(), out=folder, save_json=True, save_masks=True, iam=True, recursive=recursive,
            on_image=seen.append,
        )  # fmt: skip
        assert report.unread == () and report.failures == ()
        found.append(([result.name for result in seen], sorted(path.name for path in folder.iterdir())))
    assert found[0] == found[1]
    assert len(found[0][0]) == 6


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
    from sparseinst.masks import rle

    masks = np.zeros((len(scores), 3, 4), bool)
    for i, mask in enumerate(masks):
        mask[:, i] = True
    instances = Instances(
        np.array(scores, np.float32), np.array(labels, np.int64), rle.encode(masks), np.arange(len(scores)), (3, 4)
    )
    return ImageResult(Path("x.png"), 1, 1, ("red", "blue"), instances=instances)
