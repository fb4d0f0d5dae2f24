"""From one form to every format: a folder in the usual layout of each."""

from pathlib import Path
from typing import Literal

from sparseinst.data.coco import CocoDataset, read_told
from sparseinst.data.formats import coco, labelme, labels, yolo
from sparseinst.data.formats.places import check_places
from sparseinst.data.formats.source import DataSource
from sparseinst.files import atomic_folder

Target = Literal["coco", "yolo", "labelme", "labels"]
TARGETS: tuple[Target, ...] = ("coco", "yolo", "labelme", "labels")
Correctable = Literal["coco", "labelme", "yolo"]
CORRECTABLE: tuple[Correctable, ...] = ("coco", "labelme", "yolo")
"""Those that are written without the images, for proposals that somebody corrects."""


def convert_data(source: DataSource, folder: Path, target: Target) -> list[str]:
    """Writes all parts of a data set, images included, in another format.

    Args:
        source: from `resolve_data`.
        folder: to make; it appears at once, when all is written.
        target: COCO (PART.json + PART/), YOLO (data.yaml, images/PART, labels/PART), LabelMe (PART/ with a .json beside
            each image), label images (PART/images, PART/masks, PART/labels.csv).

    Returns:
        What was written and what the format could not hold, a line each.

    Raises:
        InputError: the folder is there, the data cannot be read, or two images would be written to one place.
    """
    told: list[str] = []
    contents = {part: read_told(split) for part, split in source.splits.items()}
    datasets = {part: CocoDataset.of(split, contents[part]) for part, split in source.splits.items()}
    classes = tuple(dict.fromkeys(name for dataset in datasets.values() for name in dataset.classes))
    with atomic_folder(folder) as temporary:
        for part, split in source.splits.items():
            content, dataset = contents[part], datasets[part].remap(classes)
            check_places(map(dataset.name, range(len(dataset))))
            told.append(f"{part}: {len(dataset)} images, {dataset.instances} objects")
            crowds = sum(bool(item.get("iscrowd")) for item in content["annotations"])
            if target == "coco":
                coco.write(content, split.images, temporary, part)
            elif crowds:
                told.append(
                    f"{part}: left out: {crowds} crowd regions, which are no objects: COCO files alone hold them"
                )
            if target == "yolo":
                yolo.write(dataset, temporary, part)
            elif target == "labelme":
                labelme.write(dataset, temporary / part)
            elif target == "labels":
                told += [f"{part}: {line}" for line in labels.write(dataset, temporary / part)]
        if target == "yolo":
            yolo.write_yaml(temporary, list(datasets), classes)
    return told
