"""The form that shows which pixels spoke for the selected object."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sparseinst.errors import InputError
from sparseinst.napari.layers import NETWORK, placed_like, plane_of, planes_of
from sparseinst.napari.widget import predictor_of
from sparseinst.structures import Instances

if TYPE_CHECKING:
    import napari.layers
    import napari.types

    import napari


def show_activation(
    viewer: "napari.Viewer", image: "napari.layers.Image", labels: "napari.layers.Labels"
) -> "napari.types.LayerDataTuple":
    """The activation map of the selected label as an image layer: the brighter a pixel, the more its features counted.

    The network that found the labels (the nuclei network for others) looks at the plane in view again; the map is that
    of the object that overlaps the selected one most.

    Raises:
        InputError: the labels are those of another image, the selected one is not in this plane, or the network does
            not find it.
    """
    planes = planes_of(image, labels)
    place = tuple(int(step) for step in viewer.dims.current_step[-2 - len(planes[0]) : -2])
    number = int(labels.selected_label)
    mask = plane_of(labels, place) == number
    if not number or not mask.any():
        raise InputError(f"label {number}: expected one that is in this plane: pick another (L, then click it)")
    network = labels.metadata.get(NETWORK, {})
    predictor = predictor_of(network.get("model", "nuclei"), network.get("diameter"), network.get("tile"))
    instances, maps = predictor.explain(plane_of(image, place))
    index = most_like(instances, mask)
    if index is None:
        raise InputError(f"label {number}: the network does not find it here, so that it has no activation map")
    heat = maps.upsampled(index).max(0)
    options = {
        "name": f"activation of {number}", "colormap": "red", "blending": "additive", "opacity": 0.8,
        "contrast_limits": (0.0, float(heat.max()) or 1.0), **placed_like(labels, 2),
    }  # fmt: skip
    return heat, options, "image"


def most_like(instances: Instances, mask: NDArray[np.bool_]) -> int | None:
    """The number of the instance with the highest IoU with a mask; None where none overlaps it."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    left, top, right, bottom = instances.boxes.T
    near = (left <= columns[-1]) & (right > columns[0]) & (top <= rows[-1]) & (bottom > rows[0])
    ious = {
        index: float((found & mask).sum() / (found | mask).sum())
        for index in np.flatnonzero(near).tolist()
        for found in [instances[index].masks[0]]
    }
    best = max(ious, key=lambda index: ious[index], default=None)
    return best if best is not None and ious[best] > 0 else None
