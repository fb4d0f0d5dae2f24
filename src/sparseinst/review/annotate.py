"""Proposals of a network as annotations to correct by hand."""

from collections.abc import Callable
from pathlib import Path

from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats import coco, labelme, yolo
from sparseinst.data.formats.content import Content
from sparseinst.data.formats.source import Split
from sparseinst.data.formats.writing import Correctable
from sparseinst.data.sources import list_sources
from sparseinst.errors import InputError
from sparseinst.files import atomic_folder
from sparseinst.inference.pipeline import Pipeline
from sparseinst.masks import rle
from sparseinst.masks.outline import outline
from sparseinst.structures import Instances


def propose(pipeline: Pipeline, images: Path, *, on_image: Callable[[], None] = lambda: None) -> tuple[Path, Content]:
    """Annotates the images of a folder.

    Args:
        pipeline: of the network; its score decides what is proposed.
        images: a folder, a pattern or an image.
        on_image: called after each.

    Returns:
        The folder that file names are relative to, and COCO records: polygons, or run lengths where a mask has holes.

    Raises:
        InputError: there is no image, or one cannot be read.
    """
    files = list_sources(images)
    roots = {file.parent for file in files}
    if len(roots) > 1:
        raise InputError(f"{images}: expected images of one folder, got {len(roots)} folders: annotate one at a time")
    content: Content = {
        "images": [], "annotations": [], "categories": [
            {"id": number, "name": name} for number, name in enumerate(pipeline.classes, 1)
        ],
    }  # fmt: skip
    found = pipeline.found(map(pipeline.cut, files))
    for key, (file, instances) in enumerate(zip(files, found, strict=True), 1):
        height, width = instances.size_hw
        content["images"].append({"id": key, "file_name": file.name, "height": height, "width": width})
        for number in range(len(instances)):
            record = {"id": len(content["annotations"]) + 1, "image_id": key, **_record(instances, number)}
            content["annotations"].append(record)
        on_image()
    return roots.pop(), content


def write_proposals(root: Path, content: Content, out: Path, form: Correctable) -> None:
    """Writes proposals for a tool to open.

    Args:
        root: folder of the images.
        content: from `propose`.
        out: a file for COCO; for YOLO a folder to make, with the images in it; for LabelMe a folder, which may be that
            of the images: a .json goes beside each.
        form: which of them.

    Raises:
        InputError: something is there that would be overwritten.
    """
    if form == "coco":
        coco.write_file(out, content)
        return
    dataset = CocoDataset.of(Split(images=root, annotations=out), content)
    if form == "yolo":
        with atomic_folder(out) as temporary:
            yolo.write(dataset, temporary, "train")
            yolo.write_yaml(temporary, ["train"], dataset.classes)
        return
    taken = [path for i in range(len(dataset)) if (path := out / dataset.path(i).with_suffix(".json").name).exists()]
    if taken:
        raise InputError(
            f"{taken[0]}: expected no annotations yet, found some: move them away, they would be overwritten"
        )
    labelme.write(dataset, out)


def _record(instances: Instances, number: int) -> dict[str, object]:
    counts, size = instances.rles[number], instances.size_hw
    pieces = outline(counts, size)
    x0, y0, x1, y1 = instances.boxes[number].tolist()
    holes = any(len(piece) > 1 for piece in pieces)
    runs = {"size": list(size), "counts": counts.decode("ascii")}
    return {
        "category_id": int(instances.labels[number]) + 1,
        "iscrowd": 0,
        "segmentation": runs if holes else [piece[0].ravel().tolist() for piece in pieces],
        "area": float(rle.areas([counts], size)[0]),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "score": round(float(instances.scores[number]), 4),
    }
