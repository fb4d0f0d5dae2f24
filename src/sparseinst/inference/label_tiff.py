"""Label images of any size as tiled TIFF files, drawn one row of tiles at a time."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.signature import SIGNATURE
from sparseinst.files import atomic
from sparseinst.masks.runs import Strips, decode_runs
from sparseinst.structures import Instances

TILE_PX = 512

_DECODED_AT_ONCE = 4096
"""Masks: what decoding takes is bounded, however many there are."""
_BIG_BYTES = 2**32 - 2**25
"""Pixels of so many bytes need BigTIFF, with room for the header."""


def write_label_tiff(path: Path, instances: Instances) -> None:
    """Writes `label_image` as a TIFF file in deflated tiles, 32 bits deep where 16 cannot count the instances.

    The pixels of one row of tiles are held at once; an instance is decoded for each row of tiles that it touches. The
    file is a BigTIFF if its pixels would fill 4 GB undeflated. It is written under a temporary name, then renamed.
    """
    from tifffile import TiffWriter

    dtype: np.dtype[np.unsignedinteger] = np.dtype("uint16" if len(instances) < 2**16 else "uint32")
    big = instances.size_hw[0] * instances.size_hw[1] * dtype.itemsize > _BIG_BYTES
    with atomic(path) as temporary, TiffWriter(temporary, bigtiff=big) as file:
        file.write(
            label_tiles(instances, dtype),
            shape=instances.size_hw,
            dtype=dtype,
            tile=(TILE_PX, TILE_PX),
            compression="zlib",
            photometric="minisblack",
            description=f"Software: {SIGNATURE}",
            metadata=None,
            software=False,
        )


def label_tiles(instances: Instances, dtype: np.dtype[np.unsignedinteger]) -> Iterator[NDArray[np.unsignedinteger]]:
    """The (TILE_PX, TILE_PX) tiles of the image, row by row; 0 beyond its edges."""
    across = -(-instances.size_hw[1] // TILE_PX)
    for row, members in enumerate(_by_row(instances)):
        columns = np.zeros((across * TILE_PX, TILE_PX), dtype)
        for begin in range(0, len(members), _DECODED_AT_ONCE):
            some = members[begin : begin + _DECODED_AT_ONCE]
            strips = decode_runs([instances.rles[index] for index in some]).strips(instances.size_hw[0])
            _within(strips, row * TILE_PX).paint(columns, (some + 1).astype(dtype))
        for column in range(across):
            yield np.ascontiguousarray(columns[column * TILE_PX : (column + 1) * TILE_PX].T)


def _within(strips: Strips, top: int) -> Strips:
    """What lies in a row of tiles, in its own rows."""
    tops, bottoms = np.maximum(strips.tops - top, 0), np.minimum(strips.bottoms - top, TILE_PX)
    return strips._replace(tops=tops, bottoms=bottoms).chosen(tops < bottoms)


def _by_row(instances: Instances) -> list[NDArray[np.int64]]:
    """The numbers of the instances that touch each row of tiles, the highest score last, as it hides the others."""
    order = np.argsort(instances.scores, kind="stable")
    tops, bottoms = instances.boxes[order, 1].astype(np.int64), instances.boxes[order, 3].astype(np.int64)
    first = tops // TILE_PX
    counts = np.where(bottoms > tops, (bottoms - 1) // TILE_PX - first + 1, 0)
    rows = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    by_row = np.argsort(rows, kind="stable")
    ends = np.searchsorted(rows[by_row], np.arange(1, -(-instances.size_hw[0] // TILE_PX)))
    return np.split(np.repeat(order, counts)[by_row], ends)
