"""Label images of all planes and time points of a file, and as one tiled OME-TIFF."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseinst.cells.fiji import Placed
from sparseinst.data.physical import PixelSize
from sparseinst.data.signature import SIGNATURE
from sparseinst.data.stacks.stack import Place, Stack, View
from sparseinst.files import atomic
from sparseinst.inference.label_tiff import TILE_PX, label_tiles
from sparseinst.structures import Instances

_BIG_BYTES = 2**31


class LabelPlane(NamedTuple):
    """One of the label images.

    Args:
        place: where in the file it is.
        instances: found there; none of a plane that could not be read.
        numbers: (n,) what the pixels of each instance become, from 1.
    """

    place: Place
    instances: Instances
    numbers: NDArray[np.int64]


class LabelStack(NamedTuple):
    """All of them.

    Args:
        times: how many time points.
        depth: how many planes each has; 1 of projections.
        planes: times * depth of them, time points first, all of one size.
        stitched: whether a number stands for the same object in all planes of a time point.
    """

    times: int
    depth: int
    planes: Sequence[LabelPlane]
    stitched: bool = False

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of each."""
        return self.planes[0].instances.size_hw

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """16 bits, or 32 where there are too many numbers."""
        most = max((int(plane.numbers.max()) for plane in self.planes if len(plane.numbers)), default=0)
        return np.dtype("uint16" if most < 2**16 else "uint32")

    def tiles(self, plane: LabelPlane) -> Iterator[NDArray[np.unsignedinteger]]:
        """The (TILE_PX, TILE_PX) tiles of one, row by row, of which those of one row are held at once."""
        table = np.concatenate([[0], plane.numbers]).astype(self.dtype)
        for tile in label_tiles(plane.instances, np.dtype("uint32")):
            yield table[tile]


def at_all_places(placed: Sequence[Placed], stack: Stack) -> list[Placed]:
    """What was found at every place of a file, in order: nothing where a plane could not be read.

    Args:
        placed: what was found, at least one.
        stack: the file.
    """
    found = {one.place: one.instances for one in placed}
    nothing = Instances.empty(placed[0].instances.size_hw)
    view = View(project="max" if placed[0].place.plane is None else None)
    return [Placed(found.get(place, nothing), place) for place in stack.places(view)]


def write_label_stack(path: Path, stack: LabelStack, pixel: PixelSize | None) -> None:
    """Writes an OME-TIFF with axes TZYX in deflated tiles, with the size of a pixel where that is known.

    Args:
        path: the file, NAME_labels.ome.tif.
        stack: the label images; they are drawn one row of tiles at a time.
        pixel: its size.
    """
    from tifffile import TiffWriter

    shape = (stack.times, stack.depth, *stack.size_hw)
    about = {"axes": "TZYX", "Creator": SIGNATURE, **_physical(pixel)}
    big = int(np.prod(shape)) * stack.dtype.itemsize > _BIG_BYTES
    with atomic(path) as temporary, TiffWriter(temporary, ome=True, bigtiff=big) as file:
        file.write(
            (tile for plane in stack.planes for tile in stack.tiles(plane)), shape=shape, dtype=stack.dtype,
            tile=(TILE_PX, TILE_PX), compression="zlib", photometric="minisblack", metadata=about, software=SIGNATURE,
        )  # fmt: skip


def _physical(pixel: PixelSize | None) -> dict[str, object]:
    if pixel is None:
        return {}
    sizes = {"Y": pixel.y_um, "X": pixel.x_um, "Z": pixel.z_um}
    stated = {f"PhysicalSize{axis}": size for axis, size in sizes.items() if size is not None}
    return stated | {f"{name}Unit": "µm" for name in stated}
