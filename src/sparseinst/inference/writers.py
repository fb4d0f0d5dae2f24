"""Instances as files and as other libraries' types. Files are written under a temporary name, then renamed."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from sparseinst.data.signature import SIGNATURE, signed
from sparseinst.drawing.instances import draw, legible_scale
from sparseinst.errors import InputError
from sparseinst.files import atomic, real
from sparseinst.inference.description import describe, to_dataframe
from sparseinst.masks.runs import decode_runs
from sparseinst.structures import Instances

if TYPE_CHECKING:
    import supervision as sv


def write_image(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32]) -> None:
    """Writes a picture that says who wrote it (see `signature.is_ours`).

    Args:
        path: its suffix is the format: .png, .jpg, or .tif (deflated, without loss).
        image: (H, W, 3) uint8 RGB, or (H, W) uint8 or uint16; as .tif uint32, too.
    """
    with atomic(path) as temporary:
        if path.suffix == ".tif":
            # the description stands before the list of strips, which may be long; the tag "Software" behind it
            text = f"Software: {SIGNATURE}"
            tifffile.imwrite(temporary, image, compression="zlib", description=text, metadata=None, software=False)
        else:
            temporary.write_bytes(signed(_encoded(image, path), path.suffix))


def _encoded(image: NDArray[Any], path: Path) -> bytes:
    pixels = image if image.ndim == 2 else image[..., ::-1]
    # encoded in memory because OpenCV's own file writing fails on some platforms where the path is not ASCII
    encoded, content = cv2.imencode(path.suffix, np.ascontiguousarray(pixels))
    if not encoded:
        raise OSError(f"{path}: OpenCV could not encode {image.shape} {image.dtype} as {path.suffix}")
    return content.tobytes()


def write_json(path: Path, content: object) -> None:
    """Writes JSON in UTF-8."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(content, file, ensure_ascii=False, allow_nan=False)


def label_image(instances: Instances) -> NDArray[np.uint16] | NDArray[np.uint32]:
    """Which instance each pixel belongs to.

    The type is uint16, and uint32 from 65,536 instances on. It is never uint8, though that would hold most images: a
    folder of label images is read as one array or compared pixel by pixel, and readers take the type from the file.

    Returns:
        (height, width): 0 background, i + 1 where instance i is; where masks overlap, the higher score.
    """
    # later masks overwrite earlier ones
    order = np.argsort(instances.scores, kind="stable")
    pixels, owners = decode_runs([instances.rles[i] for i in order]).pixels()
    height, width = instances.size_hw
    # run lengths are in column order
    columns = np.zeros(width * height, np.uint16 if len(instances) < 2**16 else np.uint32)
    columns[pixels] = order[owners] + 1
    return np.ascontiguousarray(columns.reshape(width, height).T)


def write_labels(path: Path, instances: Instances) -> Path:
    """Writes `label_image` as a 16-bit PNG, or as a TIFF where numbers take 32 bits, which PNG does not have.

    Args:
        path: without a suffix.
        instances: of one image.

    Returns:
        The file: `path` with .png or .tif added.
    """
    image = label_image(instances)
    file = path.with_name(f"{path.name}{'.png' if image.dtype == np.uint16 else '.tif'}")
    write_image(file, image)
    return file


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
        for score, label, counts in zip(instances.scores, instances.labels, instances.rles, strict=True)
    ]


def to_detections(instances: Instances) -> "sv.Detections":
    """The same as `supervision.Detections`, with dense masks and `data["class_name"]`."""
    import supervision as sv

    return sv.Detections(
        xyxy=instances.boxes.astype(np.float32),
        mask=instances.masks,
        confidence=instances.scores,
        class_id=instances.labels,
        data={"class_name": np.array(instances.names, dtype=str)},
    )


def save(instances: Instances, path: str | Path, image: NDArray[np.uint8] | None = None) -> Path:
    """Writes the instances of one image; the suffix of the name says as what.

    Args:
        instances: what was found.
        path: .json (see `describe`), .tif (a label image), .csv (a table; needs pandas), or .png or .jpg: with `image`
            a picture of the instances over it, without a label image (.png).
        image: (H, W, 3) uint8 RGB, in which they were found.

    Returns:
        The file.

    Raises:
        InputError: another suffix, a .jpg without an image, or more instances than a label image of 16 bits takes.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".json":
        write_json(path, describe(instances))
    elif suffix == ".csv":
        with atomic(path) as temporary:
            to_dataframe(instances).to_csv(temporary, index=False)
    elif suffix in (".png", ".jpg") and image is not None:
        write_image(path, draw(image, instances, scale=legible_scale(instances.size_hw)))
    elif suffix == ".tif" or (suffix == ".png" and len(instances) < 2**16):
        write_image(path, label_image(instances))
    else:
        raise InputError(
            f"{path}: expected .json, .csv, .tif, .png (of 65,536 instances and more .tif), or .png or .jpg with the "
            "image: name it so"
        )
    return path


class OutputStems:
    """File stems such that no output, stem + ending in `folder`, meets another output or an input.

    Args:
        inputs: the files read.
        folder: where outputs are written.
        endings: of all files that may be written about an input.
    """

    def __init__(self, inputs: Iterable[Path], folder: Path, endings: Sequence[str]) -> None:
        self._taken = {str(real(path)).casefold() for path in inputs}
        self._root, self._endings = real(folder), endings
        self._numbers: Counter[str] = Counter()

    def take(self, wanted: str) -> str:
        """This stem where it is free, else with -2, -3, ... (compared without case, as some file systems do)."""
        while True:
            self._numbers[wanted] += 1
            stem = wanted if self._numbers[wanted] == 1 else f"{wanted}-{self._numbers[wanted]}"
            names = {str(self._root / f"{stem}{ending}").casefold() for ending in self._endings}
            if names.isdisjoint(self._taken):
                self._taken |= names
                return stem
