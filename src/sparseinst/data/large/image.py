"""An image of any size, seen through windows as 8-bit RGB."""

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import to_rgb8
from sparseinst.data.intensity import Bounds, bounds_of
from sparseinst.data.large.ome_zarr import is_zarr, open_zarr, zarr_image
from sparseinst.data.large.raster import Raster, Source
from sparseinst.data.large.tiff import is_tiff, open_tiff, tiff_size_hw
from sparseinst.data.orientation import oriented, seen_hw, stored
from sparseinst.errors import InputError
from sparseinst.masks.grid import Window

CACHE_BYTES = 2**27
"""Decoded tiles, strips or chunks that are kept: 128 MiB, or 2,200 rows of RGB of 20,000 pixels."""
SAMPLE_PX = 2**22
"""Pixels that the percentiles of an image are taken from: all of 2048 x 2048."""

_AVERAGED_PX = 1024
"""Side of the windows that an overview is put together of."""


class LargeImage:
    """An open file that is read window by window; close it, or use it in a `with` block.

    Values of more than 8 bits become 8-bit ones by one mapping for the whole image. Where it stretches by percentiles,
    these are taken from every k-th pixel of every k-th row, k being the least number that leaves about `SAMPLE_PX`:
    all pixels of smaller images, for which all windows together are what `read_image` gives. Not for several threads
    at once.
    """

    def __init__(self, source: Source, intensity: IntensityConfig) -> None:
        self._source, self._intensity = source, intensity

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self._size_hw(self._source.base)

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Part of the image.

        Args:
            window: rows and columns, each with start and stop, within the image.

        Returns:
            (rows, columns, 3) uint8 RGB; alpha is dropped.

        Raises:
            ValueError: the window is empty or reaches beyond the image.
            InputError: the file is damaged there.
        """
        return self._read(self._source.base, window)

    def overview(self, shrink: int) -> NDArray[np.uint8]:
        """The whole image, smaller by a whole factor: each pixel is the average of shrink x shrink ones.

        A smaller version of the image that the file holds is taken where there is one large enough.

        Returns:
            (ceil(height / shrink), ceil(width / shrink), 3) uint8 RGB.

        Raises:
            InputError: the file is damaged.
        """
        height, width = (math.ceil(side / shrink) for side in self.size_hw)
        large_enough = [
            raster
            for raster in (self._source.base, *(self._source.reduced() if shrink > 1 else ()))
            if self._size_hw(raster)[0] >= height and self._size_hw(raster)[1] >= width
        ]
        raster = min(large_enough, key=lambda raster: math.prod(raster.layout.size_hw))
        left = shrink if raster is self._source.base else min(self._size_hw(raster)[0] // height, shrink)
        picture = self._averaged(raster, left)
        if picture.shape[:2] != (height, width):
            return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        return picture

    def close(self) -> None:
        """Closes the file."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _size_hw(self, raster: Raster) -> tuple[int, int]:
        return seen_hw(raster.layout.size_hw, self._source.orientation)

    def _read(self, raster: Raster, window: Window) -> NDArray[np.uint8]:
        values = raster.read(stored(window, self._size_hw(raster), self._source.orientation))
        return to_rgb8(oriented(values, self._source.orientation), self._intensity, bounds=self._bounds)

    @cached_property
    def _bounds(self) -> Bounds | None:
        """Those of the whole image; None where its values are 8-bit ones."""
        base = self._source.base
        if base.layout.dtype in (np.uint8, np.bool_):
            return None
        if self._intensity.mode == "range":
            return Bounds(self._intensity.low, self._intensity.high)
        try:
            return bounds_of(base.sample(SAMPLE_PX)[:, :3], self._intensity)
        except InputError as error:
            raise error if base.name in str(error) else InputError(f"{base.name}: {error}") from error

    def _averaged(self, raster: Raster, shrink: int) -> NDArray[np.uint8]:
        """(ceil(height / shrink), ceil(width / shrink), 3); averages beyond the edge repeat its pixels."""
        size_hw, step = self._size_hw(raster), max(1, _AVERAGED_PX // shrink)
        height, width = (math.ceil(side / shrink) for side in size_hw)
        picture = np.empty((height, width, 3), np.uint8)
        for top in range(0, height, step):
            for left in range(0, width, step):
                place = slice(top, min(top + step, height)), slice(left, min(left + step, width))
                rows, columns = (
                    slice(part.start * shrink, min(part.stop * shrink, side))
                    for part, side in zip(place, size_hw, strict=True)
                )
                picture[place] = shrunk(self._read(raster, (rows, columns)), shrink)
        return picture


def shrunk(image: NDArray[np.uint8], shrink: int) -> NDArray[np.uint8]:
    """An image (H, W, 3) smaller by a whole factor, (ceil(H / shrink), ceil(W / shrink), 3): the averages of
    shrink x shrink pixels, beyond the edge those of the edge.
    """
    if shrink == 1:
        return image
    height, width = (math.ceil(side / shrink) for side in image.shape[:2])
    beyond = height * shrink - image.shape[0], width * shrink - image.shape[1]
    padded = np.pad(image, ((0, beyond[0]), (0, beyond[1]), (0, 0)), "edge")
    return np.asarray(cv2.resize(padded, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def open_large(
    path: str | Path, intensity: IntensityConfig, *, cache_bytes: int = CACHE_BYTES, at: Mapping[str, int] | None = None
) -> LargeImage:
    """Opens a TIFF file, a zarr array or an OME-Zarr image to be read by windows.

    Of a TIFF file it is the first page, of a zarr image the first plane and time point, with one channel or three
    (RGB). Pillow's limit on pixels does not apply.

    Args:
        path: a TIFF file of any kind, or a folder that holds a zarr array or an OME-Zarr image.
        intensity: what to do with values of more than 8 bits.
        cache_bytes: most bytes of decoded tiles, strips or chunks that are kept.
        at: the page of a TIFF file ("page"), or where on the axes of a zarr image ("t", "z", "c"), each from 0.

    Raises:
        InputError: there is no such file or folder, it is damaged, or it holds something else.
    """
    path = Path(path)
    if is_zarr(path):
        return LargeImage(open_zarr(path, cache_bytes, at or {}), intensity)
    if is_tiff(path):
        return LargeImage(open_tiff(path, cache_bytes, None if at is None else at["page"]), intensity)
    raise InputError(f"{path}: expected a TIFF file or a zarr folder, found none: check the path")


def large_size_hw(path: str | Path) -> tuple[int, int] | None:
    """Height and width of what `open_large` could open, by the header alone; None of everything else.

    Raises:
        InputError: the header is damaged.
    """
    path = Path(path)
    if is_tiff(path):
        return tiff_size_hw(path)
    return zarr_image(path).size_hw if is_zarr(path) else None
