"""What objects measure: shape, and the intensities of every channel within them and in a ring around."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sparseinst.data.physical import PixelSize
from sparseinst.data.stacks.opening import open_stack
from sparseinst.data.stacks.stack import Place
from sparseinst.errors import InputError
from sparseinst.masks.runs import decode_runs
from sparseinst.structures import Instances

if TYPE_CHECKING:
    import pandas as pd

RING_PX = 5
"""Width of the ring around an object without one given."""
_SHAPES = {
    "area": "area", "perimeter": "perimeter", "major_axis": "axis_major_length", "minor_axis": "axis_minor_length",
    "orientation": "orientation", "eccentricity": "eccentricity", "solidity": "solidity",
}  # fmt: skip
"""Our names and skimage's."""
_LENGTHS = ("centroid_x", "centroid_y", "perimeter", "major_axis", "minor_axis")
_STATISTICS: dict[str, Callable[[NDArray[Any]], float]] = {
    "mean": lambda values: float(values.mean()),
    "std": lambda values: float(values.std()),
    "min": lambda values: float(values.min()),
    "max": lambda values: float(values.max()),
    "sum": lambda values: float(values.sum(dtype=np.float64)),
}

Channels = Mapping[str, Callable[[], NDArray[Any]]]
"""What gives the (height, width) values of each channel, asked for one after the other."""


class _Region(NamedTuple):
    """An object with what is around it."""

    window: tuple[slice, slice]
    mask: NDArray[np.bool_]
    """Within the window."""
    ring: NDArray[np.bool_]


def measure(
    instances: Instances,
    image: "NDArray[Any] | str | Path",
    *,
    channels: Sequence[str] | None = None,
    pixel: PixelSize | float | None = None,
    ring_px: int = RING_PX,
) -> "pd.DataFrame":
    """What the instances of an image measure; the work of `Instances.measure`.

    Args:
        instances: of the image.
        image: (H, W), or (H, W, C) channels last, at its own depth; or an image file, whose first plane is measured in
            all channels.
        channels: names of the channels; without them those of the file, or their numbers.
        pixel: size of a pixel, or micrometres of its side; None takes what the file says.
        ring_px: width of the ring around an object, in pixels; it leaves out all other objects.

    Returns:
        A row an object, in the order of the instances: `id` from 1 (as in label images), `class`, `score`,
        `centroid_x`, `centroid_y` (0 is the centre of the first pixel), `area`, `perimeter`, `major_axis` and
        `minor_axis` (of the ellipse of equal moments), `orientation` (degrees from the x axis, counted anticlockwise as
        seen, -90 .. 90), `eccentricity`, `solidity`; for each channel C `mean_C`, `std_C`, `min_C`, `max_C`, `sum_C`
        and the same with `ring_` before them. In pixels, and where their size is known in micrometres, too:
        `area_um2`, `perimeter_um` and so on. What does not exist, such as the values of an empty ring, is NaN.

    Raises:
        InputError: the image has another size than the instances, its channels another number than their names, or
            scikit-image or pandas is missing.
    """
    if isinstance(image, str | Path):
        with open_stack(Path(image)) as stack:
            names = stack.channels if channels is None else channels
            planes = dict(zip(names, stack.all_values(Place()), strict=True))
            pixel = stack.pixel if pixel is None else pixel
    else:
        array = np.asarray(image)
        array = array[:, :, None] if array.ndim == 2 else array
        names = [str(i) for i in range(array.shape[-1])] if channels is None else channels
        if array.ndim != 3 or array.shape[-1] != len(names):
            raise InputError(
                f"image: expected (H, W) or (H, W, {len(names)}), got {array.shape}: give one image, channels last"
            )
        planes = {name: array[:, :, i] for i, name in enumerate(names)}
    size = PixelSize(pixel, pixel) if isinstance(pixel, int | float) else pixel
    loaded = {name: partial(np.asarray, values) for name, values in planes.items()}
    return table(instances, loaded, pixel=size, ring_px=ring_px)


def table(
    instances: Instances,
    channels: Channels,
    *,
    pixel: PixelSize | None,
    ring_px: int = RING_PX,
) -> "pd.DataFrame":
    """`measure` of channels that are loaded one after the other."""
    if ring_px < 1:
        raise InputError(f"ring: expected at least 1 pixel, got {ring_px}: give the width of the ring around objects")
    pandas = needed("pandas")
    columns: dict[str, Any] = {
        "id": np.arange(1, len(instances) + 1),
        "class": instances.names,
        "score": instances.scores.astype(np.float64),
        **_shapes(instances),
    }
    if pixel is not None:
        columns |= {f"{name}_um": columns[name] * pixel.mean_um for name in _LENGTHS}
        columns["area_um2"] = columns["area"] * pixel.y_um * pixel.x_um
    for name, load in channels.items():
        values = load()
        if values.shape != instances.size_hw:
            raise InputError(
                f"channel {name}: expected {instances.size_hw[0]} x {instances.size_hw[1]} pixels, as the image of the "
                f"instances has, got {' x '.join(map(str, values.shape))}: give the same image"
            )
        columns |= _intensities(instances, values, name, ring_px)
    found: pd.DataFrame = pandas.DataFrame(columns)
    return found


def needed(package: str, *, extra: str = "cells") -> Any:
    """A package of an extra.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise InputError(
            f"expected the package {package.partition('.')[0]} ({error}), found none: pip install 'sparseinst[{extra}]'"
        ) from error


def _shapes(instances: Instances) -> dict[str, NDArray[np.float64]]:
    regionprops_table = needed("skimage.measure").regionprops_table
    rows = np.full((len(instances), 2 + len(_SHAPES)), np.nan)
    for row, region in zip(rows, _regions(instances, 0), strict=True):
        if region.mask.any():
            wanted = ("centroid", *_SHAPES.values())
            found = regionprops_table(region.mask.astype(np.uint8), properties=wanted)
            y, x = found["centroid-0"][0], found["centroid-1"][0]
            row[:2] = x + region.window[1].start, y + region.window[0].start
            row[2:] = [found[name][0] for name in _SHAPES.values()]
    columns = dict(zip(("centroid_x", "centroid_y", *_SHAPES), rows.T, strict=True))
    # skimage counts from the rows' axis, which points down, towards columns
    turned = np.degrees(columns["orientation"]) + 90
    columns["orientation"] = np.where(turned > 90, turned - 180, turned)
    return columns


def _intensities(
    instances: Instances, values: NDArray[Any], channel: str, ring_px: int
) -> dict[str, NDArray[np.float64]]:
    rows = np.full((len(instances), 2 * len(_STATISTICS)), np.nan)
    for row, region in zip(rows, _regions(instances, ring_px), strict=True):
        part = values[region.window]
        for half, chosen in enumerate((part[region.mask], part[region.ring])):
            if chosen.size:
                begin = half * len(_STATISTICS)
                row[begin : begin + len(_STATISTICS)] = [of(chosen) for of in _STATISTICS.values()]
    names = [f"{prefix}{name}_{channel}" for prefix in ("", "ring_") for name in _STATISTICS]
    return dict(zip(names, rows.T, strict=True))


def _regions(instances: Instances, ring_px: int) -> Iterator[_Region]:
    """Each object in a window that holds its ring; without a width the ring is empty."""
    height, width = instances.size_hw
    boxes = instances.boxes.astype(np.int64)
    runs = decode_runs(list(instances.rles))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * ring_px + 1, 2 * ring_px + 1))
    for index, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        top, left = max(0, y0 - ring_px), max(0, x0 - ring_px)
        bottom, right = min(height, y1 + ring_px), min(width, x1 + ring_px)
        window = slice(top, bottom), slice(left, right)
        mask = runs.dense(index, height, window)
        ring = np.zeros_like(mask)
        if ring_px and mask.any():
            others = (boxes[:, 0] < right) & (boxes[:, 2] > left) & (boxes[:, 1] < bottom) & (boxes[:, 3] > top)
            ring = cv2.dilate(mask.astype(np.uint8), kernel).astype(bool) & ~mask
            for other in np.flatnonzero(others).tolist():
                ring &= ~runs.dense(other, height, window)
        yield _Region(window, mask, ring)
