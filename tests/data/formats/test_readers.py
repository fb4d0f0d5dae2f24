"""Files as tools write them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.reading import read_content
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.errors import InputError
from sparseinst.masks import rle

HW = (40, 60)


def picture(path: Path, *, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (*HW, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def train(path: Path) -> CocoDataset:
    return CocoDataset.of(resolve_data(path).train)


BOX = "0.1 0.25 0.5 0.25 0.5 0.75 0.1 0.75"  # columns 6..29, rows 10..29
MASK = np.zeros(HW, bool)
MASK[10:30, 6:30] = True


def yolo(root: Path, folder: str = "train", *, image: str = "images", label: str = f"1 {BOX}\n") -> None:
    picture(root / folder / image / "a.png")
    text(root / folder / image.replace("images", "labels") / "a.txt", label)


def test_yolo_as_roboflow_writes_it(tmp_path: Path) -> None:
    for folder in ("train", "valid", "test"):
        yolo(tmp_path, folder)
    data = {f"{key}": f"../{folder}/images" for key, folder in (("train", "train"), ("val", "valid"), ("test", "test"))}
    text(tmp_path / "data.yaml", yaml.safe_dump({**data, "nc": 2, "names": ["a", "b"], "roboflow": {"version": 1}}))
    source = resolve_data(tmp_path)
    assert set(source.splits) == {"train", "val", "test"}
    assert source.found[0].startswith("train: 1 YOLO label files, 2 classes")
    dataset = CocoDataset.of(source.train)
    assert dataset.classes == ("a", "b") and dataset.labels(0).tolist() == [1]
    assert np.array_equal(dataset.masks(0)[0], MASK)


@pytest.mark.parametrize("places", ["images/train", ["images/train"], "train.txt"])
def test_yolo_as_ultralytics_writes_it(tmp_path: Path, places: object) -> None:
    root = tmp_path / "sets" / "mine"
    picture(root / "images" / "train" / "a.png")
    picture(root / "images" / "train" / "b.png", seed=1)
    text(root / "labels" / "train" / "a.txt", f"0 {BOX}\n0 {BOX} 0.93\n\n")  # a confidence is no coordinate
    text(root / "train.txt", "./images/train/a.png\n./images/train/b.png\n")
    names = {0: "a", 1: "b"}
    text(tmp_path / "mine.yaml", yaml.safe_dump({"path": "sets/mine", "train": places, "val": places, "names": names}))
    dataset = train(tmp_path / "mine.yaml")
    assert len(dataset) == 2 and dataset.instances == 2 and not len(dataset.labels(1))
    assert all(np.array_equal(mask, MASK) for mask in dataset.masks(0))


def test_yolo_without_a_yaml_needs_names(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", f"0 {BOX}\n")
    with pytest.raises(InputError, match=r"classes\.txt"):
        resolve_data(tmp_path)
    text(tmp_path / "classes.txt", "cell\n")
    assert train(tmp_path).classes == ("cell",)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("0 0.5 0.5 0.2 0.2\n", "boxes are not enough"),
        (f"7 {BOX}\n", r"line 1: expected a class in 0\.\.1, got 7"),
        ("0 a b c\n", "expected numbers"),
        ("0 0.5\n", "points x y"),
    ],
)
def test_yolo_says_what_is_wrong(tmp_path: Path, label: str, words: str) -> None:
    yolo(tmp_path, label=label)
    text(tmp_path / "data.yaml", yaml.safe_dump({"train": "train/images", "names": ["a", "b"]}))
    with pytest.raises(InputError, match=words):
        train(tmp_path)


def labelme(path: Path, shapes: list[dict[str, object]], **more: object) -> None:
    name = path.with_suffix(".png").name
    content = {"version": "5.5.0", "imagePath": name, "imageHeight": HW[0], "imageWidth": HW[1], "imageData": None}
    text(path, json.dumps({**content, "shapes": shapes, **more}))


def test_labelme_shapes(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "unlabelled.png", seed=1)
    square = [[6, 10], [30, 10], [30, 30], [6, 30]]
    labelme(
        tmp_path / "a.json",
        [
            {"label": "box", "points": square, "shape_type": "polygon", "group_id": None},
            {"label": "box", "points": [[6, 10], [30, 30]], "shape_type": "rectangle"},
            {"label": "disc", "points": [[30, 20], [30, 10]], "shape_type": "circle"},
            {"label": "two", "points": [[0, 0], [5, 0], [5, 5], [0, 5]], "group_id": 3},
            {"label": "two", "points": [[50, 30], [55, 30], [55, 35], [50, 35]], "group_id": 3},
            {"label": "line", "points": [[0, 0], [9, 9]], "shape_type": "line"},
            {"label": "__ignore__", "points": square, "shape_type": "polygon"},
        ],
        imagePath="C:\\Users\\me\\a.png",
    )
    dataset = train(tmp_path)
    assert len(dataset) == 1 and [dataset.classes[i] for i in dataset.labels(0)] == ["box", "box", "disc", "two"]
    masks = dataset.masks(0)
    assert np.array_equal(masks[0], MASK) and np.array_equal(masks[1], MASK)
    assert masks[2].sum() == pytest.approx(np.pi * 100, rel=0.02) and masks[3].sum() == 50


@pytest.mark.parametrize(
    "points", [[[2, 10**400], [9, 2], [9, 9]], 10**400, [[1, "a"]], None], ids=["y", "number", "word", "null"]
)
def test_labelme_points_that_are_none(tmp_path: Path, points: object) -> None:
    picture(tmp_path / "a.png")
    labelme(tmp_path / "a.json", [{"label": "x", "points": points}], imagePath="a.png")
    with pytest.raises(InputError, match=r"a\.json: shape number 0: expected points x y"):
        train(tmp_path)


def test_labelme_files_of_its_makers(tmp_path: Path) -> None:
    """What is written for a mask with a hole and for one in pieces comes back."""
    from sparseinst.data.formats import labelme as form

    masks = np.zeros((2, *HW), bool)
    masks[0, 5:25, 5:25], masks[0, 10:20, 10:20] = True, False
    masks[1, 30:35, 2:9] = masks[1, 30:38, 40:50] = True
    picture(tmp_path / "in" / "a.png")
    records = {
        "images": [{"id": 1, "file_name": "a.png", "height": HW[0], "width": HW[1]}],
        "categories": [{"id": 1, "name": "x"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "segmentation": {"size": list(HW), "counts": c.decode()}}
            for i, c in enumerate(rle.encode(masks))
        ],
    }
    text(tmp_path / "in.json", json.dumps(records))
    form.write(CocoDataset.load(tmp_path / "in", tmp_path / "in.json"), tmp_path / "out")
    shapes = json.loads((tmp_path / "out" / "a.json").read_text())["shapes"]
    assert [shape["shape_type"] for shape in shapes] == ["mask", "polygon", "polygon"]
    assert np.array_equal(train(tmp_path / "out").masks(0), masks)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32", "float32", "colour", "palette"])
def test_label_images_of_any_depth(tmp_path: Path, kind: str) -> None:
    picture(tmp_path / "images" / "a.png")
    (tmp_path / "masks").mkdir()
    labels = np.zeros(HW, np.uint32)
    labels[MASK], labels[0, :3] = 3, 200 if kind in ("uint8", "palette") else 300
    if kind == "colour":
        colours = np.stack([labels % 256, labels // 256, 0 * labels], axis=2).astype(np.uint8)
        Image.fromarray(colours).save(tmp_path / "masks" / "a.png")
    elif kind == "palette":
        image = Image.fromarray(labels.astype(np.uint8))
        image.putpalette(list(range(256)) * 3)
        image.save(tmp_path / "masks" / "a_masks.png")
    elif kind in ("uint32", "float32"):
        tifffile.imwrite(tmp_path / "masks" / "a_mask.tif", labels.astype(kind))
    else:
        cv2.imwrite(str(tmp_path / "masks" / "a.png"), labels.astype(kind))
    dataset = train(tmp_path)
    assert dataset.classes == ("object",) and sorted(m.sum() for m in dataset.masks(0)) == [3, MASK.sum()]


def test_a_binary_mask_is_taken_in_pieces(tmp_path: Path, caplog) -> None:
    picture(tmp_path / "images" / "a.png")
    mask = np.zeros(HW, np.uint8)
    mask[2:9, 2:9] = mask[20:30, 20:40] = 255
    text(tmp_path / "masks" / "x", "")
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), mask)
    assert train(tmp_path).instances == 2 and "taken in pieces" in caplog.text


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "masks" / "x", "")
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), np.zeros((20, 30), np.uint8))
    with pytest.raises(InputError, match=r"\(40, 60\)"):
        train(tmp_path)


def test_one_mask_file_per_object(tmp_path: Path) -> None:
    for name in ("one", "two"):
        picture(tmp_path / "stage1_train" / name / "images" / f"{name}.png")
        for number in range(2):
            mask = np.zeros(HW, np.uint8)
            mask[10 * number : 10 * number + 5, :9] = 255
            (tmp_path / "stage1_train" / name / "masks").mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / "stage1_train" / name / "masks" / f"{number}.png"), mask)
    source = resolve_data(tmp_path)
    assert source.found == (f"train: 4 mask files of an object each, 2 images ({tmp_path / 'stage1_train'})",)
    dataset = CocoDataset.of(source.train)
    assert len(dataset) == 2 and [mask.sum() for mask in dataset.masks(1)] == [45, 45]


def voc(root: Path) -> None:
    picture(root / "JPEGImages" / "a.png")
    objects, classes = np.zeros(HW, np.uint8), np.zeros(HW, np.uint8)
    objects[MASK], classes[MASK] = 1, 2
    objects[0:5, 0:5], classes[0:5, 0:5] = 2, 1
    objects[5, :], classes[5, :] = 255, 255
    for name, values in (("SegmentationObject", objects), ("SegmentationClass", classes)):
        (root / name).mkdir()
        image = Image.fromarray(values)
        palette = np.zeros((256, 3), np.uint8)
        palette[1], palette[2], palette[255] = (128, 0, 0), (0, 128, 0), (224, 224, 192)
        image.putpalette(palette.ravel().tolist())
        image.save(root / name / "a.png")


@pytest.mark.parametrize("names", ["own", "labelmap", "class_names"])
def test_pascal_voc(tmp_path: Path, names: str) -> None:
    voc(tmp_path)
    expected = ["bicycle", "aeroplane"]
    if names == "labelmap":
        lines = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nwing:0,128,0::\ntail:128,0,0::\n"
        text(tmp_path / "labelmap.txt", lines)
        expected = ["wing", "tail"]
    elif names == "class_names":
        text(tmp_path / "class_names.txt", "_background_\nred\ngreen\n")
        expected = ["green", "red"]
    text(tmp_path / "ImageSets" / "Segmentation" / "train.txt", "a\n")
    dataset = train(tmp_path)
    assert [dataset.classes[label] for label in dataset.labels(0)] == expected
    assert np.array_equal(dataset.masks(0)[0], MASK) and dataset.masks(0)[1].sum() == 25


def coco(name: str, polygon: list[float]) -> dict[str, object]:
    return {
        "images": [{"id": 7, "file_name": name, "height": HW[0], "width": HW[1]}],
        "categories": [{"id": 0, "name": "cell"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 0, "segmentation": [polygon]}],
    }


SQUARE = [6, 10, 30, 10, 30, 30, 6, 30]


@pytest.mark.parametrize(
    ("image", "file", "name"),
    [
        ("images/default/a.png", "annotations/instances_default.json", "a.png"),  # CVAT
        ("images/a.png", "annotations/instances_default.json", "a.png"),
        ("images/a.png", "result.json", "images/a.png"),  # Label Studio
        ("images/a.png", "result.json", "../../label-studio/data/media/upload/1/a.png"),
        ("images/a.png", "result.json", "images\\a.png"),
    ],
)
def test_coco_as_tools_export_it(tmp_path: Path, image: str, file: str, name: str) -> None:
    picture(tmp_path / image)
    text(tmp_path / file, json.dumps(coco(name, SQUARE)))
    for place in (tmp_path, tmp_path / file):
        dataset = train(place)
        assert np.array_equal(dataset.masks(0)[0], MASK) and dataset.path(0).is_file()


def test_parts_of_cvat(tmp_path: Path) -> None:
    for part in ("Train", "Validation"):
        picture(tmp_path / "images" / part / "a.png")
        text(tmp_path / "annotations" / f"instances_{part}.json", json.dumps(coco("a.png", SQUARE)))
    assert set(resolve_data(tmp_path).splits) == {"train", "val"}


def test_roboflows_parent_class_is_left_out(tmp_path: Path, caplog) -> None:
    picture(tmp_path / "train" / "a.png")
    content = coco("a.png", SQUARE)
    content["categories"] = [
        {"id": 0, "name": "cells", "supercategory": "none"},
        {"id": 1, "name": "red", "supercategory": "cells"},
        {"id": 2, "name": "white", "supercategory": "cells"},
    ]
    content["annotations"][0]["category_id"] = 2
    text(tmp_path / "train" / "_annotations.coco.json", json.dumps(content))
    assert train(tmp_path).classes == ("red", "white") and "'cells'" in caplog.text
    content["annotations"][0]["category_id"] = 0  # a parent that is used is a class
    text(tmp_path / "train" / "_annotations.coco.json", json.dumps(content))
    assert train(tmp_path).classes == ("cells", "red", "white")


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    yolo(tmp_path)
    text(tmp_path / "train" / "images" / "a.png", "no image")
    text(tmp_path / "data.yaml", yaml.safe_dump({"train": "train/images", "names": ["a", "b"]}))
    with pytest.raises(InputError, match=r"a\.png"):
        read_content(resolve_data(tmp_path).train)


@pytest.mark.parametrize(
    ("image", "mask"), [("a.tif", "a_masks.png"), ("a.png", "a_cp_masks.tif"), ("a_img.png", "a_masks.tif")]
)
def test_label_images_of_cellpose_beside_their_images(tmp_path: Path, image: str, mask: str) -> None:
    numbers = np.zeros((40, 60), np.uint16)
    numbers[3:9, 4:10], numbers[20:30, 40:50] = 1, 7
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / part / image)
        Image.fromarray(numbers).save(tmp_path / part / mask)
        np.save(tmp_path / part / "a_seg.npy", {"masks": numbers}, allow_pickle=True)  # type: ignore[arg-type]
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / "train" / "b.png")  # not annotated yet
    source = resolve_data(tmp_path)
    assert source.found[0].startswith("train: 1 label images, 2 images")
    assert source.train is not None and source.test is not None
    dataset = CocoDataset.of(source.train)
    assert len(dataset) == 1 and dataset.instances == 2
    np.testing.assert_array_equal(dataset.masks(0).sum(0) > 0, numbers > 0)


def test_files_of_cellpose_that_may_run_code_are_not_opened(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", seed=1)
    np.save(tmp_path / "a_seg.npy", {"masks": 1}, allow_pickle=True)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"a_seg.npy: expected label images.*Save masks as PNG/tif"):
        resolve_data(tmp_path)


def test_label_images_as_arrays(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png", seed=1)
    with Image.open(tmp_path / "images" / "a.png") as image:
        numbers = np.zeros((image.height, image.width), np.int32)
    numbers[2:9, 2:9] = 70_000
    np.save(tmp_path / "images" / "a.npy", numbers)  # of the same name: no image
    (tmp_path / "masks").mkdir()
    np.save(tmp_path / "masks" / "a.npy", numbers)
    source = resolve_data(tmp_path)
    assert source.train is not None and CocoDataset.of(source.train).instances == 1


def test_arrays_beside_the_masks_of_labelmes_converter(tmp_path: Path) -> None:
    picture(tmp_path / "JPEGImages" / "a.jpg")
    text(tmp_path / "class_names.txt", "__ignore__\n_background_\nthing\n")
    for kind, value in (("Object", 1), ("Class", 1)):
        (tmp_path / f"Segmentation{kind}").mkdir()
        np.save(tmp_path / f"Segmentation{kind}" / "a.npy", MASK.astype(np.int32))
        (tmp_path / f"Segmentation{kind}PNG").mkdir()
        Image.fromarray(MASK.astype(np.uint8) * value).save(tmp_path / f"Segmentation{kind}PNG" / "a.png")
    assert train(tmp_path).instances == 1
