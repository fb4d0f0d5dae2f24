"""What the forms read off layers: planes, colours, and how large a pixel is. Napari itself is never imported here."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.physical import PixelSize, pixel_size
from sparseinst.errors import InputError
from sparseinst.masks.numbered import encode_numbered
from sparseinst.structures import Instances

NETWORK = "sparseinst"
"""Key of a layer's metadata: what found its objects."""


def largest(layer: Any) -> Any:
    """The data of a layer, of several levels the largest: anything that gives NumPy arrays."""
    return layer.data[0] if layer.multiscale else layer.data


def planes_of(image: Any, labels: Any) -> list[tuple[int, ...]]:
    """The places of the planes that an image layer and its labels have in common, one after the other.

    Raises:
        InputError: they have other sizes.
    """
    shape = largest(image).shape[:-1] if image.rgb else largest(image).shape
    if tuple(shape) != tuple(largest(labels).shape):
        raise InputError(
            f"labels: expected those of {image.name}, {tuple(shape)}, got {tuple(largest(labels).shape)}: choose its "
            "labels, or the image they are of"
        )
    return list(np.ndindex(*shape[:-2]))


def plane_of(layer: Any, place: tuple[int, ...]) -> NDArray[Any]:
    """One plane of a layer, (H, W) or (H, W, colours)."""
    return np.asarray(largest(layer)[place])


def placed_like(layer: Any, axes: int) -> dict[str, Any]:
    """What puts another layer of so many axes, the last ones, where this one is."""
    return {
        "scale": np.asarray(layer.scale)[-axes:], "translate": np.asarray(layer.translate)[-axes:],
        "units": tuple(layer.units)[-axes:],
    }  # fmt: skip


def size_of(layer: Any) -> PixelSize | None:
    """How large a pixel of a layer is; None where its units are no lengths."""
    y, x = (float(step) for step in layer.scale[-2:])
    depth = float(layer.scale[-3]) if len(layer.scale) > 2 else None
    return pixel_size(y, x, str(layer.units[-1]), depth)


def instances_of(labels: NDArray[Any]) -> tuple[Instances, NDArray[np.int64]]:
    """The objects of an (H, W) label image, whoever drew them, and their numbers (n,)."""
    numbers, rles = encode_numbered(labels)
    none = np.zeros(len(numbers), np.int64)
    return Instances(np.ones(len(numbers), np.float32), none, rles, none, labels.shape), numbers
