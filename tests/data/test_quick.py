import json
import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from real import NUCLEI, PHOTOGRAPHS
from sparseinst.data.coco import CocoDataset
from sparseinst.data.kept import open_records, read_kept, write_kept
from sparseinst.data.quick import read_quickly
from sparseinst.data.records import Records, parse_records
from sparseinst.errors import InputError

Document = dict[str, Any]
HEIGHT, WIDTH = 20, 30


def masks_of(records: Records) -> list[bytes]:
    owners = np.repeat(np.arange(len(records.image_ids)), np.diff(records.first))
    return [records.masks.counts(row, tuple(records.sizes_hw[owner].tolist())) for row, owner in enumerate(owners)]


def assert_same(found: Records, expected: Records) -> None:
    assert found.classes == expected.classes and found.category_ids == expected.category_ids
    for name in ("image_ids", "sizes_hw", "first", "labels"):
        assert getattr(found, name).dtype == getattr(expected, name).dtype == np.int64
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    assert np.array_equal(found.file_names.data, expected.file_names.data)
    assert np.array_equal(found.file_names.offsets, expected.file_names.offsets)
    assert masks_of(found) == masks_of(expected) and found.digest() == expected.digest()
    assert (found.left_out is None) == (expected.left_out is None)
    if found.left_out is not None and expected.left_out is not None:
        assert found.left_out.number == expected.left_out.number and found.left_out.of == expected.left_out.of


@pytest.mark.parametrize("root", [NUCLEI, PHOTOGRAPHS], ids=lambda root: root.name)
def test_real_files_are_what_the_checks_make_of_them(root: Path) -> None:
    for path in root.glob("*.json"):
        found = read_quickly(path)
        assert found is not None
        assert_same(found, parse_records(path, json.loads(path.read_text())))


coordinates = st.one_of(
    st.integers(-5, 35), st.floats(-5, 35).map(lambda value: round(value, 2)), st.floats(0, 20, allow_nan=False)
)
outlines = st.integers(0, 6).flatmap(lambda points: st.lists(coordinates, min_size=2 * points, max_size=2 * points))
rles = st.integers(0, HEIGHT * WIDTH).flatmap(
    lambda first: st.just({"size": [HEIGHT, WIDTH], "counts": [first, HEIGHT * WIDTH - first]})
)
segmentations = st.one_of(st.lists(outlines, max_size=3), rles)
annotation = st.fixed_dictionaries({
    "image_id": st.sampled_from([7, 3]), "category_id": st.sampled_from([5, 9]), "segmentation": segmentations,
    "iscrowd": st.sampled_from([0, 0, 0, 1]),
})  # fmt: skip


@settings(deadline=None)
@given(st.lists(annotation, max_size=8))
def test_any_masks_are_what_the_checks_make_of_them(
    tmp_path_factory: pytest.TempPathFactory, annotations: list[Document]
) -> None:
    content = {
        "images": [{"id": i, "file_name": f"{i} é.png", "height": HEIGHT, "width": WIDTH} for i in (7, 3)],
        "categories": [{"id": 9, "name": "b"}, {"id": 5, "name": "a"}],
        "annotations": annotations,
    }
    path = tmp_path_factory.mktemp("any") / "a.json"
    path.write_text(json.dumps(content, ensure_ascii=False))
    found = read_quickly(path)
    assert found is not None
    assert_same(found, parse_records(path, content))
    write_kept(path.with_suffix(".arrow"), found)
    again = read_kept(path.with_suffix(".arrow"))
    assert again is not None and again.left_out == found.left_out
    assert_same(again, found)


def broken(document: Document, name: str) -> str:
    image, mask = document["images"][0], document["annotations"][0]
    if name == "placeholder":
        document["categories"] = [{"id": 0, "name": "all", "supercategory": "none"}] + [
            {**item, "supercategory": "all"} for item in document["categories"]
        ]
    changes: dict[str, Callable[[], object]] = {
        "no images": lambda: document.update(images=[]),
        "no field": lambda: document.pop("categories"),
        "text as a number": lambda: image.update(height="20"),
        "a fraction": lambda: image.update(id=1.5),
        "two images of one id": lambda: document["images"].append(dict(image)),
        "no side": lambda: image.update(width=0),
        "unknown image": lambda: mask.update(image_id=12345),
        "unknown category": lambda: mask.update(category_id=12345),
        "two annotations of one id": lambda: document["annotations"].append(dict(mask)),
        "odd numbers": lambda: mask.update(segmentation=[[1, 2, 3, 4, 5, 6, 7]]),
        "a word": lambda: mask.update(segmentation=[[1, 2, 3, 4, 5, "6"]]),
        "a truth": lambda: mask.update(segmentation=[[1, 2, 3, 4, 5, True]]),
        "far away": lambda: mask.update(segmentation=[[1, 2, 3, 4, 5, 1e9]]),
        "far away, of two points": lambda: mask.update(segmentation=[[1, 2, 3, 1e9]]),
        "no number": lambda: mask.update(segmentation=[[1, 2, 3, 4, 5, float("nan")]]),
        "no mask": lambda: mask.pop("segmentation"),
        "a mask of another size": lambda: mask.update(segmentation={"size": [3, 3], "counts": [4, 5]}),
        "damaged runs": lambda: mask.update(segmentation={"size": [HEIGHT, WIDTH], "counts": "zzzz9999PPPP"}),
        "placeholder": lambda: None,
    }
    changes[name]()
    return json.dumps(document)


@pytest.mark.parametrize("name", [
    "no images", "no field", "text as a number", "a fraction", "two images of one id", "no side", "unknown image",
    "unknown category", "two annotations of one id", "odd numbers", "a word", "a truth", "far away",
    "far away, of two points", "no number", "no mask", "a mask of another size", "damaged runs", "placeholder",
])  # fmt: skip
def test_what_is_not_plain_is_left_to_the_checks(content: Document, tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    assert read_quickly(path) is not None
    path.write_text(broken(content, name))
    assert read_quickly(path) is None


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"images": []}'])
def test_what_is_no_annotation_file_is_left_to_the_checks(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert read_quickly(tmp_path / "a.json") is None
    assert open_records(tmp_path / "absent.json") is None


def large(content: Document) -> str:
    """Annotations in a file of a size that is worth keeping what was read of it."""
    return json.dumps(content) + " " * 20_000_000


def test_a_large_file_is_read_once_as_long_as_it_stays_the_same(
    write: Callable[..., tuple[Path, Path]], content: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("SPARSEINST_CACHE", str(tmp_path / "cache"))
    content["annotations"][0]["segmentation"] = [[-9, -9, -8, -9, -8, -8]]
    images, path = write(content)
    path.write_text(large(content))
    first = CocoDataset.load(images, path)
    (file,) = (tmp_path / "cache/annotations").iterdir()
    caplog.clear()
    second = CocoDataset.load(images, path)
    assert "1 of 5 annotations left out" in caplog.text
    assert_same(second.records, first.records)
    assert [second.rles(i) for i in range(3)] == [first.rles(i) for i in range(3)]
    write_kept(file, replace(first.records, classes=("kept", "too")))
    assert CocoDataset.load(images, path).classes == ("kept", "too"), "the annotations were read again"
    file.write_bytes(file.read_bytes()[:-20])  # torn: read again
    assert_same(CocoDataset.load(images, path).records, first.records)
    content["annotations"].pop(1)
    path.write_text(large(content))
    assert CocoDataset.load(images, path).instances == first.instances - 1
    (images / "7.png").unlink()
    with pytest.raises(InputError, match=r"1 are missing.*7\.png"):
        CocoDataset.load(images, path)


def test_what_is_lost_without_pyarrow_is_said(
    write: Callable[..., tuple[Path, Path]], content: Document, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    images, path = write(content)
    path.write_text(large(content))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with caplog.at_level(logging.WARNING):
        assert len(CocoDataset.load(images, path)) == 3
    assert "pip install 'sparseinst[scale]'" in caplog.text
