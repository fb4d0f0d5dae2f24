"""Whole data sets of every format, and the files of other programs, small."""

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from fuzzing.pictures import FILES, SIZE_HW, cuts
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats import labelme as labelme_format
from sparseinst.data.formats import yolo as yolo_format
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.masks import rle

PHOTOGRAPHS = FILES / "photographs"


def _dataset() -> CocoDataset:
    return CocoDataset.of(resolve_data(PHOTOGRAPHS).part(None))


def _small(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(list(cuts())[seed]).save(path)
    return path


def coco(folder: Path) -> None:
    """Real polygons; all forms of masks."""
    shutil.copytree(PHOTOGRAPHS, folder / "0")
    height, width = SIZE_HW
    _small(folder / "1" / "train" / "a.png")
    common = {"image_id": 1, "iscrowd": 0, "category_id": 1}
    runs = [100, 50, height * width - 150]
    packed = rle.from_runs(runs, SIZE_HW).decode()
    content: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "a.png", "height": height, "width": width}],
        "categories": [{"id": 1, "name": "cell", "supercategory": "none"}, {"id": 4, "name": "rim"}],
        "annotations": [
            {"id": 1, **common, "segmentation": [[2, 2, 20, 2, 20, 30, 2, 30]], "area": 500, "bbox": [2, 2, 18, 28]},
            {"id": 2, **common, "segmentation": {"size": [height, width], "counts": runs}, "area": 50},
            {"id": 3, **common, "iscrowd": 1, "segmentation": {"size": [height, width], "counts": packed}},
        ],
    }
    (folder / "1" / "train.json").write_text(json.dumps(content))


def results(folder: Path) -> None:
    """What a network found in the photographs, and their annotations."""
    (folder / "0").mkdir(parents=True)
    shutil.copyfile(PHOTOGRAPHS / "val.json", folder / "0" / "truth.annotations")
    truth = json.loads((PHOTOGRAPHS / "val.json").read_text())
    found = [
        {key: item[key] for key in ("image_id", "category_id", "segmentation")} | {"score": 0.5}
        for item in truth["annotations"]
    ]
    (folder / "0" / "results.json").write_text(json.dumps(found))


def yolo(folder: Path) -> None:
    """Labels beside real photographs, and data.yaml in two forms."""
    dataset = _dataset()
    yolo_format.write(dataset, folder / "0", "val")
    yolo_format.write_yaml(folder / "0", ["val"], dataset.classes)
    _small(folder / "1" / "images" / "a.png")
    (folder / "1" / "labels").mkdir()
    (folder / "1" / "labels" / "a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n1 0.2 0.2 0.9 0.2 0.9 0.9 0.2 0.9 0.9\n")
    data = {"path": ".", "train": ["images"], "names": {0: "a", 1: "b"}, "nc": 2}
    (folder / "1" / "data.yaml").write_text(yaml.safe_dump(data))


def labelme(folder: Path) -> None:
    """Real outlines, and every kind of shape."""
    labelme_format.write(_dataset(), folder / "0")
    _small(folder / "1" / "a.png")
    square = [[2, 2], [20, 2], [20, 20], [2, 20]]
    mask = io.BytesIO()
    Image.fromarray(np.full((9, 8), 255, np.uint8)).save(mask, "PNG")
    import base64

    shapes: list[dict[str, Any]] = [
        {"label": "a", "points": square, "shape_type": "polygon", "group_id": 1},
        {"label": "a", "points": square[::2], "shape_type": "rectangle", "group_id": None},
        {"label": "b", "points": [[20, 20], [25, 20]], "shape_type": "circle"},
        {"label": "c", "points": [[3, 3], [10, 11]], "shape_type": "mask",
         "mask": base64.b64encode(mask.getvalue()).decode()},
        {"label": "d", "points": [[0, 0], [9, 9]], "shape_type": "line"},
    ]  # fmt: skip
    content = {"version": "5.5.0", "imagePath": "a.png", "imageHeight": SIZE_HW[0], "imageWidth": SIZE_HW[1]}
    (folder / "1" / "a.json").write_text(json.dumps({**content, "imageData": None, "shapes": shapes}))


def labels(folder: Path) -> None:
    """Label images with classes."""
    for number, suffix in enumerate(("png", "tif")):
        root = folder / f"{number}"
        _small(root / "images" / "a.png")
        (root / "masks").mkdir()
        values = np.zeros(SIZE_HW, np.uint16)
        values[3:20, 4:20], values[10:30, 30:40] = 1, 300
        Image.fromarray(values).save(root / "masks" / f"a.{suffix}")
        (root / "labels.csv").write_text(f"file,number,class\na.{suffix},1,cell\na.{suffix},300,rim\n")


def objects(folder: Path) -> None:
    """A file for each object."""
    root = folder / "0" / "one"
    _small(root / "images" / "a.png")
    for number in range(2):
        mask = np.zeros(SIZE_HW, np.uint8)
        mask[3 + 9 * number : 10 + 9 * number, 5:20] = 255
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")


def voc(folder: Path) -> None:
    """With VOC's own classes, and with a labelmap."""
    for number in range(2):
        root = folder / f"{number}"
        _small(root / "JPEGImages" / "a.jpg")
        values = np.zeros(SIZE_HW, np.uint8)
        values[3:20, 4:20], values[10:30, 30:40], values[:2] = 1, 2, 255
        for place in ("SegmentationObject", "SegmentationClass"):
            (root / place).mkdir()
            image = Image.fromarray(values).convert("P")
            image.putpalette([channel for value in range(256) for channel in (value * 37 % 256, value, 255 - value)])
            image.save(root / place / "a.png")
        (root / "ImageSets" / "Segmentation").mkdir(parents=True)
        (root / "ImageSets" / "Segmentation" / "train.txt").write_text("a\n")
    colours = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncell:37,1,254::\nrim:74,2,253::\n"
    (root / "labelmap.txt").write_text(colours)


def data_yaml(folder: Path) -> None:
    """A file that names where everything is."""
    coco(folder / "made")
    shutil.move(folder / "made" / "1", folder / "0")
    shutil.rmtree(folder / "made")
    named = {"name": "mine", "train": {"images": "train", "annotations": "train.json"}}
    (folder / "0" / "mine.yaml").write_text(yaml.safe_dump(named))


def regions(folder: Path) -> None:
    """As QuPath writes them."""
    ring = [[1, 1], [30, 1], [30, 30], [1, 30], [1, 1]]
    named = {"objectType": "annotation", "classification": {"name": "tumour", "color": [200, 0, 0]}}
    polygon = {"type": "Polygon", "coordinates": [ring, ring]}
    pieces = {"type": "MultiPolygon", "coordinates": [[ring]]}
    features = [
        {"type": "Feature", "id": "a", "geometry": polygon, "properties": named},
        {"type": "Feature", "geometry": pieces, "properties": {"name": "b"}},
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {}},
    ]
    (folder / "0").mkdir(parents=True)
    (folder / "0" / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (folder / "1").mkdir()
    (folder / "1" / "a.geojson").write_text(json.dumps(features[0]))


def rois(folder: Path) -> None:
    """As Fiji writes them: one, and a ZIP of several."""
    import roifile

    points = np.array([[1, 1], [30, 1], [30, 30], [1, 30]], float)
    made = [roifile.ImagejRoi.frompoints(points, name=f"r{number}") for number in range(2)]
    for number, suffix in enumerate(("roi", "zip")):
        (folder / f"{number}").mkdir(parents=True)
        for roi in made[: 1 + number]:
            roi.tofile(folder / f"{number}" / f"a.{suffix}")


def tars(folder: Path) -> None:
    """Plain and packed, of images and labels."""
    for number, mode in enumerate(("w", "w:gz")):
        (folder / f"{number}").mkdir(parents=True)
        with tarfile.open(folder / f"{number}" / "a.tar", mode) as archive:
            for place, cut in enumerate(cuts()):
                content = io.BytesIO()
                Image.fromarray(cut).save(content, "JPEG")
                for name, part in ((f"{place}.jpg", content.getvalue()), (f"{place}.cls", b"1")):
                    member = tarfile.TarInfo(name)
                    member.size = len(part)
                    archive.addfile(member, io.BytesIO(part))


def parquets(folder: Path) -> None:
    """Bytes, structs and paths."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = io.BytesIO()
    Image.fromarray(next(cuts())).save(content, "PNG")
    tables = [
        {"key": ["a", "b"], "image": [content.getvalue()] * 2},
        {"image": [{"bytes": content.getvalue(), "path": "a.png"}, {"bytes": None, "path": None}]},
    ]
    for number, table in enumerate(tables):
        (folder / f"{number}").mkdir(parents=True)
        pq.write_table(pa.table(table), folder / f"{number}" / "a.parquet")


def texts(suffix: str, *contents: str) -> Any:
    """Small files of text."""

    def write(folder: Path) -> None:
        for number, content in enumerate(contents):
            (folder / f"{number}").mkdir(parents=True)
            (folder / f"{number}" / f"a.{suffix}").write_text(content)

    return write
