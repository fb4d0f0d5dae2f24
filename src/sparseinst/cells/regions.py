"""Counts and densities by regions that somebody drew."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.cells.qupath import Region
from sparseinst.data.physical import PixelSize
from sparseinst.masks.runs import decode_runs
from sparseinst.structures import Instances

WHOLE = "whole image"
_PER_PX = 1e6
"""Densities are those of so many pixels, ..."""
_UM2_PER_MM2 = 1e6


def centroids(instances: Instances) -> NDArray[np.float64]:
    """(n, 2) x and y of the mean of each mask's pixels, 0 being the centre of the first; NaN for an empty mask."""
    pixels, owners = decode_runs(list(instances.rles)).pixels()
    columns, rows = np.divmod(pixels, instances.size_hw[0])
    counts = np.bincount(owners, minlength=len(instances)).astype(float)
    counts[counts == 0] = np.nan
    sums = (np.bincount(owners, weights=values, minlength=len(instances)) for values in (columns, rows))
    return np.stack([total / counts for total in sums], axis=1)


def within(instances: Instances, regions: Sequence[Region]) -> NDArray[np.bool_]:
    """(regions, n) whether the centroid of each instance lies in each region."""
    points = centroids(instances) + 0.5  # regions are drawn in the coordinates of corners
    return np.array([region.holds(points) for region in regions], bool).reshape(len(regions), len(instances))


def counts_of(
    instances: Instances,
    regions: Sequence[Region],
    inside: NDArray[np.bool_],
    classes: Sequence[str],
    pixel: PixelSize | None,
) -> list[dict[str, Any]]:
    """A row for the whole image and each region, and for each class in it.

    Args:
        instances: of the image.
        regions: drawn in it.
        inside: (regions, n) as `within` gives it.
        classes: names by label.
        pixel: size of a pixel, where that is known.
    """
    whole = (WHOLE, float(np.prod(instances.size_hw)), np.ones(len(instances), bool))
    places = [whole, *((one.name, one.area, here) for one, here in zip(regions, inside, strict=True))]
    rows = []
    for name, area, here in places:
        for label, class_name in enumerate(classes):
            count = int((here & (instances.labels == label)).sum())
            row: dict[str, Any] = {"region": name, "class": class_name, "count": count, "area": area}
            row["per_million_px"] = count / area * _PER_PX if area else float("nan")
            if pixel is not None:
                row["area_um2"] = area * pixel.y_um * pixel.x_um
                row["per_mm2"] = count / row["area_um2"] * _UM2_PER_MM2 if area else float("nan")
            rows.append(row)
    return rows
