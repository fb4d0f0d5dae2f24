"""Instances as files and as other libraries' types. Files are written under a temporary name, then renamed."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sparseinst.files import atomic
from sparseinst.runs import decode_runs
from sparseinst.structures import Instances

if TYPE_CHECKING:
    import supervision as sv


def write_image(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Writes an (H, W, 3) uint8 RGB picture or an (H, W) uint8 or uint16 one; the suffix (.png, .jpg) is the format."""
    pixels = image if image.ndim == 2 else image[..., ::-1]
    # encoded in memory because OpenCV's own file writing fails on some platforms where the path is not ASCII
    encoded, content = cv2.imencode(path.suffix, np.ascontiguousarray(pixels))
    if not encoded:
        raise OSError(f"{path}: OpenCV could not encode {image.shape} {image.dtype} as {path.suffix}")
    with atomic(path) as temporary:
        temporary.write_bytes(content.tobytes())


def write_json(path: Path, content: object) -> None:
    """Writes JSON in UTF-8."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(content, file, ensure_ascii=False, allow_nan=False)


def label_image(instances: Instances) -> NDArray[np.uint16]:
    """(height, width) uint16: 0 background, i + 1 where instance i is; where masks overlap, the higher score."""
    # later masks overwrite earlier ones
    order = np.argsort(instances.scores, kind="stable")
    pixels, owners = decode_runs([instances.counts[i] for i in order]).pixels()
    height, width = instances.size_hw
    columns = np.zeros(width * height, np.uint16)  # run lengths are in column order
    columns[pixels] = order[owners] + 1
    return np.ascontiguousarray(columns.reshape(width, height).T)


def write_labels(path: Path, instances: Instances) -> None:
    """Writes `label_image` as a 16-bit PNG."""
    write_image(path, label_image(instances))


def to_coco(instances: Instances, image_id: int, category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Records of a COCO results list.

    They carry no `bbox`: with one, COCO's evaluation would take the box's area for the mask's and sort small, medium
    and large objects wrongly.

    Args:
        instances: of one image.
        image_id: the image's id in the annotation file.
        category_ids: the category id of each label.
    """
    return [
        {
            "image_id": image_id,
            "category_id": int(category_ids[label]),
            "segmentation": {"size": list(instances.size_hw), "counts": counts.decode("ascii")},
            "score": float(score),
        }
        for score, label, counts in zip(instances.scores, instances.labels, instances.counts, strict=True)
    ]


def to_detections(instances: Instances, classes: Sequence[str]) -> "sv.Detections":
    """The same as `supervision.Detections`, with dense masks and `data["class_name"]`."""
    import supervision as sv

    return sv.Detections(
        xyxy=instances.boxes.astype(np.float32),
        mask=instances.masks,
        confidence=instances.scores,
        class_id=instances.labels,
        data={"class_name": np.array([classes[label] for label in instances.labels], dtype=str)},
    )


def output_stems(paths: Sequence[Path], folder: Path, endings: Sequence[str]) -> list[str]:
    """For each input a file stem such that no output, stem + ending in `folder`, meets another output or an input.

    The input's own stem where it is free, else with -2, -3, ... (compared without case, as some file systems do).
    """
    inputs = {str(path.resolve()).casefold() for path in paths}
    root = folder.resolve()
    taken: set[str] = set()
    numbers: Counter[str] = Counter()
    stems = []
    for path in paths:
        while True:
            numbers[path.stem] += 1
            stem = path.stem if numbers[path.stem] == 1 else f"{path.stem}-{numbers[path.stem]}"
            names = {str(root / f"{stem}{ending}").casefold() for ending in endings}
            if names.isdisjoint(taken) and names.isdisjoint(inputs):
                break
        taken |= names
        stems.append(stem)
    return stems
