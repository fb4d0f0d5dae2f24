"""How large a pixel is: from OME-XML, ImageJ's notes, TIFF's resolution tags and OME-Zarr's scales."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tifffile import TiffFile

_UM = {
    "m": 1e6, "meter": 1e6, "cm": 1e4, "centimeter": 1e4, "mm": 1e3, "millimeter": 1e3, "µm": 1.0, "μm": 1.0, "um": 1.0,
    "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "\\u00b5m": 1.0, "nm": 1e-3, "nanometer": 1e-3, "pm": 1e-6,
    "å": 1e-4, "angstrom": 1e-4, "inch": 25_400.0, "in": 25_400.0,
}  # fmt: skip
"""Micrometres of units, as files spell them (in lower case)."""
_INCH, _CENTIMETRE = 2, 3
_COARSEST_UM = 10.0
"""Of a plain TIFF file, coarser resolutions are those of a printer or screen (300 dots an inch are 85 um a pixel)."""


class PixelSize(NamedTuple):
    """Micrometres of a pixel."""

    y_um: float
    x_um: float
    z_um: float | None = None
    """Between planes of a stack, where that is known."""

    @property
    def mean_um(self) -> float:
        """Side of a square pixel of the same area."""
        return float((self.y_um * self.x_um) ** 0.5)


def pixel_size(y: float, x: float, unit: str, z: float | None = None, z_unit: str | None = None) -> PixelSize | None:
    """A size in any unit; None where the unit is no length or the numbers are no sizes.

    >>> pixel_size(325, 325, "nm")
    PixelSize(y_um=0.325, x_um=0.325, z_um=None)
    >>> pixel_size(1, 1, "pixel") is None
    True
    """
    um = _UM.get(unit.strip().lower())
    if um is None or not (y > 0 and x > 0):
        return None
    z_um = _UM.get((unit if z_unit is None else z_unit).strip().lower())
    return PixelSize(_rounded(y * um), _rounded(x * um), _rounded(z * z_um) if z and z > 0 and z_um else None)


def size_of_tiff(file: "TiffFile") -> PixelSize | None:
    """That of an open TIFF file, by the first of OME-XML, ImageJ's notes and the resolution tags that states it."""
    if file.ome_metadata:
        found = size_of_ome(file.ome_metadata)
        if found is not None:
            return found
    tags = file.pages.first.tags
    per_x, per_y = (_ratio(tags.valueof(name)) for name in ("XResolution", "YResolution"))
    if not (per_x and per_y):
        return None
    notes = file.imagej_metadata
    if notes is not None:
        return pixel_size(1 / per_y, 1 / per_x, str(notes.get("unit", "")), _number(notes.get("spacing")))
    unit = {_INCH: "inch", _CENTIMETRE: "cm"}.get(int(tags.valueof("ResolutionUnit") or 0), "")
    found = pixel_size(1 / per_y, 1 / per_x, unit)
    return found if found is not None and found.mean_um <= _COARSEST_UM else None


def size_of_ome(xml: str) -> PixelSize | None:
    """That of the first image of an OME-XML document; None where it states none."""
    pixels = first_pixels(xml)
    if pixels is None:
        return None
    y, x, z = (_number(pixels.get(f"PhysicalSize{axis}")) for axis in "YXZ")
    if y is None or x is None:
        return None
    return pixel_size(y, x, pixels.get("PhysicalSizeXUnit", "µm"), z, pixels.get("PhysicalSizeZUnit", "µm"))


def channels_of_ome(xml: str) -> list[str]:
    """Names of the channels of the first image of an OME-XML document, "" for those without."""
    pixels = first_pixels(xml)
    found = [] if pixels is None else [item for item in pixels if item.tag.rpartition("}")[2] == "Channel"]
    return [item.get("Name", "") for item in found]


def first_pixels(xml: str) -> ET.Element | None:
    """The element Pixels of the first image; None of what is no OME-XML."""
    try:
        root = ET.fromstring(xml)
    except ET.ParseError:
        return None
    return next((item for item in root.iter() if item.tag.rpartition("}")[2] == "Pixels"), None)


def size_of_ome_zarr(axes: Sequence[Any], transformations: Sequence[Mapping[str, Any]]) -> PixelSize | None:
    """That of a level of an OME-Zarr image, by the axes' units and the scale of the level."""
    scale = next((item["scale"] for item in transformations if item.get("type") == "scale"), None)
    if scale is None or not all(isinstance(axis, Mapping) for axis in axes):
        return None
    by_name = {axis["name"]: (float(step), str(axis.get("unit", ""))) for axis, step in zip(axes, scale, strict=True)}
    (y, unit), (x, _), (z, z_unit) = by_name["y"], by_name["x"], by_name.get("z", (0.0, ""))
    return pixel_size(y, x, unit, z, z_unit)


def _rounded(value: float) -> float:
    """325 nm are 0.325 um, not 0.32500000000000001."""
    return float(f"{value:.9g}")


def _ratio(value: object) -> float | None:
    """Pixels for each unit, as TIFF writes them."""
    if isinstance(value, tuple) and len(value) == 2 and value[0] and value[1]:
        return float(value[0] / value[1])
    return None


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, str | float | int) else None
    except ValueError:
        return None
