"""One mask file for each object: a folder for each image with `images/` and `masks/`, as Data Science Bowl 2018 has."""

from pathlib import Path

from sparseinst.data.formats.content import Content, Maker, Notes, image_hw, images_in
from sparseinst.data.formats.labels import CLASS, check_size, read_labels
from sparseinst.data.formats.source import PART_NAMES, DataSource, Split
from sparseinst.errors import InputError
from sparseinst.files import is_folder
from sparseinst.masks import rle


def find(path: Path) -> DataSource | None:
    """The parts of a folder whose subfolders hold images/ and masks/ each, or of such folders; None without any."""
    if not is_folder(path):
        return None
    splits = {}
    for part, names in PART_NAMES.items():
        places = [path / place for name in names for place in (name, f"stage1_{name}")]
        home = next((place for place in places if _has_objects(place)), None)
        if home is not None:
            splits[part] = Split(images=home, annotations=home, kind="objects")
    if not splits and _has_objects(path):
        splits["train"] = Split(images=path, annotations=path, kind="objects")
    return DataSource(name=path.resolve().name, **splits) if splits else None


def read(split: Split, notes: Notes | None) -> Content:
    """The masks of all images; a file without a pixel is an object without one, which is told of later.

    Raises:
        InputError: without notes, if a mask cannot be read or has another size than its image.
    """
    maker = Maker(split.images, (CLASS,), notes)
    for folder in sorted(path for path in split.images.iterdir() if is_folder(path)):
        images = images_in(folder / "images")
        if not images or not is_folder(folder / "masks"):
            maker.notes.leave_out("folders without images/ and masks/", folder.name)
            continue
        try:
            size_hw = image_hw(images[0])
            image_id = maker.image(images[0], size_hw)
        except InputError as error:
            maker.refuse(images[0], error)
            continue
        for mask in images_in(folder / "masks"):
            try:
                labels = read_labels(mask)
                check_size(mask, labels, images[0], size_hw)
            except InputError as error:
                maker.refuse(mask, error)
                continue
            maker.add_mask(image_id, 1, rle.encode(labels[None] > 0)[0], size_hw)
    return maker.content()


def _has_objects(folder: Path) -> bool:
    if not is_folder(folder):
        return False
    inside = sorted(path for path in folder.iterdir() if is_folder(path))[:20]
    return any(images_in(path / "images") and images_in(path / "masks") for path in inside)
