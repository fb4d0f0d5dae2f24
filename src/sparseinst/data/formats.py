"""Where the images and annotations of a data set lie: a folder of a known layout, or a YAML file that says so."""

from pathlib import Path

from pydantic import Field, ValidationError

from sparseinst.config import Settings
from sparseinst.errors import InputError, misfit
from sparseinst.files import is_file, is_folder, read_yaml, shown

_Place = tuple[str, str]
_LAYOUTS: tuple[dict[str, _Place], ...] = (
    {"train": ("train", "train.json"), "val": ("val", "val.json")},
    {
        "train": ("train2017", "annotations/instances_train2017.json"),
        "val": ("val2017", "annotations/instances_val2017.json"),
    },
    {"train": ("train", "train/_annotations.coco.json"), "val": ("valid", "valid/_annotations.coco.json")},
)
"""Known folder layouts: for each split the image folder and the annotation file."""


class Split(Settings):
    """Images and their annotations."""

    images: Path = Field(description="folder that the annotation file's names are relative to")
    annotations: Path = Field(description="COCO annotation file")


class DataSource(Settings):
    """A data set's parts; at least one is there."""

    name: str = Field(description="what reports call the data set")
    train: Split | None = Field(None, description="what is trained on")
    val: Split | None = Field(None, description="what is evaluated on")


def resolve_data(path: str | Path) -> DataSource:
    """Finds the parts of a data set.

    Args:
        path: a folder in one of the known layouts (`train.json` + `train/`; `annotations/instances_train2017.json` +
            `train2017/`; `train/_annotations.coco.json`; with `val`, `val2017`, `valid` beside them), or a YAML file
            with `train: {images: ..., annotations: ...}` and `val: ...`, relative to the file.

    Raises:
        InputError: nothing is there, the layout is unknown, or a part is incomplete.
    """
    path = Path(path).expanduser()
    if is_folder(path):
        source = _from_folder(path)
    elif path.suffix.lower() in (".yaml", ".yml") and is_file(path):
        source = _from_yaml(path)
    elif is_file(path):
        raise InputError(
            f"{path}: expected a folder or a .yaml file that names images and annotations, got another file: "
            "give the folder that holds both"
        )
    else:
        raise InputError(f"{shown(path)}: expected a data folder or YAML file, found nothing: check the path")
    for name, split in (("train", source.train), ("val", source.val)):
        if split is not None and not is_file(split.annotations):
            raise InputError(
                f"{path}: {name}: expected the annotation file {split.annotations}, found none: correct it"
            )
        if split is not None and not is_folder(split.images):
            raise InputError(f"{path}: {name}: expected the image folder {split.images}, found none: correct it")
    return source


def _from_folder(path: Path) -> DataSource:
    for layout in _LAYOUTS:
        splits = {
            name: Split(images=path / images, annotations=path / annotations)
            for name, (images, annotations) in layout.items()
            if is_file(path / annotations)
        }
        if splits:
            return DataSource(name=path.resolve().name, train=splits.get("train"), val=splits.get("val"))
    known = ", ".join(layout["train"][1] for layout in _LAYOUTS)
    raise InputError(
        f"{path}: expected one of {known} (or their val counterparts) in this folder, found none: arrange the folder "
        "so, or name images and annotations in a YAML file"
    )


def _from_yaml(path: Path) -> DataSource:
    data = read_yaml(path, expected="a data set's YAML file")
    if not isinstance(data, dict) or not (data.get("train") or data.get("val")):
        raise InputError(
            f"{path}: expected 'train: {{images: FOLDER, annotations: FILE}}' and 'val: ...', found neither: add one"
        )
    try:
        source = DataSource.model_validate({"name": path.stem, **data})
    except ValidationError as error:
        raise InputError(f"{path}: {misfit(error)}: give images and annotations for train and val") from error
    return source.model_copy(
        update={
            name: Split(images=path.parent / split.images, annotations=path.parent / split.annotations)
            for name, split in (("train", source.train), ("val", source.val))
            if split is not None
        }
    )
