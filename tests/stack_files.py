"""Files of several channels, planes and time points, as microscopes and Fiji write them."""

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

OME_SIZES = {
    "PhysicalSizeX": 325, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 325, "PhysicalSizeYUnit": "nm",
    "PhysicalSizeZ": 2.0, "PhysicalSizeZUnit": "µm",
}  # fmt: skip


def values(*shape: int) -> NDArray[np.uint16]:
    """Different numbers everywhere."""
    return np.random.default_rng(0).permutation(int(np.prod(shape))).astype(np.uint16).reshape(shape)


def write_ome(path: Path, array: NDArray[np.generic], axes: str, *channels: str, **about: object) -> Path:
    """An OME-TIFF of these axes; its channels may have names."""
    named = {"Channel": {"Name": list(channels)}} if channels else {}
    metadata = {"axes": axes, **OME_SIZES, **named, **about}
    photometric = "rgb" if axes.endswith("S") else "minisblack"
    tifffile.imwrite(path, array, ome=True, photometric=photometric, metadata=metadata)
    return path
