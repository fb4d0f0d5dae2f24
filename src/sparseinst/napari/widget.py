"""The form that finds objects: napari makes it of the function's arguments; its types stand in quotes."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparseinst.cells.stitching import stitch as stitched
from sparseinst.errors import InputError
from sparseinst.inference.predictor import Predictor
from sparseinst.inference.writers import label_image
from sparseinst.napari.layers import NETWORK, largest, placed_like
from sparseinst.structures import Instances

if TYPE_CHECKING:
    import napari.layers
    import napari.types


def find_objects(
    image: "napari.layers.Image",
    model: str = "nuclei",
    estimate_diameter: bool = False,
    diameter_px: float = 0.0,
    tile_px: int = 0,
    stitch_planes: bool = False,
) -> "napari.types.LayerDataTuple":
    """Labels of what is found in an image layer, where that layer is.

    Args:
        image: of any number of axes; each plane is looked at.
        model: the name or checkpoint file of a network.
        estimate_diameter: estimate how large objects are, plane by plane.
        diameter_px: or that of most objects in pixels; 0 leaves it to the network.
        tile_px: side of the tiles that larger planes are cut into; 0 leaves it to the network.
        stitch_planes: make masks of adjacent planes that overlap one object.

    Raises:
        InputError: both diameters are given, or the image or the model cannot be used.
    """
    if estimate_diameter and diameter_px:
        raise InputError("expected diameter_px or estimate_diameter, got both: set diameter_px to 0")
    diameter: float | Literal["auto"] | None = "auto" if estimate_diameter else diameter_px or None
    predictor = predictor_of(model, diameter, tile_px or None)
    labels = label_layer(largest(image), predictor, colours=image.rgb, stitch=stitch_planes)
    network = {"model": model, "diameter": diameter, "tile": tile_px or None, "classes": predictor.classes}
    options = {"name": f"{image.name} objects", "metadata": {NETWORK: network}, **placed_like(image, labels.ndim)}
    return labels, options, "labels"


def label_layer(image: Any, predictor: Predictor, *, colours: bool, stitch: bool = False) -> NDArray[np.int32]:
    """The labels of an array of any number of axes.

    Args:
        image: anything that gives NumPy arrays, such as dask's and zarr's, one plane at a time: (..., H, W), or
            (..., H, W, 3 or 4) in colours.
        predictor: finds the instances of each plane.
        colours: whether the last axis holds them.
        stitch: masks of adjacent planes (of the last axis before H) are one object where they overlap.

    Returns:
        (..., H, W): 0 background; numbers count from 1 in each plane, or with `stitch` in each stack.

    Raises:
        InputError: the image has fewer than two axes, or no axis to stitch along.
    """
    shape = tuple(image.shape)[:-1] if colours else tuple(image.shape)
    if len(shape) < (3 if stitch else 2):
        raise InputError(f"image: expected axes (..., H, W){' and planes' if stitch else ''}, got {shape}: check it")
    labels = np.zeros(shape, np.int32)
    for place in np.ndindex(shape[: -3 if stitch else -2]):
        if not stitch:
            labels[place] = label_image(predictor(np.asarray(image[place])))
            continue
        planes: list[Instances] = [predictor(np.asarray(image[place][plane])) for plane in range(shape[-3])]
        for plane, (instances, numbers) in enumerate(zip(planes, stitched(planes), strict=True)):
            labels[place][plane] = np.concatenate([[0], numbers])[label_image(instances)]
    return labels


@lru_cache(maxsize=2)
def predictor_of(model: str, diameter: float | Literal["auto"] | None, tile: int | None) -> Predictor:
    """Kept between clicks."""
    return Predictor(model, diameter=diameter, tile=tile)
