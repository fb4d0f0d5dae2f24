"""The files that the pages of the manual work with, made from the images that come with the tests.

    python manual/prepared.py FOLDER

writes all of them into a folder, in which the commands of every page can be typed as they stand.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "src" / "sparseinst" / "zoo" / "demo" / "nuclei.png"
NUCLEI = ROOT / "tests" / "data_files" / "nuclei"
PHOTOGRAPHS = ROOT / "tests" / "data_files" / "photographs"
WEIGHTS = ROOT / "src" / "sparseinst" / "zoo" / "weights" / "nuclei.safetensors"
SMALL_PX = 360
"""Longest side of the images of my_data: all of them but three, which would take most of the time."""


def _micrograph(target: Path) -> None:
    shutil.copy(DEMO, target)


def _photograph(target: Path) -> None:
    shutil.copy(PHOTOGRAPHS / "val" / "astronaut.jpg", target)


def _data_set(target: Path) -> None:
    """Annotated micrographs: train.json with five, val.json with two."""
    target.mkdir(parents=True)
    for part in ("train", "val"):
        content = json.loads((NUCLEI / f"{part}.json").read_text(encoding="utf-8"))
        images = [image for image in content["images"] if max(image["width"], image["height"]) <= SMALL_PX]
        kept = {image["id"] for image in images}
        content["images"] = images
        content["annotations"] = [record for record in content["annotations"] if record["image_id"] in kept]
        (target / f"{part}.json").write_text(json.dumps(content), encoding="utf-8")
        (target / part).mkdir()
        for image in images:
            shutil.copy(NUCLEI / part / image["file_name"], target / part)


def _pictures(target: Path) -> None:
    """Two micrographs without annotations."""
    target.mkdir(parents=True)
    for name in ("648636ee314d7bdb.png", "a08166d91d2cca26.png"):
        shutil.copy(NUCLEI / "val" / name, target)


def _photographs(target: Path) -> None:
    """Three photographs with a COCO file, val.json."""
    shutil.copytree(PHOTOGRAPHS, target)


def _network(target: Path) -> None:
    """A trained network: a copy of the weights that ship."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(WEIGHTS, target)


def _video(target: Path) -> None:
    """Twelve frames of a window that moves over a micrograph."""
    import av

    image = np.asarray(Image.open(NUCLEI / "val" / "193ffaa5272d5c42.png").convert("RGB"))
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 256, 192, "yuv420p"
        for number in range(12):
            window = image[100 : 100 + 192, 60 + 5 * number : 60 + 5 * number + 256]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(window), "rgb24")))
        container.mux(stream.encode(None))


def _stack(target: Path) -> None:
    """An OME-TIFF of three planes and two channels: DAPI, and GFP, which is the same blurred; pixels of 0.325 um."""
    import tifffile

    plane = np.asarray(Image.open(NUCLEI / "val" / "648636ee314d7bdb.png").convert("L")).astype(np.uint16) * 16
    planes = [cv2.GaussianBlur(plane, (0, 0), 0.1 + number) for number in range(3)]
    stack = np.stack([np.stack([one, cv2.GaussianBlur(one, (0, 0), 4)]) for one in planes])
    sizes = {
        f"PhysicalSize{axis}{unit}": "µm" if unit else size
        for axis, size in (("X", 0.325), ("Y", 0.325), ("Z", 1.0))
        for unit in ("", "Unit")
    }
    metadata = {"axes": "ZCYX", "Channel": {"Name": ["DAPI", "GFP"]}, **sizes}
    tifffile.imwrite(target, stack, ome=True, photometric="minisblack", metadata=metadata)


def _large(target: Path) -> None:
    """A tiled TIFF file of 1,024 x 1,024 pixels: four times four small micrographs."""
    import tifffile

    image = np.asarray(Image.open(NUCLEI / "val" / "648636ee314d7bdb.png").convert("L"))
    tifffile.imwrite(target, np.tile(image, (4, 4)), tile=(256, 256), compression="zlib")


def _cutouts(target: Path) -> None:
    """CLASS/NUMBER.png with alpha: the annotated objects of the three photographs, and their mirror images."""
    content = json.loads((PHOTOGRAPHS / "val.json").read_text(encoding="utf-8"))
    names = {category["id"]: category["name"].replace(" ", "-") for category in content["categories"]}
    for image in content["images"]:
        rgb = np.asarray(Image.open(PHOTOGRAPHS / "val" / image["file_name"]).convert("RGB"))
        height, width = rgb.shape[:2]
        for record in content["annotations"]:
            if record["image_id"] != image["id"] or record["area"] > height * width / 6:
                continue
            runs = coco_mask.merge(coco_mask.frPyObjects(record["segmentation"], height, width))
            alpha = coco_mask.decode(runs) * 255
            x, y, w, h = cv2.boundingRect(alpha)
            folder = target / names[record["category_id"]]
            folder.mkdir(parents=True, exist_ok=True)
            cutout = np.dstack([rgb, alpha])[y : y + h, x : x + w]
            cutout = np.pad(cutout, ((2, 2), (2, 2), (0, 0)))
            Image.fromarray(cutout).save(folder / f"{record['id']}.png")
            Image.fromarray(np.ascontiguousarray(cutout[:, ::-1])).save(folder / f"{record['id']}_mirrored.png")


FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "cells.png": ("a micrograph", _micrograph),
    "photo.jpg": ("a photograph", _photograph),
    "my_data": ("annotated micrographs", _data_set),
    "new_pictures": ("micrographs without annotations", _pictures),
    "pictures": ("micrographs without annotations", _pictures),
    "photos": ("three photographs with annotations", _photographs),
    "first.safetensors": ("a trained network", _network),
    "runs/first/best.safetensors": ("a trained network", _network),
    "clip.mp4": ("a video of twelve frames", _video),
    "stack.ome.tif": ("a stack of three planes and two channels", _stack),
    "large.tif": ("a tiled TIFF file", _large),
    "cutouts": ("objects with alpha, a folder for each class", _cutouts),
}
"""Name in the pages -> what it is, and what makes it."""


def prepare(folder: Path, names: list[str]) -> None:
    """Writes files of these names into a folder.

    Raises:
        KeyError: if a name is not known here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        FILES[name][1](folder / name)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("expected one folder to write into: python manual/prepared.py FOLDER")
    prepare(Path(sys.argv[1]), list(FILES))
    for file, (what, _) in FILES.items():
        print(f"{file}: {what}")
