import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as oracle
from pycocotools.coco import COCO

from dense import dense_masks
from real import NUCLEI, PHOTOGRAPHS
from sparseinst.config.preprocess import ShortSideConfig
from sparseinst.data.coco import CocoDataset
from sparseinst.data.packed import Blobs
from sparseinst.errors import InputError
from sparseinst.masks import rle

Write = Callable[..., tuple[Path, Path]]
Document = dict[str, Any]


def unlayered(layers: np.ndarray, count: int) -> np.ndarray:
    """The dense masks that label layers hold."""
    numbers = np.arange(1, count + 1)[:, None, None, None]
    return (layers[None] == numbers).any(1)


def test_what_a_file_holds(write: Write) -> None:
    images, annotations = write()
    dataset = CocoDataset.load(images, annotations)
    assert dataset.classes == ("cell", "disc") and dataset.category_ids == (5, 9)
    assert len(dataset) == 3 and dataset.image_ids.tolist() == [1, 7, 4] and dataset.instances == 4
    assert dataset.path(1) == images / "7.png" and dataset.size_hw(1) == (20, 30)
    assert [dataset.labels(i).tolist() for i in range(3)] == [[0, 1, 0], [], [1]]  # the crowd is no instance
    assert dataset.labels(0).dtype == np.int64
    assert dataset.masks(0).sum((1, 2))[0] == 100 and dataset.masks(1).shape == (0, 20, 30)
    assert dataset.masks(2)[0, :, :2].all() and dataset.masks(2).sum() == 40
    assert dataset.image(2, ShortSideConfig()).shape == (20, 30, 3)


def test_layers_hold_the_same_masks_in_few(write: Write) -> None:
    dataset = CocoDataset.load(*write())
    assert [dataset.layers(i).shape for i in range(3)] == [(2, 20, 30), (1, 20, 30), (1, 20, 30)]
    for index in range(3):
        layers = dataset.layers(index)
        assert layers.dtype == np.int32 and layers.flags.c_contiguous
        assert (unlayered(layers, len(dataset.labels(index))) == dataset.masks(index)).all()


@given(masks=dense_masks(most=8))
def test_layers_of_any_masks(masks: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> None:
    masks = masks[masks.any((1, 2))]
    folder = tmp_path_factory.mktemp("any")
    height, width = masks.shape[1:]
    annotations = [
        {"image_id": 1, "category_id": 1, "segmentation": {"size": [height, width], "counts": counts.decode()}}
        for counts in rle.encode(masks)
    ]
    Image.new("L", (width, height)).save(folder / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": height, "width": width}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": annotations,
    }
    (folder / "a.json").write_text(json.dumps(content))
    layers = CocoDataset.load(folder, folder / "a.json").layers(0)
    assert (unlayered(layers, len(masks)) == masks).all()
    assert len(layers) <= max(1, len(masks)) and (len(layers) == 1 or masks.sum(0).max() > 1)


@pytest.mark.parametrize("root", [NUCLEI, PHOTOGRAPHS], ids=lambda root: root.name)
def test_real_files_agree_with_pycocotools(root: Path) -> None:
    assert_agrees_with_pycocotools(root, every=1)


@pytest.mark.data
@pytest.mark.parametrize("name", ["coco_mini", "dsb2018"])
def test_large_sets_agree_with_pycocotools(shared: Path, name: str) -> None:
    assert_agrees_with_pycocotools(shared / "data" / name, every=3)


def assert_agrees_with_pycocotools(root: Path, *, every: int) -> None:
    dataset = CocoDataset.load(root / "val", root / "val.json")
    expected = COCO(str(root / "val.json"))
    assert dataset.instances == len(expected.getAnnIds(iscrowd=False))
    assert dataset.category_ids == tuple(sorted(expected.getCatIds()))
    for index in range(0, len(dataset), every):
        records = expected.loadAnns(expected.getAnnIds(int(dataset.image_ids[index]), iscrowd=False))
        labels, counts = dataset.labels(index), dataset.rles(index)
        assert [dataset.category_ids[label] for label in labels] == [item["category_id"] for item in records]
        masks = [oracle.decode(expected.annToRLE(item)).astype(bool) for item in records]
        assert all((one == two).all() for one, two in zip(dataset.masks(index), masks, strict=True))
        assert (unlayered(dataset.layers(index), len(counts)) == dataset.masks(index)).all()


def test_classes_meet_by_name(write: Write) -> None:
    dataset = CocoDataset.load(*write())
    remapped = dataset.remap(("disc", "vessel", "cell"))
    assert remapped.classes == ("disc", "vessel", "cell") and remapped.category_ids == (9, -1, 5)
    assert remapped.labels(0).tolist() == [2, 0, 2] and dataset.labels(0).tolist() == [0, 1, 0]
    assert remapped.remap(dataset.classes).labels(0).tolist() == [0, 1, 0]
    with pytest.raises(InputError, match=r"others: cell: rename"):
        dataset.remap(("disc", "vessel"))


def test_an_unused_category_need_not_be_known(write: Write, content: Document) -> None:
    content["categories"].append({"id": 0, "name": "all cells"})  # the parent category of some exporters
    dataset = CocoDataset.load(*write(content))
    assert dataset.classes == ("all cells", "cell", "disc") and dataset.labels(0).tolist() == [1, 2, 1]
    assert dataset.remap(("disc", "cell")).labels(0).tolist() == [1, 0, 1]


def test_names_of_any_letters_and_folders(write: Write, content: Document, tmp_path: Path) -> None:
    (tmp_path / "train" / "größe").mkdir(parents=True)
    content["images"][0]["file_name"] = "größe/細胞 1.png"
    content["categories"][1]["name"] = "Zelle é"
    dataset = CocoDataset.load(*write(content))
    assert dataset.path(0) == tmp_path / "train" / "größe" / "細胞 1.png" and dataset.classes[0] == "Zelle é"
    assert dataset.image(0, ShortSideConfig()).shape == (20, 30, 3)


def test_a_compressed_mask_may_be_text(write: Write, content: Document) -> None:
    mask = np.zeros((1, 20, 30), bool)
    mask[0, 4:9, 3:25] = True
    content["annotations"][3]["segmentation"]["counts"] = rle.encode(mask)[0].decode()
    assert (CocoDataset.load(*write(content)).masks(2) == mask).all()


@pytest.mark.parametrize(
    "segmentation",
    [
        [],
        [[]],
        [[1, 2, 3, 4]],
        [[1, 2, 9, 2, 5, 2]],
        [[3, 3, 3, 3, 3, 3]],
        [[40, 2, 50, 2, 50, 9]],
        [[2, -9, 8, -9, 8, -2]],
        [[0.1, 0.2, 0.4, 0.2, 0.3, 0.3]],
        {"size": [20, 30], "counts": [600]},
    ],
)
def test_masks_without_a_pixel_are_left_out_and_told(
    write: Write, content: Document, caplog: pytest.LogCaptureFixture, segmentation: object
) -> None:
    content["annotations"][1]["segmentation"] = segmentation
    content["annotations"][2]["segmentation"] = segmentation
    with caplog.at_level(logging.WARNING):
        dataset = CocoDataset.load(*write(content))
    assert dataset.instances == 2 and dataset.labels(0).tolist() == [0]
    assert caplog.records[0].getMessage().endswith("correct or remove annotation 11, annotation 12")
    assert "2 of 5 annotations" in caplog.text and len(caplog.records) == 1


def test_a_part_of_two_points_does_not_spoil_the_others(write: Write, content: Document) -> None:
    square = content["annotations"][0]["segmentation"][0]
    expected = CocoDataset.load(*write(content)).masks(0)[0]
    content["annotations"][0]["segmentation"] = [[1, 2, 3, 4], square]
    assert (CocoDataset.load(*write(content)).masks(0)[0] == expected).all()


def _set(*path: str | int, value: object) -> Callable[[Document], None]:
    def change(content: Document) -> None:
        for key in path[:-1]:
            content = content[key]  # type: ignore[index]
        content[path[-1]] = value  # type: ignore[index]

    return change


def _drop(*path: str | int) -> Callable[[Document], None]:
    def change(content: Document) -> None:
        for key in path[:-1]:
            content = content[key]  # type: ignore[index]
        del content[path[-1]]  # type: ignore[arg-type]

    return change


SEGMENTATION = ("annotations", 1, "segmentation")
BAD = {
    "no images": (_drop("images"), "'images'"),
    "images no list": (_set("images", value={}), "images to be a list"),
    "no image at all": (_set("images", value=[]), "at least one image"),
    "image no object": (_set("images", 1, value="a.png"), "image number 1.*object"),
    "image without id": (_drop("images", 1, "id"), "image number 1.*'id'"),
    "image twice": (_set("images", 1, "id", value=4), "image 4.*unique"),
    "image id of text": (_set("images", 1, "id", value="7"), "id to be a whole number.*'7'"),
    "image id too large": (_set("images", 1, "id", value=2**63), "id to be a whole number"),
    "width of 0": (_set("images", 1, "width", value=0), "image 7.*height and width"),
    "width as text": (_set("images", 1, "width", value="30"), "width to be a whole number"),
    "width as fraction": (_set("images", 1, "width", value=30.0), "width to be a whole number"),
    "no file name": (_drop("images", 1, "file_name"), "image 7.*'file_name'"),
    "file absent": (_set("images", 1, "file_name", value="gone"), "1 are missing.*gone"),
    "no category": (_set("categories", value=[]), "at least one category"),
    "category id twice": (_set("categories", 0, "id", value=5), "category 5.*unique id"),
    "category name twice": (_set("categories", 0, "name", value="cell"), "unique name.*'cell'"),
    "unknown image": (_set("annotations", 1, "image_id", value=3), "annotation 11.*image_id.*got 3"),
    "unknown category": (_set("annotations", 1, "category_id", value=1), "annotation 11.*category_id.*got 1"),
    "annotation twice": (_set("annotations", 1, "id", value=10), "annotation 10.*unique"),
    "annotation no object": (_set("annotations", 1, value=[1]), "annotation number 1.*object"),
    "no mask": (_drop(*SEGMENTATION), "annotation 11.*boxes are not enough"),
    "mask of text": (_set(*SEGMENTATION, value="x"), "list of polygons"),
    "flat polygon": (_set(*SEGMENTATION, value=[1, 2, 3, 4, 5, 6]), "each polygon to be a list"),
    "odd polygon": (_set(*SEGMENTATION, value=[[1, 2, 3, 4, 5, 6, 7]]), "each polygon to be a list"),
    "polygon of text": (_set(*SEGMENTATION, value=[["1", 2, 3, 4, 5, 6]]), "list of numbers"),
    "nan": (_set(*SEGMENTATION, value=[[float("nan"), 2, 3, 4, 5, 6]]), "annotation 11.*coordinates"),
    "infinity": (_set(*SEGMENTATION, value=[[1, 2, 3, float("inf"), 5, 6]]), "coordinates"),
    "far away": (_set(*SEGMENTATION, value=[[1, 2, 3, 1e12, 5, 6]]), "coordinates"),
    "another size": (_set("annotations", 3, "segmentation", "size", value=[30, 20]), r"annotation 13.*\[20, 30\].*\[3"),
    "no counts": (_drop("annotations", 3, "segmentation", "counts"), "annotation 13.*counts"),
    "short counts": (_set("annotations", 3, "segmentation", "counts", value=[0, 40]), "600 pixels, got 40"),
    "negative run": (_set("annotations", 3, "segmentation", "counts", value=[-1, 41, 560]), "run lengths"),
    "damaged counts": (_set("annotations", 3, "segmentation", "counts", value="zz"), "annotation 13.*compressed"),
    "cut counts": (_set("annotations", 3, "segmentation", "counts", value="0X1"), "annotation 13.*600 pixels, got 40"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_malformed_records_are_named(write: Write, content: Document, case: str) -> None:
    change, words = BAD[case]
    folder, path = write(content)
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=words) as caught:
        CocoDataset.load(folder, path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"{", "JSON"), (b"\xff\xfe\x00", "JSON"), (b"[]", "results list"), (b"3", "COCO object"), (b"", "JSON")],
)
def test_other_files_are_refused(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(InputError, match=words):
        CocoDataset.load(tmp_path, tmp_path / "a.json")
    with pytest.raises(InputError, match="found none"):
        CocoDataset.load(tmp_path, tmp_path / "b.json")


def test_many_missing_files_are_counted(write: Write, content: Document) -> None:
    folder, path = write(content)
    content["images"] += [{"id": 100 + i, "file_name": f"gone{i}.png", "height": 2, "width": 2} for i in range(9)]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"12 images.*9 are missing: .*gone0\.png.*gone4\.png and 4 more") as caught:
        CocoDataset.load(folder, path)
    assert "gone5" not in str(caught.value)


def test_a_file_of_another_size_names_both(write: Write) -> None:
    folder, path = write()
    dataset = CocoDataset.load(folder, path)
    Image.new("RGB", (20, 30)).save(folder / "4.png")
    with pytest.raises(InputError, match=r"4\.png.*\(20, 30\).*image 4, got \(30, 20\)"):
        dataset.image(2, ShortSideConfig())


def test_annotations_in_any_order_find_their_images(write: Write, content: Document) -> None:
    ordered = CocoDataset.load(*write(content))
    content["annotations"] = [content["annotations"][i] for i in (3, 0, 4, 1, 2)]
    mixed = CocoDataset.load(*write(content))
    assert [mixed.rles(i) for i in range(3)] == [ordered.rles(i) for i in range(3)]
    assert [mixed.labels(i).tolist() for i in range(3)] == [ordered.labels(i).tolist() for i in range(3)]


@given(st.lists(st.binary(max_size=5)))
def test_packed_strings_come_back(items: list[bytes]) -> None:
    packed = Blobs.pack(items)
    assert [packed[i] for i in range(len(items))] == items


@pytest.mark.parametrize("counts", ["zzzz9999PPPP", "52", [600, 1]])
def test_a_damaged_crowd_is_named_too(write: Write, content: Document, counts: object) -> None:
    content["annotations"][-1]["segmentation"]["counts"] = counts
    with pytest.raises(InputError, match="annotation 99"):
        CocoDataset.load(*write(content))
