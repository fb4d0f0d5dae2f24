"""Objects of a stack from what their masks measure in each plane."""

from collections.abc import Sequence
from typing import Any

from sparseinst.cells.measuring import needed
from sparseinst.data.physical import PixelSize


def volumes_of(planes: Sequence[Any], pixel: PixelSize | None) -> Any:
    """A table with a row for each object of a stack.

    Args:
        planes: the tables of its planes, with the column `object`.
        pixel: size of a pixel, where that is known.

    Returns:
        `object`, `class`, highest `score`, number of `planes`, `first_plane`, `last_plane`, `volume` (voxels), centroid
        (weighted by area) in pixels and planes; `volume_um3` where the distance of planes is known, too.
    """
    pandas = needed("pandas")
    rows = pandas.concat(planes, ignore_index=True)
    for axis in ("centroid_x", "centroid_y", "plane"):
        rows[f"moment_{axis}"] = rows[axis] * rows["area"]
    found = rows.groupby(["image", "time", "object"], as_index=False).agg(
        **{
            "class": ("class", "first"),
            "score": ("score", "max"),
            "planes": ("plane", "nunique"),
            "first_plane": ("plane", "min"),
            "last_plane": ("plane", "max"),
            "volume": ("area", "sum"),
            "centroid_x": ("moment_centroid_x", "sum"),
            "centroid_y": ("moment_centroid_y", "sum"),
            "centroid_z": ("moment_plane", "sum"),
        }
    )
    for axis in ("centroid_x", "centroid_y", "centroid_z"):
        found[axis] /= found["volume"]
    if pixel is not None and pixel.z_um is not None:
        found["volume_um3"] = found["volume"] * pixel.y_um * pixel.x_um * pixel.z_um
    return found
