"""GeoJSON as QuPath reads and writes it: objects out, regions drawn by hand in."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5
from zipfile import ZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from sparseinst.cells.fiji import Placed
from sparseinst.cells.measuring import needed
from sparseinst.cells.outlines import Ring, outlines, ring_area
from sparseinst.data.columns import check_unpacked
from sparseinst.drawing.palette import color_of
from sparseinst.errors import InputError, brief, shown
from sparseinst.files import is_file
from sparseinst.inference.writers import write_json
from sparseinst.parsing import read_json, readable

_MOST_BYTES = 10**9
"""Of regions in a zip, unpacked."""
_FARTHEST_PX = 1e9
"""Coordinates beyond this are damage."""


def write_geojson(path: Path, pictures: Iterable[Placed]) -> None:
    """Writes a file's objects as QuPath's detections, with class, score and the number of label images as name.

    Args:
        path: the file.
        pictures: of one file, in order.

    Raises:
        InputError: geojson is not installed.
    """
    geojson = needed("geojson")
    features = []
    for instances, place in pictures:
        for index, name in enumerate(instances.names):
            pieces = outlines(instances, index)
            if not pieces:
                continue
            geometry = _geometry(geojson, pieces)
            geometry["plane"] = {"c": -1, "z": place.plane or 0, "t": place.time}
            features.append(
                geojson.Feature(
                    id=str(uuid5(NAMESPACE_URL, f"{path.name}/{place}/{index + 1}")),
                    geometry=geometry,
                    properties={
                        "objectType": "detection",
                        "name": str(index + 1),
                        "classification": {"name": name, "color": list(color_of(int(instances.labels[index])))},
                        "measurements": {"score": round(float(instances.scores[index]), 4)},
                    },
                )
            )
    write_json(path, geojson.FeatureCollection(features))


def _geometry(geojson: Any, pieces: list[list[Ring]]) -> Any:
    closed = [[[*ring.tolist(), ring[0].tolist()] for ring in piece] for piece in pieces]
    return geojson.Polygon(closed[0]) if len(closed) == 1 else geojson.MultiPolygon(closed)


class Region(NamedTuple):
    """A region drawn in an image."""

    name: str
    pieces: tuple[tuple[NDArray[np.float64], ...], ...]
    """Each its outer ring (points, 2) as x, y, then those of its holes."""

    @property
    def area(self) -> float:
        """In pixels."""
        areas = ([abs(ring_area(ring)) for ring in piece] for piece in self.pieces)
        return sum(outer - sum(holes) for outer, *holes in areas)

    def holds(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,) whether each of the points (n, 2), x and y in corners' coordinates, lies within."""
        within = needed("skimage.measure").points_in_poly
        inside = np.zeros(len(points), bool)
        for outer, *holes in self.pieces:
            here = np.asarray(within(points, outer), bool)
            for hole in holes:
                here &= ~np.asarray(within(points, hole), bool)
            inside |= here
        return inside


def read_regions(path: Path) -> tuple[Region, ...]:
    """Regions drawn in QuPath (GeoJSON) or Fiji (a .roi or a .zip of them).

    Raises:
        InputError: the file is absent or holds no area.
    """
    if not is_file(path):
        raise InputError(f"{shown(path)}: expected a file of regions, found none: check the path")
    found = tuple(_of_fiji(path) if path.suffix.lower() in (".roi", ".zip") else _of_geojson(path))
    if not found:
        raise InputError(f"{path}: expected polygons, rectangles or other areas, found none: draw a region")
    return found


def _of_fiji(path: Path) -> Iterator[Region]:
    roifile = needed("roifile")
    with readable(path, expected="ROIs of Fiji", hint="save them again"):
        _check_unpacked(path)
        read = roifile.roiread(path)
        rois = read if isinstance(read, list) else [read]
        outlines = [np.asarray(roi.coordinates(), np.float64) for roi in rois]
    for number, (roi, points) in enumerate(zip(rois, outlines, strict=True), 1):
        if points.ndim == 2 and len(points) >= 3:
            where = f"{path}: ROI number {number}"
            yield Region(str(roi.name or f"region {number}"), ((_ring(where, points),),))


def _check_unpacked(path: Path) -> None:
    """Refuses a small zip that holds more than regions do."""
    if is_zipfile(path):
        with ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        check_unpacked(size, _MOST_BYTES, what=f"{path}: expected regions")


def _of_geojson(path: Path) -> Iterator[Region]:
    content = read_json(path, expected="GeoJSON")
    features = content.get("features", [content]) if isinstance(content, Mapping) else content
    if not isinstance(features, list) or not all(isinstance(feature, Mapping) for feature in features):
        raise InputError(f"{path}: expected GeoJSON of features, got {brief(content)}: export it again")
    for number, feature in enumerate(features, 1):
        geometry = feature.get("geometry", feature)
        kind = geometry.get("type") if isinstance(geometry, Mapping) else None
        if kind not in ("Polygon", "MultiPolygon"):
            continue
        where, coordinates = f"{path}: feature number {number}", geometry.get("coordinates")
        pieces = [coordinates] if kind == "Polygon" else coordinates
        if not isinstance(pieces, list) or not all(isinstance(piece, list) and piece for piece in pieces):
            raise InputError(f"{where}: expected lists of rings, got {brief(coordinates)}: export it again")
        rings = tuple(tuple(_ring(where, ring) for ring in piece) for piece in pieces)
        yield Region(_title(feature.get("properties")) or f"region {number}", rings)


def _title(properties: object) -> str:
    """What QuPath calls a feature: its name, or that of its class; "" where it has neither."""
    if not isinstance(properties, Mapping):
        return ""
    of_class = properties.get("classification")
    named = properties.get("name") or (of_class.get("name") if isinstance(of_class, Mapping) else None)
    return "" if named is None else str(named)


def _ring(where: str, ring: object) -> NDArray[np.float64]:
    """(points, 2) x and y."""
    try:
        points = np.array(ring, np.float64)[:, :2]
    except (TypeError, ValueError, OverflowError, IndexError):
        points = np.empty((0, 0))
    if points.shape[1] != 2 or len(points) < 3 or not (np.abs(points) < _FARTHEST_PX).all():  # false for nan, too
        raise InputError(f"{where}: expected a ring of points x, y in pixels, got {brief(ring)}: draw it again")
    return points
