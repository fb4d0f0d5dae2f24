"""COCO records as every reader makes them: {"images", "annotations", "categories"}, in memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparseinst.data.large.ome_zarr import is_zarr
from sparseinst.data.orientation import seen_hw
from sparseinst.data.picture_files import open_image
from sparseinst.data.pixels import decoding
from sparseinst.data.sources import ARRAY_SUFFIX, has_image_name
from sparseinst.data.stacks.channels import size_of_channels
from sparseinst.errors import InputError, brief, listed
from sparseinst.files import is_file, is_folder
from sparseinst.parsing import read_json

Content = dict[str, Any]
_ORIENTATION = 274


@dataclass
class Notes:
    """What a reader could not take.

    Args:
        broken: files that cannot be read, with what is wrong.
        left_out: what is no object, by what it is: names of the files.
    """

    broken: list[tuple[Path, str]] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def leave_out(self, what: str, where: str) -> None:
        """Counts one thing that is left out."""
        self.left_out.setdefault(what, []).append(where)

    def lines(self) -> list[str]:
        """What was left out, in words."""
        return [f"{len(where)} {what} ({listed(sorted(set(where)))})" for what, where in self.left_out.items()]


class Maker:
    """Builds a content image by image; ids count from 1.

    Args:
        root: folder that file names are relative to.
        names: of the categories known before; others are added as they come.
        notes: takes what cannot be read; None raises it.
    """

    def __init__(self, root: Path, names: Sequence[str] = (), notes: Notes | None = None) -> None:
        self.root, self.notes = root, Notes() if notes is None else notes
        self.strict = notes is None
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._categories: dict[str, int] = {}
        for name in names:
            self.category(name)

    def image(self, path: Path, size_hw: tuple[int, int]) -> int:
        """Adds an image file of (height, width); its id."""
        name = path.relative_to(self.root).as_posix()
        record = {"id": len(self._images) + 1, "file_name": name, "height": size_hw[0], "width": size_hw[1]}
        self._images.append(record)
        return len(self._images)

    def category(self, name: str) -> int:
        """The id of a category, a new one where there is none of this name."""
        return self._categories.setdefault(name, len(self._categories) + 1)

    def add(self, image_id: int, category_id: int, segmentation: object, **more: object) -> None:
        """Adds an annotation: polygons or an RLE."""
        number = len(self._annotations) + 1
        self._annotations.append({
            "id": number, "image_id": image_id, "category_id": category_id, "iscrowd": 0,
            "segmentation": segmentation, **more,
        })  # fmt: skip

    def add_mask(self, image_id: int, category_id: int, counts: bytes, size_hw: tuple[int, int]) -> None:
        """Adds an annotation with a compressed run-length encoding over the whole image."""
        self.add(image_id, category_id, {"size": list(size_hw), "counts": counts.decode("ascii")})

    def refuse(self, path: Path, error: InputError) -> None:
        """A file that cannot be read: raises, or takes a note.

        Raises:
            InputError: there are no notes to take.
        """
        if self.strict:
            raise error
        self.notes.broken.append((path, str(error)))

    def content(self) -> Content:
        """All of it."""
        categories = [{"id": key, "name": name} for name, key in self._categories.items()]
        return {"images": self._images, "annotations": self._annotations, "categories": categories}


def image_hw(path: Path) -> tuple[int, int]:
    """Height and width of an image file as it is to be seen (EXIF orientation applied), from its header.

    Raises:
        InputError: it is absent or no image.
    """
    with decoding(str(path)):
        if (size_hw := size_of_channels(path)) is not None:
            return size_hw
        with open_image(path) as image:
            return seen_hw((image.height, image.width), image.getexif().get(_ORIENTATION, 1))


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder, sorted, without arrays of which a picture has the name; none without a folder."""
    if not is_folder(folder):
        return []
    found = sorted(path for path in folder.iterdir() if is_image(path))
    pictures = {path.stem for path in found if path.suffix.lower() != ARRAY_SUFFIX}
    return [path for path in found if path.suffix.lower() != ARRAY_SUFFIX or path.stem not in pictures]


def is_image(path: Path) -> bool:
    """Whether a file's name is that of an image; hidden files are none."""
    return has_image_name(path) and not path.name.startswith(".") and (is_file(path) or is_zarr(path))


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Files by their names without suffix; of equal ones the first."""
    found: dict[str, Path] = {}
    for path in paths:
        found.setdefault(path.stem, path)
    return found


def read_object(path: Path, *, expected: str) -> Mapping[str, Any]:
    """A JSON object.

    Args:
        path: the file.
        expected: what it should be, for messages.

    Raises:
        InputError: the file is absent, or holds something else.
    """
    content = read_json(path, expected=expected)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected {expected}, got {brief(content)}: write the file again")
    return content
