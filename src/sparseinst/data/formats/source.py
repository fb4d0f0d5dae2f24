"""What a data set is made of, whatever its format."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr

from sparseinst.config.base import Settings
from sparseinst.errors import InputError

Kind = Literal["coco", "yolo", "labelme", "labels", "objects", "voc"]
"""COCO file, YOLO polygons, LabelMe files, label images, one mask file per object, Pascal VOC instance masks."""

PARTS = ("train", "val", "test")

PART_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""How folders call the parts of a data set."""


class Split(Settings):
    """Images and their annotations."""

    images: Path = Field(description="folder that the names of image files are relative to")
    annotations: Path = Field(
        description="COCO annotation file; or the file or folder that annotations of another format are read from"
    )
    kind: Kind = Field("coco", description="format of the annotations")
    part: str | None = Field(None, description="which part of what the annotations hold; None is all")
    classes: tuple[str, ...] = Field(
        (), description="classes of the whole data set in their order, of a format that has no list; () finds them"
    )
    _parsed: dict[Path, Any] = PrivateAttr(default_factory=dict)

    @property
    def parsed(self) -> dict[Path, Any]:
        """What a look for classes read of annotation files, until a reader takes it, so that none is opened twice."""
        return self._parsed


class DataSource(Settings):
    """A data set's parts; at least one is there."""

    name: str = Field(description="what reports call the data set")
    train: Split | None = Field(None, description="what is trained on")
    val: Split | None = Field(None, description="what is evaluated on")
    test: Split | None = Field(None, description="what is kept for the end")
    found: tuple[str, ...] = Field((), description="in words, what was recognised and what it was taken for")

    @property
    def splits(self) -> dict[str, Split]:
        """The parts that are there, by name."""
        named = {"train": self.train, "val": self.val, "test": self.test}
        return {name: split for name, split in named.items() if split is not None}

    def part(self, name: str | None) -> Split:
        """The part of this name; without one that is evaluated on, or the only one there is.

        Raises:
            InputError: there is no such part.
        """
        splits = self.splits
        if name is None:
            name = "val" if self.val is not None or len(splits) > 1 else next(iter(splits))
        if name not in splits:
            raise InputError(
                f"{self.name}: expected one of its parts {', '.join(splits)}, got {name}: name one of them"
            )
        return splits[name]
