"""Instances as plain values: what the service answers, `Instances.to_json` and tables are made of."""

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sparseinst.errors import InputError
from sparseinst.masks import rle
from sparseinst.structures import Instances

if TYPE_CHECKING:
    import pandas as pd

MaskKind = Literal["rle", "polygons", "png"]
"""How masks are told."""


def describe(instances: Instances, kind: MaskKind = "rle") -> dict[str, Any]:
    """The instances of one image as JSON has it.

    Args:
        instances: what was found.
        kind: "rle" is COCO's compressed run-length encoding, "polygons" the outer contours as [x0, y0, x1, y1, ...] in
            pixels, "png" a picture of the object's box as a data URL, 255 inside the object.
    """
    names, boxes, mask = instances.names, instances.boxes, _MASKS[kind]
    return {
        "width": instances.size_hw[1],
        "height": instances.size_hw[0],
        "instances": [
            {
                "id": i + 1,
                "label": int(instances.labels[i]),
                "class": names[i],
                "score": round(float(instances.scores[i]), 6),
                "bbox": [int(x0), int(y0), int(x1 - x0), int(y1 - y0)],
                "area": int(instances.areas[i]),
                "slot": int(instances.slots[i]),
                "segmentation": mask(instances.rles[i], instances.size_hw),
            }
            for i, (x0, y0, x1, y1) in enumerate(boxes)
        ],
    }


def to_dataframe(instances: Instances) -> "pd.DataFrame":
    """One row an instance: id, class, score, box x0, y0, x1, y1 (pixels, end exclusive) and area (pixels).

    Raises:
        InputError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise InputError("a table needs pandas: pip install pandas") from error
    x0, y0, x1, y1 = instances.boxes.T
    columns = {
        "id": np.arange(1, len(instances) + 1), "class": instances.names, "score": instances.scores, "x0": x0, "y0": y0,
        "x1": x1, "y1": y1, "area": instances.areas,
    }  # fmt: skip
    return pd.DataFrame(columns)


def png_url(pixels: NDArray[np.uint8]) -> str:
    """An (H, W) grey or (H, W, 3) RGB uint8 picture as a data URL."""
    encoded, content = cv2.imencode(".png", pixels if pixels.ndim == 2 else pixels[..., ::-1])
    if not encoded:
        raise ValueError(f"OpenCV could not encode {pixels.shape} {pixels.dtype} as PNG")
    return f"data:image/png;base64,{base64.b64encode(content.tobytes()).decode('ascii')}"


def _as_rle(counts: bytes, size_hw: tuple[int, int]) -> dict[str, Any]:
    return {"size": list(size_hw), "counts": counts.decode("ascii")}


def _as_polygons(counts: bytes, size_hw: tuple[int, int]) -> list[list[int]]:
    return [part.ravel().tolist() for part in rle.polygons(counts, size_hw)]


def _as_png(counts: bytes, size_hw: tuple[int, int]) -> str:
    mask, _ = rle.cutout(counts, size_hw)
    return png_url(mask.astype(np.uint8) * np.uint8(255))


_MASKS: dict[MaskKind, Callable[[bytes, tuple[int, int]], Any]] = {
    "rle": _as_rle,
    "polygons": _as_polygons,
    "png": _as_png,
}
