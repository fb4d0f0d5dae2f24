"""COCO files in the layouts that they come in: COCO 2017's, ours, Roboflow's, CVAT's, Label Studio's, or one file.

Names of image files are taken as they are, or, where there is no such file, without folders: CVAT and Label Studio
write paths of their own disks.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

from sparseinst.data.formats.content import Content, Notes, read_object
from sparseinst.data.formats.places import inner
from sparseinst.data.formats.source import PART_NAMES, DataSource, Split
from sparseinst.errors import InputError
from sparseinst.files import atomic, is_file, is_folder
from sparseinst.parsing import read_json

_FILE = "a COCO annotation file"
_PartFiles = tuple[str, str]
LAYOUTS: tuple[dict[str, _PartFiles], ...] = (
    {part: (part, f"{part}.json") for part in PART_NAMES},
    {
        "train": ("train2017", "annotations/instances_train2017.json"),
        "val": ("val2017", "annotations/instances_val2017.json"),
    },
    {
        "train": ("train", "train/_annotations.coco.json"),
        "val": ("valid", "valid/_annotations.coco.json"),
        "test": ("test", "test/_annotations.coco.json"),
    },
)
"""Known folder layouts: for each part the image folder and the annotation file."""
_SINGLE = ("result.json", "annotations.json", "_annotations.coco.json", "coco.json")
"""What tools call the only annotation file of a folder."""


def find(path: Path) -> DataSource | None:
    """The parts of a folder with COCO files, or of one such file; None if it is neither."""
    if is_file(path):
        return _alone(path) if path.suffix.lower() == ".json" and is_coco(path) else None
    for layout in LAYOUTS:
        splits = {
            name: Split(images=path / images, annotations=path / annotations)
            for name, (images, annotations) in layout.items()
            if is_file(path / annotations)
        }
        if splits:
            return DataSource(name=path.resolve().name, **splits)
    return _exported(path)


def is_coco(path: Path) -> bool:
    """Whether a JSON file is a COCO annotation file, by its keys."""
    try:
        return {"images", "annotations", "categories"} <= read_object(path, expected=_FILE).keys()
    except InputError:
        return False


def read(split: Split, notes: Notes | None) -> Content:
    """The records of an annotation file, with file names that lead to its images where that is possible.

    Raises:
        InputError: the file is absent or no JSON object. Records are not checked here.
    """
    content = read_json(split.annotations, expected=_FILE)
    if isinstance(content, dict) and isinstance(content.get("images"), list):
        for record in content["images"]:
            if isinstance(record, dict) and isinstance(record.get("file_name"), str):
                record["file_name"] = _there(split.images, record["file_name"])
    return content  # type: ignore[no-any-return]  # what else it may be is refused where records are checked


def write(content: Mapping[str, Any], images: Path, folder: Path, part: str) -> None:
    """Writes PART.json and copies the images into PART/.

    Args:
        content: the records.
        images: folder that their file names are relative to.
        folder: of the data set.
        part: train, val or test.
    """
    placed = [{**record, "file_name": inner(record["file_name"]).as_posix()} for record in content["images"]]
    for record, there in zip(content["images"], placed, strict=True):
        target = folder / part / there["file_name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(images / record["file_name"], target)
    write_file(folder / f"{part}.json", {**content, "images": placed})


def write_file(path: Path, content: Mapping[str, Any]) -> None:
    """Writes an annotation file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8", errors="surrogatepass")


def _exported(path: Path) -> DataSource | None:
    """CVAT's `annotations/instances_PART.json` with `images/`, or the one file that a tool writes."""
    splits: dict[str, Split] = {}
    files = sorted((path / "annotations").glob("*.json")) if is_folder(path / "annotations") else []
    for file in filter(is_coco, files):
        words = file.stem.lower().removeprefix("instances_")
        part = next((part for part, names in PART_NAMES.items() if any(words.startswith(n) for n in names)), "train")
        splits.setdefault(part, Split(images=_images_of(file), annotations=file))
    for name in _SINGLE:
        if not splits and is_coco(path / name):
            splits["train"] = Split(images=_images_of(path / name), annotations=path / name)
    return DataSource(name=path.resolve().name, **splits) if splits else None


def _alone(path: Path) -> DataSource:
    return DataSource(name=path.stem, train=Split(images=_images_of(path), annotations=path))


def _images_of(file: Path) -> Path:
    """The folder near an annotation file that holds most of its first images."""
    records = read_object(file, expected=_FILE)["images"]
    names = [r["file_name"] for r in records[:20] if isinstance(r, dict) and isinstance(r.get("file_name"), str)]
    stem, home = file.stem.removeprefix("instances_"), file.parent
    places = (home, home / file.stem, home / "images", home.parent / "images" / stem, home.parent / "images",
              home.parent / stem, home.parent)  # fmt: skip
    counted = [sum(is_file(place / _there(place, name)) for name in names) for place in places]
    return places[counted.index(max(counted))]


def _there(folder: Path, name: str) -> str:
    """The name under which an image lies in a folder: as it is written, or its last part."""
    if is_file(folder / name):
        return name
    for shorter in (name.replace("\\", "/"), PureWindowsPath(name).name):
        if is_file(folder / shorter):
            return shorter
    return name
