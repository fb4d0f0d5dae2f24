"""GeoJSON as QuPath reads and writes it: objects out, regions drawn by hand in."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from numpy.typing import NDArray

from sparseinst.cells.fiji import Placed
from sparseinst.cells.measuring import needed
from sparseinst.cells.outlines import Ring, outlines, ring_area
from sparseinst.drawing.palette import color_of
from sparseinst.errors import InputError
from sparseinst.inference.writers import write_json


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
    if not path.is_file():
        raise InputError(f"{path}: expected a file of regions, found none: check the path")
    found = tuple(_of_fiji(path) if path.suffix.lower() in (".roi", ".zip") else _of_geojson(path))
    if not found:
        raise InputError(f"{path}: expected polygons, rectangles or other areas, found none: draw a region")
    return found


def _of_fiji(path: Path) -> Iterator[Region]:
    roifile = needed("roifile")
    try:
        read = roifile.roiread(path)
    except Exception as error:  # whatever a damaged file leads to
        raise InputError(f"{path}: expected ROIs of Fiji, could not read them ({error!r}): save them again") from error
    for number, roi in enumerate(read if isinstance(read, list) else [read], 1):
        points = np.asarray(roi.coordinates(), np.float64)
        if points.ndim == 2 and len(points) >= 3:
            yield Region(roi.name or f"region {number}", ((points,),))


def _of_geojson(path: Path) -> Iterator[Region]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path}: expected GeoJSON, could not read it ({error}): export it again") from error
    features = content.get("features", [content]) if isinstance(content, Mapping) else content
    for number, feature in enumerate(features, 1):
        geometry, properties = feature.get("geometry", feature), feature.get("properties") or {}
        kind, coordinates = geometry.get("type"), geometry.get("coordinates")
        if kind not in ("Polygon", "MultiPolygon"):
            continue
        pieces = [coordinates] if kind == "Polygon" else coordinates
        named = properties.get("name") or (properties.get("classification") or {}).get("name")
        rings = tuple(tuple(np.array(ring, np.float64)[:, :2] for ring in piece) for piece in pieces)
        yield Region(str(named or f"region {number}"), rings)
