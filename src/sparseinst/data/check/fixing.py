"""Writes what a check has left: annotation files without what was wrong, over the images where they lie."""

from pathlib import Path

import yaml

from sparseinst.data.check.checkup import Checkup
from sparseinst.data.formats.coco import write_file
from sparseinst.data.formats.content import Content
from sparseinst.data.formats.resolving import DATA_FILE
from sparseinst.errors import InputError
from sparseinst.files import atomic, atomic_folder


def write_fixed(checkup: Checkup, folder: Path) -> Path:
    """Writes PART.json for each part and a data.yaml that leads to the images, which are not copied.

    Returns:
        data.yaml: what `train` and all others take.

    Raises:
        InputError: the folder is there, or nothing is left.
    """
    contents = {part.name: (part.split.images, part.kept.content()) for part in checkup.parts if part.dataset}
    if not contents:
        raise InputError(f"{checkup.source.name}: expected something that can be kept, found nothing: see the findings")
    return write_parts(folder, checkup.source.name, contents)


def write_parts(folder: Path, name: str, contents: dict[str, tuple[Path, Content]]) -> Path:
    """Writes annotation files and the data.yaml that names them.

    Args:
        folder: to make.
        name: of the data set.
        contents: for each part the folder of its images, and its records.

    Raises:
        InputError: the folder is there.
    """
    with atomic_folder(folder) as temporary:
        described: dict[str, object] = {"name": name}
        for part, (images, content) in contents.items():
            write_file(temporary / f"{part}.json", content)
            described[part] = {"images": str(images.resolve()), "annotations": f"{part}.json"}
        with atomic(temporary / DATA_FILE) as file:
            file.write_text(yaml.safe_dump(described, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return folder / DATA_FILE
