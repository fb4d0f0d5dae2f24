"""Label images of all planes and time points in one tiled OME-TIFF."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.physical import PixelSize
from sparseinst.data.signature import SIGNATURE
from sparseinst.files import atomic
from sparseinst.inference.label_tiff import TILE_PX, label_tiles
from sparseinst.structures import Instances

_BIG_BYTES = 2**31


def write_label_stack(
    path: Path,
    planes: Sequence[Instances],
    numbers: Sequence[NDArray[np.int64]],
    *,
    times: int,
    pixel: PixelSize | None,
) -> None:
    """Writes an OME-TIFF with axes TZYX in deflated tiles, with the size of a pixel where that is known.

    Pixels are 16 bits deep, 32 where there are too many numbers, and drawn one row of tiles at a time.

    Args:
        path: the file, NAME_labels.ome.tif.
        planes: instances of each plane, time points first, all of one size.
        numbers: of each plane (n,) what the pixels of its instances become, from 1.
        times: how many time points the planes belong to.
        pixel: its size.
    """
    from tifffile import TiffWriter

    most = max((int(own.max()) for own in numbers if len(own)), default=0)
    dtype: np.dtype[np.unsignedinteger] = np.dtype("uint16" if most < 2**16 else "uint32")
    height, width = planes[0].size_hw
    shape = (times, len(planes) // times, height, width)
    about = {"axes": "TZYX", "Creator": SIGNATURE, **_physical(pixel)}
    with (
        atomic(path) as temporary,
        TiffWriter(temporary, ome=True, bigtiff=int(np.prod(shape)) * dtype.itemsize > _BIG_BYTES) as file,
    ):
        file.write(
            _tiles(planes, numbers, dtype), shape=shape, dtype=dtype, tile=(TILE_PX, TILE_PX), compression="zlib",
            photometric="minisblack", metadata=about, software=SIGNATURE,
        )  # fmt: skip


def _physical(pixel: PixelSize | None) -> dict[str, object]:
    if pixel is None:
        return {}
    sizes = {"Y": pixel.y_um, "X": pixel.x_um, "Z": pixel.z_um}
    stated = {f"PhysicalSize{axis}": size for axis, size in sizes.items() if size is not None}
    return stated | {f"{name}Unit": "µm" for name in stated}


def _tiles(
    planes: Sequence[Instances], numbers: Sequence[NDArray[np.int64]], dtype: np.dtype[np.unsignedinteger]
) -> Iterator[NDArray[np.unsignedinteger]]:
    """The tiles of all planes, in which those of one row are held at once."""
    for instances, own in zip(planes, numbers, strict=True):
        table = np.concatenate([[0], own]).astype(dtype)
        for tile in label_tiles(instances, np.dtype("uint32")):
            yield table[tile]
