"""A data set with one mistake of every kind."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sparseinst.config.model import ModelConfig
from sparseinst.config.network import SeedsConfig
from sparseinst.data.check.checkup import check_data
from sparseinst.data.check.findings import KINDS
from sparseinst.data.check.fixing import write_fixed
from sparseinst.data.check.images import look_at, same_pictures
from sparseinst.data.check.polygons import crosses_itself, reaches_out
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data

HW = (60, 80)
MODEL = ModelConfig(classes=("a",), decoder=SeedsConfig(candidates=4))
SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]


def scene(seed: int, size_hw: tuple[int, int] = HW) -> Image.Image:
    """A picture unlike any of another seed."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size_hw[::-1], Image.Resampling.BICUBIC)


class Made:
    """A COCO part under construction."""

    def __init__(self, root: Path, part: str) -> None:
        self.root, self.part = root, part
        (root / part).mkdir(parents=True)
        self.content: dict[str, list[dict[str, object]]] = {"images": [], "annotations": [], "categories": []}
        self.content["categories"] = [{"id": 1, "name": "a"}]

    def image(self, name: str, picture: Image.Image | None, *, size_hw: tuple[int, int] = HW, **save: object) -> int:
        if picture is not None:
            picture.save(self.root / self.part / name, **save)
        key = len(self.content["images"]) + 1
        self.content["images"].append({"id": key, "file_name": name, "height": size_hw[0], "width": size_hw[1]})
        return key

    def object(self, image: int, segmentation: object = SQUARE, **more: object) -> None:
        polygons = [segmentation] if isinstance(segmentation, list) else segmentation
        record = {"id": len(self.content["annotations"]) + 1, "image_id": image, "category_id": 1}
        self.content["annotations"].append({**record, "segmentation": polygons, **more})

    def write(self) -> None:
        (self.root / f"{self.part}.json").write_text(json.dumps(self.content))


def check(root: Path) -> dict[str, list[str]]:
    """File names or texts by kind of finding."""
    checkup = check_data(resolve_data(root), MODEL)
    return {f.kind: [spot.image or spot.text for spot in f.spots] for f in checkup.findings}


@pytest.fixture
def made(tmp_path: Path) -> Made:
    part = Made(tmp_path, "train")
    for number in range(12):
        part.object(part.image(f"good{number}.png", scene(number)))
    return part


def test_nothing_is_wrong_with_what_is_right(made: Made) -> None:
    made.write()
    assert check(made.root) == {}


def test_images(made: Made) -> None:
    made.object(made.image("gone.png", None))
    made.object(made.image("cut.png", scene(50)))
    path = made.root / "train" / "cut.png"
    path.write_bytes(path.read_bytes()[:-200])
    made.object(made.image("other.png", scene(51), size_hw=(50, 80)))
    made.object(made.image("turned.jpg", scene(52), exif=exif(6)))
    made.object(made.image("mirrored.jpg", scene(53), exif=exif(2)))
    made.object(made.image("right.jpg", scene(54), size_hw=HW[::-1], exif=exif(6)))
    made.object(made.image("again.jpg", scene(3).resize((160, 120)), size_hw=(120, 160), quality=80))
    made.image("empty.png", scene(55))
    made.write()
    assert check(made.root) == {
        "missing image": ["gone.png"], "broken image": ["cut.png"], "size other than stated": ["other.png"],
        "rotated by EXIF": ["turned.jpg"], "may be rotated by EXIF": ["mirrored.jpg"],
        "same image twice": ["good3.png"], "image without objects": ["empty.png"],
    }  # fmt: skip


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[274] = orientation
    return found


def test_records(made: Made) -> None:
    made.object(1, SQUARE, id=1)
    made.object(1, [40, 40, 60, 40, 60, 55, 40, 55], category_id=9)
    made.object(99)
    made.object(2, {"size": [3, 3], "counts": "12"})
    made.object(2, None)
    made.object(2, [0, 0, 1, 1])
    made.object(2, [500, 500, 520, 500, 520, 520])
    made.content["annotations"].append("nonsense")  # type: ignore[arg-type]
    made.content["images"].append({"id": 1, "file_name": "good1.png", "height": 60, "width": 80})
    made.content["images"].append({"id": 77, "file_name": "far.png", "height": 60, "width": 2**64})
    made.content["categories"].append({"id": 1, "name": "b"})
    made.write()
    found = check(made.root)
    assert {kind: len(where) for kind, where in found.items()} == {
        "malformed record": 4, "id used twice": 3, "annotation of no image or category": 2,
        "mask without a pixel": 2, "object annotated twice": 1,
    }  # fmt: skip


def test_a_file_that_holds_no_records(made: Made) -> None:
    made.write()
    (made.root / "train.json").write_text("true")
    assert len(check(made.root)["malformed record"]) == 3  # images, annotations and categories


def test_masks_and_classes(made: Made) -> None:
    made.content["categories"] += [{"id": 2, "name": "b"}, {"id": 3, "name": "never"}]
    made.object(1, [50, 10, 52, 10, 52, 12, 50, 12])
    made.object(2, SQUARE)
    made.object(3, SQUARE, category_id=2)
    made.object(4, [50, 10, 70, 30, 70, 10, 50, 30])
    made.object(5, [60, 10, 90, 10, 90, 30, 60, 30])
    made.object(6, [50, 10, 60, 10, 60, 30, 50, 30], iscrowd=1)
    for number in range(4):
        made.object(7, [50, 10 * number, 55, 10 * number, 55, 10 * number + 5, 50, 10 * number + 5])
    made.write()
    assert check(made.root) == {
        "tiny mask": ["good0.png"], "object annotated twice": ["good1.png"], "one mask, two classes": ["good2.png"],
        "polygon that crosses itself": ["good3.png"], "mask that reaches out of the image": ["good4.png"],
        "crowd region": ["good5.png"], "more objects than a network finds": ["good6.png"],
        "unused category": ["never"], "rare class": ["b: 1"],
    }  # fmt: skip


def test_roboflows_parent_and_leaks(made: Made) -> None:
    made.content["categories"] = [
        {"id": 0, "name": "things", "supercategory": "none"},
        {"id": 1, "name": "a", "supercategory": "things"},
    ]
    val = Made(made.root, "val")
    val.object(val.image("same.png", scene(4)))
    val.object(val.image("new.png", scene(70)))
    made.write()
    val.write()
    assert check(made.root) == {"leak between parts": ["good4.png"], "parent class of Roboflow": ["things"]}


def test_what_is_fixed_is_right(made: Made, tmp_path: Path) -> None:
    made.object(1, SQUARE, id=1)
    made.object(99)
    made.object(made.image("gone.png", None))
    turned = made.image("turned.jpg", scene(52), exif=exif(6))
    made.object(turned, [0, 0, 20, 0, 20, 10, 0, 10])
    val = Made(made.root, "val")
    val.object(val.image("same.png", scene(4)))
    made.write()
    val.write()
    checkup = check_data(resolve_data(made.root), MODEL)
    assert checkup.errors == 5
    written = write_fixed(checkup, tmp_path / "fixed")
    for place in (tmp_path / "fixed", written):
        again = check_data(resolve_data(place), MODEL)
        assert again.errors == 0 and {f.kind for f in again.findings} <= {"rare class"}
    dataset = CocoDataset.of(resolve_data(written).train)
    assert len(dataset) == 12 and dataset.instances == 12
    index = [path.name for path in map(dataset.path, range(12))].index("turned.jpg")
    assert dataset.size_hw(index) == HW[::-1]
    # a quarter turn to the right: the corner at the top left is now at the top right
    (mask,) = dataset.masks(index)
    assert mask[:20, -10:].all() and mask.sum() == 200


def test_kinds_have_words() -> None:
    assert all(kind.advice for kind in KINDS.values())
    assert all(kind.fix or kind.level != "error" for kind in KINDS.values())


def test_pictures_that_are_the_same(tmp_path: Path) -> None:
    for number in range(3):
        scene(number).save(tmp_path / f"{number}.png")
    scene(0).resize((40, 30)).save(tmp_path / "3.png")
    scene(1).save(tmp_path / "4.jpg", quality=60)
    Image.new("RGB", (80, 60), (9, 9, 9)).save(tmp_path / "5.png")
    Image.new("RGB", (80, 60), (9, 9, 9)).save(tmp_path / "6.png")  # nothing is to be seen: no duplicate
    looks = [look_at(path) for path in sorted(tmp_path.iterdir())]
    assert [tuple(pair) for pair in same_pictures(looks)] == [(0, 3), (1, 4)]


@given(st.lists(st.floats(0.05, 0.95), min_size=4, max_size=12), st.floats(0, 6))
def test_star_shaped_polygons_do_not_cross(radii: list[float], turn: float) -> None:
    angles = turn + np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    points = 50 + 40 * np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert not crosses_itself(points.ravel().tolist())
    assert not reaches_out(points.ravel().tolist(), (100, 100))


def test_polygons_that_cross() -> None:
    assert crosses_itself([0, 0, 10, 10, 10, 0, 0, 10])
    assert not crosses_itself([0, 0, 10, 0, 10, 10, 0, 10])
    # a seam of no width, walked twice
    assert not crosses_itself([0, 0, 20, 0, 20, 20, 0, 20, 0, 0, 5, 5, 15, 5, 15, 15, 5, 15, 5, 5, 0, 0])
    assert not crosses_itself([0, 0, 5, 5])
    assert reaches_out([0, 0, 10, 0, 10, 12], (10, 10)) and not reaches_out([0, 0, 10.4, 0, 10, 10], (10, 10))


def test_every_copy_of_a_picture_that_is_measured_on_leaks(made: Made) -> None:
    for name in ("copy.png", "again.png"):
        made.object(made.image(name, scene(4)))
    made.write()
    other = Made(made.root / "more", "val")
    for name in ("x.png", "y.png"):
        other.object(other.image(name, scene(4)))
    other.write()
    for name in ("val", "val.json"):
        (made.root / "more" / name).rename(made.root / name)
    checkup = check_data(resolve_data(made.root), MODEL)
    spots = {(f.part, f.kind): [spot.image for spot in f.spots] for f in checkup.findings}
    assert spots == {
        ("train", "leak between parts"): ["good4.png", "copy.png", "again.png"],
        ("train", "same image twice"): ["good4.png", "good4.png"],
        ("val", "same image twice"): ["x.png"],
    }
    assert {part.name: len(part.dataset or ()) for part in checkup.parts} == {"train": 11, "val": 2}


def write_channels(path: Path, channels: int, seed: int) -> None:
    """A TIFF with so many channels, three of them colours."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*HW, channels), dtype=np.uint8)
    if channels == 3:
        tifffile.imwrite(path, pixels, photometric="rgb")
    else:
        tifffile.imwrite(path, np.moveaxis(pixels, 2, 0), photometric="minisblack", metadata={"axes": "CYX"})


def test_channels_that_differ_are_told(tmp_path: Path) -> None:
    for part, several in (("train", (2, 2, 5, 3)), ("val", (2,))):
        made = Made(tmp_path, part)
        for number, channels in enumerate(several):
            made.object(made.image(f"{number}.tif", None), SQUARE)
            write_channels(tmp_path / part / f"{number}.tif", channels, 10 * len(part) + number)
        made.write()
    checkup = check_data(resolve_data(tmp_path), MODEL)
    told = "channels: images 3 with 2 channels, 1 with 5 channels, 1 with grey or colours: training stops"
    assert checkup.advice[0].startswith(told) and checkup.errors
    (odd,) = (finding for finding in checkup.findings if finding.kind == "other channels than most")
    assert [spot.text for spot in odd.spots] == ["5 channels, most have 2", "grey or colours, most have 2"]
    for number in (2, 3):
        write_channels(tmp_path / f"train/{number}.tif", 2, number)
    checkup = check_data(resolve_data(tmp_path), MODEL)
    assert checkup.advice[0].startswith("channels: 2 in each of the 5 images; training takes them all")
    assert not any(finding.kind == "other channels than most" for finding in checkup.findings)
