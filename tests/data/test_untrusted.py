"""Images, lists and annotations from a stranger: a result or an InputError, in bounded time and memory."""

import io
import json
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image, ImageOps

from sparseinst.cells.qupath import read_regions
from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data import picture_files
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.labels import read_labels
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.images import read_image
from sparseinst.data.intensity import bounds_of, stretch
from sparseinst.data.pages import read_pages
from sparseinst.data.pixels import array_of
from sparseinst.data.records import Records, parse_records
from sparseinst.data.sources import find_sources
from sparseinst.data.stacks.channels import open_channels
from sparseinst.data.stacks.stack import Place
from sparseinst.data.video.source import open_video
from sparseinst.errors import InputError
from sparseinst.evaluation.inputs import detections, ground_truth
from sparseinst.parsing import read_json


def read_records(path: Path) -> Records:
    return parse_records(path, read_json(path, expected="annotations"))


def encoded(kind: str) -> bytes:
    picture = np.random.default_rng(0).integers(0, 255, (24, 31, 3), np.uint8)
    content = io.BytesIO()
    if kind == "DEEP":
        return bytes(cv2.imencode(".png", picture.astype(np.uint16) * 200)[1])
    if kind == "PLANES":
        tifffile.imwrite(
            content, picture.transpose(2, 0, 1).astype(np.uint16), photometric="rgb", planarconfig="separate"
        )
    else:
        Image.fromarray(picture).save(content, kind)
    return content.getvalue()


@settings(max_examples=250)
@given(kind=st.sampled_from(["PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP", "DEEP", "PLANES"]), data=st.data())
def test_a_changed_image(kind: str, tmp_path_factory, data: st.DataObject) -> None:
    content = bytearray(encoded(kind))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, min(len(content), 400) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(1, len(content)))]
    path = tmp_path_factory.mktemp("image") / f"a.{kind.lower()}"
    path.write_bytes(bytes(content))
    for page in read_pages(path, IntensityConfig()):
        try:
            assert page.read().dtype == np.uint8
        except InputError as error:
            assert len(str(error)) < 1000
        break


@pytest.mark.parametrize(("kind", "each"), [("png", 19), ("tif", 25), ("planes.tif", 25)])
def test_memory_is_bounded_before_decoding(
    kind: str, each: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_files, "MOST_BYTES", 100 * 100 * 19 - 1)
    path = tmp_path / f"a.{kind}"
    picture = np.zeros((100, 100, 3), np.uint16)
    if kind == "planes.tif":
        tifffile.imwrite(path, picture.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    elif kind == "tif":
        tifffile.imwrite(path, picture, photometric="rgb")
    else:
        cv2.imwrite(str(path), picture)
    for name in ("imdecode", "imdecodemulti"):
        monkeypatch.setattr(cv2, name, lambda *_: pytest.fail("decoded"))
    monkeypatch.setattr(tifffile, "imread", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(InputError, match=rf"a\..* of memory, got 100 x 100 pixels that take {each} bytes each"):
        read_image(path, IntensityConfig())


_MEASURED = """
import sys
from pathlib import Path
import cv2, pillow_heif, tifffile  # whose own memory is none of the images'
from PIL import AvifImagePlugin
from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.pages import read_pages
from sparseinst.data.picture_files import open_image, reading_bytes
from sparseinst.errors import InputError

def memory(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))

cv2.setNumThreads(1)
for path in map(Path, sys.argv[1:]):
    with open_image(path) as image:
        told = reading_bytes(image) / 1024
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    try:
        for page in read_pages(path, IntensityConfig()):
            page.read()
    except InputError as error:
        told = 0
    print(path.name, told, memory("VmHWM") - before)
"""


def measured(*paths: Path) -> dict[str, tuple[float, float]]:
    """Of each file the kilobytes of memory that its header is said to ask for, and that reading it took."""
    done = subprocess.run([sys.executable, "-c", _MEASURED, *paths], capture_output=True, text=True, check=True)
    return {name: (float(told), float(took)) for name, told, took in map(str.split, done.stdout.splitlines())}


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel is asked")
def test_reading_takes_no_more_memory_than_the_header_says(tmp_path: Path) -> None:
    side = 1500
    small = np.random.default_rng(0).integers(0, 255, (20, 20, 4), np.uint8)
    array = cv2.resize(small, (side, side))
    picture, more = Image.fromarray(array), [Image.fromarray(array[:, ::-1])]
    turned = Image.Exif()
    turned[274] = 6
    for mode in ("RGB", "RGBA", "LA", "L", "P"):
        picture.convert(mode).save(tmp_path / f"{mode}.png", compress_level=1)
    frames = {"save_all": True, "append_images": more * 2}
    picture.save(tmp_path / "animated.png", **frames, disposal=[1, 2, 1], blend=1, compress_level=1)
    picture.save(tmp_path / "animated.webp", **frames, method=0)
    picture.convert("P").save(tmp_path / "animated.gif", **frames, disposal=2)
    picture.convert("RGB").save(tmp_path / "turned.jpg", exif=turned)
    picture.convert("CMYK").save(tmp_path / "progressive.jpg", progressive=True)
    picture.save(tmp_path / "a.jp2")
    picture.save(tmp_path / "a.avif", speed=10)
    picture.convert("F").save(tmp_path / "F.tif")
    deep = array.astype(np.uint16) * 200
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    tifffile.imwrite(tmp_path / "deep.tif", deep[:, :, :3], photometric="rgb", metadata=None)
    planes = {"photometric": "rgb", "planarconfig": "separate", "metadata": None, "compression": "zlib"}
    tifffile.imwrite(tmp_path / "planes.tif", deep[:, :, :3].transpose(2, 0, 1), **planes)
    tifffile.imwrite(tmp_path / "tile.tif", array[:, :, :3], photometric="rgb", tile=(2048, 2048), compression="zlib")
    found = measured(*sorted(tmp_path.iterdir()))
    assert len(found) == 17
    assert {name: kilobytes for name, kilobytes in found.items() if kilobytes[1] > kilobytes[0] + 2500} == {}


def test_a_small_file_of_many_deep_pixels_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bytes(cv2.imencode(".png", np.zeros((9500, 9500, 3), np.uint16))[1]))
    assert path.stat().st_size < 1_000_000
    ((told, took),) = measured(path).values()
    assert told == 0 and took < 50_000


def test_frames_that_a_file_has_no_room_for(tmp_path: Path) -> None:
    picture = Image.fromarray(np.zeros((9, 12, 3), np.uint8))
    picture.save(tmp_path / "a.png", save_all=True, append_images=[picture.transpose(Image.Transpose.ROTATE_180)])
    content = (tmp_path / "a.png").read_bytes()
    place = content.index(b"acTL") + 4
    changed = (2**30).to_bytes(4, "big") + content[place + 4 : place + 8]
    sums = zlib.crc32(b"acTL" + changed).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(content[:place] + changed + sums + content[place + 12 :])
    (page,) = read_pages(tmp_path / "a.png", IntensityConfig())
    with pytest.raises(InputError, match=r"a\.png: expected at most the \d+ frames that it has room for, got 1,073"):
        page.read()


@pytest.mark.parametrize("name", ["a.png", "a.eps"])
def test_a_picture_that_is_a_program(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "check_call", lambda *_, **__: pytest.fail("run"))
    monkeypatch.setattr(EpsImagePlugin, "has_ghostscript", lambda: True)
    (tmp_path / name).write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(InputError, match="expected a whole image file"):
        read_image(tmp_path / name, IntensityConfig())


MODES = ("RGB", "RGBA", "L", "P", "1", "I;16", "CMYK")


@pytest.mark.parametrize(
    ("size_hw", "mode", "orientation"),
    [
        *(((13, 8), mode, orientation) for mode in MODES for orientation in range(10)),
        *(((700, 600), MODES[orientation % len(MODES)], orientation) for orientation in range(9)),  # in strips
    ],
)
def test_an_image_is_what_pillow_makes_of_it(
    size_hw: tuple[int, int], mode: str, orientation: int, tmp_path: Path
) -> None:
    small = Image.fromarray(np.random.default_rng(0).integers(0, 255, (13, 8, 3), np.uint8))
    picture = small.resize(size_hw[::-1])
    made = Image.fromarray(np.asarray(picture)[:, :, 0].astype(np.uint16)) if mode == "I;16" else picture.convert(mode)
    exif = Image.Exif()
    exif[274] = orientation
    made.save(tmp_path / "a.tif", exif=exif)
    with Image.open(tmp_path / "a.tif") as image:
        seen = ImageOps.exif_transpose(image)
        plain = {"1": "L", "RGBA": "RGB", "P": "RGB", "CMYK": "RGB"}
        np.testing.assert_array_equal(array_of(image), np.asarray(seen.convert(plain[mode]) if mode in plain else seen))


@pytest.mark.parametrize("kind", [np.float32, np.uint16, np.int16, np.int32, np.uint32, np.float64])
def test_percentiles_are_exact(kind: type) -> None:
    chance = np.random.default_rng(0)
    floating = np.float64 if kind in (np.int32, np.uint32) else np.float32
    for size in (2, 3, 50, 1001, 1_400_000):  # the last are more values than are copied
        values = (chance.normal(size=(size, 3)) * 9000).astype(kind)
        if values.dtype.kind == "f":
            values[chance.random(values.shape) < 0.2] = np.nan
            values[0] = -0.0, 0.0, -np.inf
        wanted = IntensityConfig(mode="percentile", low=chance.uniform(0, 50), high=chance.uniform(51, 100))
        finite = values[np.isfinite(values)].astype(floating)
        low, high = np.percentile(finite, [wanted.low, wanted.high])
        assert bounds_of(values, wanted) == ((low, high) if low < high else (finite.min(), finite.max()))


def test_stretching_many_values_is_stretching_each() -> None:
    values = np.random.default_rng(0).integers(0, 2**16, (300, 500, 3), np.uint16)
    bounds = bounds_of(values, IntensityConfig())
    at_once = np.concatenate([stretch(some, bounds) for some in np.array_split(values, 3)])
    np.testing.assert_array_equal(stretch(values, bounds), at_once)


@pytest.mark.parametrize("name", ["x" * 5000, "x" * 5000 + ".mp4", "a\0b", "a\0b.yaml", "x" * 300 + ".txt"])
def test_names_that_no_file_system_takes(name: str) -> None:
    for read in (find_sources, open_video, resolve_data):
        with pytest.raises(InputError) as caught:
            read(name)
        assert len(str(caught.value)) < 1500


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"list\.txt: expected a text file"):
        find_sources(path)


def annotations(tmp_path: Path, **changes: object) -> Path:
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 100, "width": 100}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 9, 0, 9, 9]]}],
    } | changes  # fmt: skip
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    return path


def polygon(points: list[float]) -> list[dict[str, object]]:
    return [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [points]}]


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([0, 0, 10**6, 0, 9, 9], "coordinates in pixels"),
        ([0, 0, 10**400, 0, 9, 9], "coordinates in pixels"),
        ([-900, -900, 900, 900] * 5000, "outline is at most"),
    ],
)
def test_polygons_far_away_are_refused(tmp_path: Path, points: list[float], said: str) -> None:
    with pytest.raises(InputError, match=rf"annotation 1.*{said}"):
        read_records(annotations(tmp_path, annotations=polygon(points)))


def test_many_categories(tmp_path: Path) -> None:
    categories = [{"id": i, "name": f"class {i}"} for i in range(60_000)]
    path = annotations(tmp_path, categories=categories)
    assert len(read_records(path).classes) == 60_000  # names compared each with each took minutes


def test_numbers_beyond_all_measure(tmp_path: Path) -> None:
    item = polygon([0, 0, 9, 0, 9, 9])[0]
    path = annotations(tmp_path, annotations=[item | {"area": 10**400}])
    with pytest.raises(InputError, match="annotation number 0: expected area to be a finite number"):
        ground_truth(read_json(path, expected="annotations"), path)
    path = annotations(tmp_path)
    truth = ground_truth(read_json(path, expected="annotations"), path)
    with pytest.raises(InputError, match="result number 0: expected score to be a finite number"):
        detections([item | {"score": 10**400}], truth, path)


def test_a_video_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import av

    path = tmp_path / "a.mp4"
    path.write_bytes(b"x")

    def refused(*_: object, **__: object) -> None:
        raise av.error.PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(av, "open", refused)
    with pytest.raises(InputError, match=r"a\.mp4: .*Permission denied"):
        open_video(path)


PICTURE = np.zeros((9, 12, 3), np.uint8)


def placed(path: Path, content: str | bytes | np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, np.ndarray):
        Image.fromarray(content).save(path)
    else:
        path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    return path


YOLO = {"data.yaml": "train: images\nnames: [a]\n", "images/a.png": PICTURE, "labels/a.txt": "0 0 0 1 0 1 1\n"}
LABELME = {"a.png": PICTURE, "a.json": '{"imagePath": "a.png", "shapes": []}'}
MASKS = {"images/a.png": PICTURE, "masks/a.png": PICTURE[:, :, 0]}
VOC = {"JPEGImages/a.jpg": PICTURE, "SegmentationObject/a.png": PICTURE[:, :, 0], "SegmentationClass/a.png": PICTURE}
SHAPE = '{"imagePath": "a.png", "shapes": [{"label": "a", "points": [[0, 0], [5, 0], [5, 5]], %s}]}'


@pytest.mark.parametrize(
    ("files", "changes", "said"),
    [
        (YOLO, {"data.yaml": "train: images\nnames: {a: 1}\n"}, "names by their numbers"),
        (YOLO, {"data.yaml": "train: images\nnames: {999999999: a}\n"}, "names by their numbers"),
        (YOLO, {"data.yaml": f"train: {'x' * 3000}\nnames: [a]\n"}, "found none"),
        (YOLO, {"labels/a.txt": "nan 0 0 1 0 1 1\n"}, "line 1: expected numbers"),
        (YOLO, {"labels/a.txt": b"\xff\xfe"}, "text in UTF-8"),
        (LABELME, {"a.json": '{"imagePath": "", "shapes": []}'}, "at least one category"),
        (LABELME, {"a.json": '{"imagePath": "%s", "shapes": []}' % ("x" * 5000)}, "at least one category"),
        (LABELME, {"a.json": SHAPE % '"group_id": {}'}, "expected a number as group_id"),
        (LABELME, {"a.json": SHAPE % '"shape_type": "mask", "mask": "AAAA"'}, "shape number 0"),
        (MASKS, {"labels.csv": b"\xff"}, "text in UTF-8"),
        (MASKS, {"labels.csv": "file,number,class\na.png,x,cell\n"}, "columns file, number, class"),
        (VOC, {"labelmap.txt": b"\xff"}, "text in UTF-8"),
        (VOC, {"labelmap.txt": "a:1,2\n"}, "colour as 224,224,192"),
        (VOC, {"ImageSets/Segmentation/train.txt": "\x1b[31m" + "x" * 5000}, "1 are missing"),
        ({"train/a.png": PICTURE}, {"train.json":
            '{"images": 1, "annotations": [], "categories": [{"id": 1, "name": "a"}]}'}, "a list"),
        ({"train/a.png": PICTURE}, {"train.json":
            '{"images": [], "annotations": 1, "categories": [{"id": 1, "name": {}, "supercategory": "none"}, {}]}'},
         "name to be text"),
    ],
)  # fmt: skip
def test_sets_of_other_programs(tmp_path: Path, files: dict, changes: dict, said: str) -> None:
    for name, content in (files | changes).items():
        placed(tmp_path / name, content)
    with pytest.raises(InputError, match=said) as caught:
        for split in resolve_data(tmp_path).splits.values():
            CocoDataset.of(split)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1200


def test_masks_are_bounded_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_files, "MOST_BYTES", 10)
    for name in ("a.png", "a.tif"):
        with pytest.raises(InputError, match="of memory, got 12 x 9 pixels that take"):
            read_labels(placed(tmp_path / name, PICTURE[:, :, 0]))
    planes = np.zeros((2, 9, 12), np.uint16)
    tifffile.imwrite(tmp_path / "c.tif", planes, photometric="minisblack", metadata=None)
    tifffile.imwrite(tmp_path / "d.tif", planes.transpose(1, 2, 0), photometric="minisblack", metadata=None)
    Image.fromarray(np.zeros((9, 12, 4), np.uint8)).save(tmp_path / "e.png")
    for name, channels in (("c.tif", 2), ("d.tif", 2), ("e.png", 4)):
        with pytest.raises(InputError, match="of memory"), open_channels(tmp_path / name, channels) as stack:
            stack.all_values(Place())
    for name, content in VOC.items():
        placed(tmp_path / "voc" / name, content)
    with pytest.raises(InputError, match="of memory"):
        CocoDataset.of(resolve_data(tmp_path / "voc").part(None))


@pytest.mark.parametrize(
    "content",
    ["[]", "1", '{"features": 1}', '{"features": [1]}', "[" * 99999, *(
        f'{{"type": "Polygon", "coordinates": {text}}}' for text in (
            "1", "null", "[]", "[1]", "[[]]", "[[[1, 2]]]", "[[[0, 0], [1, 0], [1, NaN]]]", "[[[0], [1], [2]]]",
            "[[[0, 0], [1, 0], [1e99, 1]]]", "[[[0, 0], [1, 0], [{}, 1]]]", f"[[[0, 0], [1, 0], [1{'0' * 400}, 1]]]"))],
)  # fmt: skip
def test_regions_of_no_shape(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match=r"a\.geojson"):
        read_regions(placed(tmp_path / "a.geojson", content))


def test_a_region_with_properties_of_another_form_has_a_number(tmp_path: Path) -> None:
    ring = "[[0, 0], [9, 0], [9, 9], [0, 0]]"
    for properties in ("1", '{"classification": 1}', '{"classification": {"name": null}}'):
        text = f'{{"geometry": {{"type": "Polygon", "coordinates": [{ring}]}}, "properties": {properties}}}'
        (region,) = read_regions(placed(tmp_path / "a.geojson", text))
        assert region.name == "region 1" and region.area == 40.5
