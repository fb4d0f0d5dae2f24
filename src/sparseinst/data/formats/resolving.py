"""Where images and annotations of a data set lie: a folder or file is recognised by looking, or a YAML file says."""

from pathlib import Path

from pydantic import ValidationError

from sparseinst.data.formats import coco, labelme, labels, objects, voc, yolo
from sparseinst.data.formats.classes import with_classes
from sparseinst.data.formats.content import images_in
from sparseinst.data.formats.source import PARTS, DataSource, Kind, Split
from sparseinst.errors import InputError, misfit, shown
from sparseinst.files import at_home, is_file, is_folder
from sparseinst.parsing import read_yaml

_FINDERS = (coco.find, yolo.find, voc.find, labels.find, objects.find, labelme.find)
"""In this order: the first that knows the folder has it."""

DATA_FILE = "data.yaml"
"""Of a folder, this file is asked first."""

KNOWN = (
    "COCO (train.json + train/, annotations/instances_train2017.json, Roboflow's _annotations.coco.json, one file of "
    "CVAT or Label Studio), YOLO (data.yaml), Pascal VOC (JPEGImages/ + SegmentationObject/), label images "
    "(images/ + masks/ or labels/, or NAME_masks beside an image), a mask file per object (ID/images/ + ID/masks/), "
    "LabelMe (a .json beside an image)"
)
"""What is recognised, in words."""


def resolve_data(path: str | Path) -> DataSource:
    """Finds the parts of a data set.

    Args:
        path: a folder in one of the known layouts (see `KNOWN`), a COCO file, a YOLO data.yaml, or a YAML file with
            `train: {images: ..., annotations: ...}` and `val: ...`, relative to the file, whose annotations may be of
            any of the formats.

    Raises:
        InputError: nothing is there, the layout is unknown, or a part is incomplete.
    """
    path = at_home(path)
    if not (is_file(path) or is_folder(path)):
        raise InputError(f"{shown(path)}: expected a data folder or file, found nothing: check the path")
    described = path / DATA_FILE
    if is_folder(path) and is_file(described) and not yolo.is_data_yaml(described):
        path = described
    source = next((found for find in _FINDERS if (found := find(path)) is not None), None)
    if source is None and path.suffix.lower() in (".yaml", ".yml") and is_file(path):
        source = _from_yaml(path)
    if source is None and is_file(path):
        raise InputError(
            f"{path}: expected a folder, a COCO file, or a .yaml file that names images and annotations, got another "
            "file: give the folder that holds both"
        )
    if source is None:
        labels.refuse_pickled(path)
        raise InputError(
            f"{path}: expected one of the layouts {KNOWN} in this folder, found none: arrange the folder so, or name "
            "images and annotations in a YAML file"
        )
    for name, split in source.splits.items():
        if not (is_file(split.annotations) or is_folder(split.annotations)):
            raise InputError(
                f"{path}: {name}: expected the annotation file {shown(split.annotations)}, found none: correct it"
            )
        if not is_folder(split.images):
            raise InputError(f"{path}: {name}: expected the image folder {shown(split.images)}, found none: correct it")
    source = with_classes(source)
    return source.model_copy(update={"found": tuple(_told(name, split) for name, split in source.splits.items())})


def _told(part: str, split: Split) -> str:
    """What a part is, in words; nothing large is read for it."""
    return f"{part}: {_WORDS[split.kind](split)}"


def _told_coco(split: Split) -> str:
    return f"a COCO file ({split.annotations})"  # it may be large, and whoever uses it tells what is in it


def _told_yolo(split: Split) -> str:
    names, files = yolo.parts_of(split)
    labelled = sum(is_file(yolo.label_file(file)) for file in files)
    return f"{labelled} YOLO label files, {len(names)} classes, {len(files)} images ({split.images})"


def _told_labelme(split: Split) -> str:
    files, images = len(split.parsed), len(images_in(split.images))
    return f"{files} LabelMe files, {len(split.classes)} classes, {images} images ({split.annotations})"


def _told_labels(split: Split) -> str:
    images = labels.pairs(split)
    masks = sum(mask is not None for _, mask in images)
    return f"{masks} label images, {len(images)} images ({split.annotations})"


def _told_objects(split: Split) -> str:
    masks = sum(1 for _ in split.annotations.glob("*/masks/*"))
    images = sum(1 for _ in split.annotations.glob("*/images"))
    return f"{masks} mask files of an object each, {images} images ({split.annotations})"


def _told_voc(split: Split) -> str:
    listed = "" if split.part is None else f", those of ImageSets/Segmentation/{split.part}.txt"
    return f"Pascal VOC instance masks{listed} ({split.annotations})"


_WORDS = {
    "coco": _told_coco, "yolo": _told_yolo, "labelme": _told_labelme, "labels": _told_labels,
    "objects": _told_objects, "voc": _told_voc,
}  # fmt: skip


def _from_yaml(path: Path) -> DataSource:
    data = read_yaml(path, expected="a data set's YAML file")
    if not isinstance(data, dict) or not any(data.get(part) for part in PARTS):
        raise InputError(
            f"{path}: expected 'train: {{images: FOLDER, annotations: FILE}}' and 'val: ...', found neither: add one"
        )
    try:
        source = DataSource.model_validate({"name": path.stem, **data})
    except ValidationError as error:
        raise InputError(f"{path}: {misfit(error)}: give images and annotations for train and val") from error
    placed = {name: _placed(path.parent, split) for name, split in source.splits.items()}
    return source.model_copy(update=placed)


def _placed(home: Path, split: Split) -> Split:
    """A part that a YAML file names, with whole paths, and its format by looking where none is named."""
    images, annotations = home / split.images, home / split.annotations
    kind: Kind = split.kind
    if kind == "coco" and is_folder(annotations):
        kind = _kind_of(annotations)
    return split.model_copy(update={"images": images, "annotations": annotations, "kind": kind})


def _kind_of(annotations: Path) -> Kind:
    if labelme.is_labelled(annotations):
        return "labelme"
    if voc.find(annotations) is not None:
        return "voc"
    return "labels" if images_in(annotations) else "objects"
