"""A COCO data set in a few compact arrays, which loader processes share instead of copying."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sparseinst.config.preprocess import IntensityConfig, PreprocessConfig
from sparseinst.data.archives import Stored
from sparseinst.data.channels import read_picture, read_pixels
from sparseinst.data.formats.content import Content, Notes
from sparseinst.data.formats.reading import read_content
from sparseinst.data.formats.source import Split
from sparseinst.data.images import read_image
from sparseinst.data.kept import open_records
from sparseinst.data.large.ome_zarr import is_zarr
from sparseinst.data.packed import take
from sparseinst.data.records import Records, parse_records
from sparseinst.data.seen import Seen, draw_layers
from sparseinst.errors import InputError, listed
from sparseinst.files import is_folder, missing_files
from sparseinst.masks import rle
from sparseinst.masks.runs import Strips, decode_runs

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class CocoDataset:
    """Images and instance masks of one annotation file; crowds are never instances.

    Args:
        images_dir: folder that the file names are relative to.
        annotations: the annotation file, for messages.
        classes: class names, in the order of `labels`.
        category_ids: the file's id of each class, -1 for a class that the file does not have.
        records: the packed file; its labels index its own categories.
        class_of: (categories,) class index of each of the file's categories, -1 if it has none.
        stored: where the images are that lie in tar or Parquet files; None where they are files.
    """

    images_dir: Path
    annotations: Path
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    records: Records
    class_of: NDArray[np.int64]
    stored: Stored | None = None

    @classmethod
    def load(cls, images_dir: str | Path, annotations: str | Path) -> Self:
        """Reads and checks an annotation file, and that its images exist.

        Raises:
            InputError: the file is not COCO (the message names the record), or image files are missing.
        """
        return cls.of(Split(images=Path(images_dir), annotations=Path(annotations)))

    @classmethod
    def of(cls, split: Split, content: Content | None = None) -> Self:
        """Reads and checks a part of a data set, of any format.

        Args:
            split: the part.
            content: what was read of it already; None reads it (see `read_told`).

        Raises:
            InputError: a record is malformed (the message names it), or image files are missing.
        """
        images_dir, annotations = split.images, split.annotations
        records = open_records(annotations) if content is None and split.kind == "coco" else None
        missing, stored = ([], None) if records is None else _look(images_dir, records)
        if records is None or missing:  # which may lie there under other names
            records = parse_records(annotations, read_told(split) if content is None else content)
            missing, stored = _look(images_dir, records)
        elif records.left_out is not None:
            records.left_out.tell(annotations)
        dataset = cls(
            images_dir, annotations, records.classes, records.category_ids, records, np.arange(len(records.classes)),
            stored,
        )  # fmt: skip
        if not is_folder(images_dir):
            raise InputError(
                f"{images_dir}: expected the folder of the images of {annotations}, found none: check the path"
            )
        if missing:
            raise InputError(
                f"{annotations}: expected all of its {len(dataset)} images under {images_dir}, {len(missing)} are "
                f"missing: {listed(missing)}: check the folder"
            )
        _LOGGER.info("%s: %d images, %d instances", annotations, len(dataset), len(records.labels))
        return dataset

    def __len__(self) -> int:
        return len(self.records.image_ids)

    @property
    def image_ids(self) -> NDArray[np.int64]:
        """(n,) image ids in the file's order."""
        return self.records.image_ids

    @property
    def instances(self) -> int:
        """Number of instances in all images."""
        return len(self.records.labels)

    def path(self, index: int) -> Path:
        """The image file."""
        return self.images_dir / self.name(index)

    def name(self, index: int) -> str:
        """What the annotation file calls the image: most often its path in `images_dir`."""
        return PurePath(self.records.file_names[index].decode("utf-8", "surrogatepass")).as_posix()

    def size_hw(self, index: int) -> tuple[int, int]:
        """Height and width that the annotation file states."""
        height, width = self.records.sizes_hw[index]
        return int(height), int(width)

    def labels(self, index: int) -> NDArray[np.int64]:
        """(T,) class indices of the image's instances."""
        return self.class_of[self.records.labels[self._span(index)]]

    def rles(self, index: int) -> tuple[bytes, ...]:
        """T compressed run-length encodings over the whole image (as in `Instances`)."""
        span = self._span(index)
        size = self.size_hw(index)
        return tuple(self.records.masks.counts(row, size) for row in range(span.start, span.stop))

    def masks(self, index: int) -> NDArray[np.bool_]:
        """(T, H, W) dense masks at the original size; `layers` holds the same in less."""
        return rle.decode(self.rles(index), self.size_hw(index))

    def layers(self, index: int) -> NDArray[np.int32]:
        """(L, H, W) label layers, L >= 1: 0 is background, i + 1 instance i; what overlaps lies in different layers."""
        size = self.size_hw(index)
        return draw_layers(self.strips(index), Seen.whole(size), size)

    def strips(self, index: int) -> Strips:
        """The masks of the image's instances as strips of its columns, mask after mask."""
        return decode_runs(self.rles(index)).strips(self.size_hw(index)[0])

    def image(self, index: int, preprocess: PreprocessConfig, *, shrink: int = 1) -> NDArray[np.uint8]:
        """(H, W, channels) uint8 pixels, as a network with these settings takes them.

        Args:
            index: number of the image.
            preprocess: of the network.
            shrink: decode a JPEG to so much smaller a size (see `read_image`).

        Raises:
            InputError: the file cannot be read, or its size is not what the annotation file states.
        """
        return self._checked(index, read_pixels(self._source(index), preprocess, shrink=shrink), shrink)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB to be looked at, of whatever channels the image has.

        Raises:
            InputError: the file cannot be read, or its size is not what the annotation file states.
        """
        source = self._source(index)
        if isinstance(source, bytes):
            return self._checked(index, read_image(source, IntensityConfig()))
        return self._checked(index, read_picture(source))

    def _source(self, index: int) -> Path | bytes:
        return self.path(index) if self.stored is None else self.stored.read(index)

    def _checked(self, index: int, image: NDArray[np.uint8], shrink: int = 1) -> NDArray[np.uint8]:
        path, (height, width) = self.path(index), self.size_hw(index)
        if image.shape[:2] not in ((height, width), (height / shrink, width / shrink)):
            raise InputError(
                f"{path}: expected {self.size_hw(index)} (height, width) as stated in {self.annotations} for image "
                f"{self.image_ids[index]}, got {image.shape[:2]} (EXIF orientation applied): correct one of the two"
            )
        return image

    def remap(self, classes: tuple[str, ...]) -> Self:
        """The same images with labels that index a model's classes, met by name.

        Raises:
            InputError: categories with annotations are not among the classes; the message lists them.
        """
        position = {name: i for i, name in enumerate(classes)}
        own = self.records.classes
        used = set(self.records.labels.tolist())
        missing = [name for i, name in enumerate(own) if i in used and name not in position]
        if missing:
            raise InputError(
                f"{self.annotations}: expected categories among the model's {len(classes)} classes "
                f"({listed(classes)}), got others: {', '.join(missing)}: rename them, or use a model that knows them"
            )
        ids = dict(zip(own, self.records.category_ids, strict=True))
        return replace(
            self,
            classes=tuple(classes),
            category_ids=tuple(ids.get(name, -1) for name in classes),
            class_of=np.array([position.get(name, -1) for name in own], np.int64),
        )

    def only(self, indices: Sequence[int]) -> Self:
        """Some of the images, in this order."""
        records, images = self.records, np.array(list(indices), np.int64)
        rows, first = take(np.arange(len(records.labels)), records.first, images)
        chosen = replace(
            records,
            image_ids=records.image_ids[images],
            sizes_hw=records.sizes_hw[images],
            file_names=records.file_names.take(images),
            first=first,
            labels=records.labels[rows],
            masks=records.masks.take(rows),
        )
        return replace(self, records=chosen, stored=None if self.stored is None else self.stored.take(images))

    def _span(self, index: int) -> slice:
        return slice(int(self.records.first[index]), int(self.records.first[index + 1]))


def _look(folder: Path, records: Records) -> tuple[list[Path], Stored | None]:
    """Which images are missing in a folder, and where the others are that lie in its archives."""
    packed = records.file_names
    names = [packed[index].decode("utf-8", "surrogatepass") for index in range(len(packed))]
    missing = [path for path in missing_files(folder, names) if not is_zarr(path)]
    if not missing or (stored := Stored.find(folder, names)) is None:
        return missing, None
    return [folder / names[row] for row in stored.missing.tolist()], stored


def read_told(split: Split) -> Content:
    """`read_content`, with a warning of what is left out.

    Raises:
        InputError: something cannot be read.
    """
    content = read_content(split, notes := Notes())
    if notes.broken:
        raise InputError(notes.broken[0][1])
    for line in notes.lines():
        _LOGGER.warning("%s: left out: %s", split.annotations, line)
    return content
