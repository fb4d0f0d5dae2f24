"""What is written about the objects of image files for those who count them: tables, and files for other programs."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sparseinst.cells.fiji import Placed, write_rois
from sparseinst.cells.label_stack import LabelPlane, LabelStack, at_all_places, write_label_stack
from sparseinst.cells.label_zarr import write_label_zarr
from sparseinst.cells.measuring import RING_PX, needed, table
from sparseinst.cells.qupath import Region, read_regions, write_geojson
from sparseinst.cells.regions import counts_of, within
from sparseinst.cells.stitching import stitch
from sparseinst.cells.volumes import volumes_of
from sparseinst.data.physical import PixelSize
from sparseinst.data.stacks.opening import open_stack
from sparseinst.data.stacks.stack import Place, Stack
from sparseinst.errors import InputError
from sparseinst.files import atomic, real
from sparseinst.inference.outcome import ImageResult

MEASUREMENTS, VOLUMES, REGIONS = "measurements.csv", "volumes.csv", "regions.csv"
ROIS, GEOJSON, OUTLINES, STACK = "_rois.zip", ".geojson", "_cp_outlines.txt", "_labels.ome.tif"
ZARR = "_labels.ome.zarr"


class Wanted(NamedTuple):
    """What is to be written.

    Args:
        measure: measurements.csv, and .parquet where pyarrow is installed (see `measuring.measure`).
        rois: NAME_rois.zip for Fiji.
        geojson: NAME.geojson for QuPath.
        outlines: NAME_cp_outlines.txt, as Cellpose writes it, of each picture.
        stack: NAME_labels.ome.tif with the label images of all planes and time points.
        zarr: NAME_labels.ome.zarr, an OME-Zarr image with these label images.
        stitch: the masks of adjacent planes become objects of the stack, whose numbers are those of the label images;
            with `measure` volumes.csv has a row for each.
        regions: a file of regions (see `read_regions`), in which objects are counted: regions.csv.
        ring_px: width of the ring around an object in which intensities are measured, too.
        series: the image that was looked at in a file of several, as the `View` of the run has it.
    """

    measure: bool = False
    rois: bool = False
    geojson: bool = False
    outlines: bool = False
    stack: bool = False
    zarr: bool = False
    stitch: bool = False
    regions: Path | None = None
    ring_px: int = RING_PX
    series: str | None = None


class _Picture(NamedTuple):
    """What is kept of a picture until its file is done."""

    placed: Placed
    measured: Any
    """A pandas table, or None."""


class CellFiles:
    """Writes them while a run goes on: give `add` to `predict_files` as `on_image`, with a `view`; a `with` block ends
    the last file, and writes the tables.

    Args:
        folder: where to.
        classes: names by label.
        wanted: what is to be written.

    Attributes:
        written: the files, once they are there.

    Raises:
        InputError: the file of regions cannot be read, a package is missing, or the ring has no width.
    """

    def __init__(self, folder: Path, classes: Sequence[str], wanted: Wanted) -> None:
        self.folder, self.classes, self.wanted = folder, classes, wanted
        self.written: list[Path] = []
        packages = {
            "pandas": wanted.measure or wanted.regions, "skimage.measure": wanted.measure or wanted.regions,
            "roifile": wanted.rois, "geojson": wanted.geojson, "zarr": wanted.zarr,
        }  # fmt: skip
        for package in (name for name, used in packages.items() if used):
            needed(package, extra="large" if package == "zarr" else "cells")
        if wanted.ring_px < 1:
            raise InputError(f"ring: expected at least 1 pixel, got {wanted.ring_px}: give the width of the ring")
        self._regions: tuple[Region, ...] = () if wanted.regions is None else read_regions(wanted.regions)
        self._measured: list[Any] = []
        self._volumes: list[Any] = []
        self._counted: list[dict[str, Any]] = []
        self._file: ImageResult | None = None
        self._pictures: list[_Picture] = []
        self._opened = ExitStack()
        self._stack: Stack | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._end_file()
            self._write_tables()
        self._opened.close()

    def add(self, result: ImageResult) -> None:
        """Takes what became of a picture; those of a file come one after the other.

        Raises:
            InputError: the run was made without a `view` or an output folder, or a file cannot be read again.
        """
        if result.instances is None:
            return
        if result.place is None or result.stem is None:
            raise InputError("files about cells: expected images opened by their axes: give predict_files view and out")
        if self._file is None or self._file.path != result.path:
            self._end_file()
            self._file = result
            self._stack = self._opened.enter_context(open_stack(result.path, self.wanted.series))
        measured = self._measure(result, result.place) if self.wanted.measure else None
        self._count(result, measured)
        self._pictures.append(_Picture(Placed(result.instances, result.place), measured))
        if self.wanted.outlines:
            number = "" if result.page is None else f"_{result.page:0{len(str(result.pages - 1))}}"
            self._write_outlines(self.folder / f"{result.stem}{number}{OUTLINES}", result)

    def _measure(self, result: ImageResult, place: Place) -> Any:
        stack, instances = self._stack, result.instances
        assert stack is not None and instances is not None
        channels = {name: partial(stack.values, place, number) for number, name in enumerate(stack.channels)}
        measured = table(
            instances, channels, pixel=result.pixel, ring_px=self.wanted.ring_px
        )  # fmt: skip
        for column, value in reversed(_head(result, place).items()):
            measured.insert(0, column, value)
        return measured

    def _count(self, result: ImageResult, measured: Any) -> None:
        if not self._regions:
            return
        instances, place = result.instances, result.place
        assert instances is not None and place is not None
        inside = within(instances, self._regions)
        rows = counts_of(instances, self._regions, inside, self.classes, result.pixel)
        self._counted += [{**_head(result, place), **row} for row in rows]
        if measured is not None:
            names = np.array([region.name for region in self._regions])
            measured["region"] = ["; ".join(names[here]) for here in inside.T]

    def _write_outlines(self, path: Path, result: ImageResult) -> None:
        """A line an object: x and y of the pixels along the edge of its largest piece."""
        assert result.instances is not None
        largest = [max(parts, key=len, default=np.zeros((0, 2), int)) for parts in result.instances.polygons()]
        with atomic(path) as temporary:
            lines = (",".join(map(str, part.reshape(-1).tolist())) + "\n" for part in largest)
            temporary.write_text("".join(lines), encoding="ascii")
        self.written.append(path)

    def _end_file(self) -> None:
        """Writes what is about a whole file."""
        file, pictures, stack = self._file, self._pictures, self._stack
        if file is not None and stack is not None and pictures:
            placed = [picture.placed for picture in pictures]
            start = self.folder / str(file.stem)
            if self.wanted.rois:
                write_rois(self._new(start, ROIS), placed, planes=len(pictures) > 1)
            if self.wanted.geojson:
                write_geojson(self._new(start, GEOJSON), placed)
            if self.wanted.stack or self.wanted.zarr or self.wanted.stitch:
                labels = self._labels(stack, file.pixel)
                if self.wanted.stack or self.wanted.stitch:
                    write_label_stack(self._new(start, STACK), labels, file.pixel)
                if self.wanted.zarr:
                    write_label_zarr(self._new(start, ZARR), stack, labels, file.pixel)
            self._measured += [picture.measured for picture in pictures if picture.measured is not None]
        self._file, self._stack, self._pictures = None, None, []
        self._opened.close()

    def _new(self, start: Path, ending: str) -> Path:
        path = start.with_name(f"{start.name}{ending}")
        if self.wanted.regions is not None and real(path) == real(self.wanted.regions):
            raise InputError(f"{path}: would be written over the file of regions: choose another folder (--out)")
        self.written.append(path)
        return path

    def _labels(self, stack: Stack, pixel: PixelSize | None) -> LabelStack:
        """The label images of a file: numbered through the planes of a time point, or each picture anew."""
        measured = {picture.placed.place: picture.measured for picture in self._pictures}
        everywhere = at_all_places([picture.placed for picture in self._pictures], stack)
        depth = len(everywhere) // stack.times
        planes = []
        for begin in range(0, len(everywhere), depth):
            members = everywhere[begin : begin + depth]
            if self.wanted.stitch:
                numbers = stitch([one.instances for one in members])
                self._measure_volumes([measured.get(one.place) for one in members], numbers, pixel)
            else:
                numbers = [np.arange(1, len(one.instances) + 1) for one in members]
            planes += [LabelPlane(one.place, one.instances, own) for one, own in zip(members, numbers, strict=True)]
        return LabelStack(stack.times, depth, planes, stitched=self.wanted.stitch)

    def _measure_volumes(
        self, tables: Sequence[Any], numbers: Sequence[NDArray[np.int64]], pixel: PixelSize | None
    ) -> None:
        """Names the objects of planes in their tables (None of a plane that was not read), and sums them up."""
        there = [table for table in tables if table is not None]
        for measured, own in zip(tables, numbers, strict=True):
            if measured is not None:
                measured.insert(3, "object", own)
        if there:
            self._volumes.append(volumes_of(there, pixel))

    def _write_tables(self) -> None:
        if self.wanted.measure:
            self._write_table(MEASUREMENTS, self._measured)
        if self.wanted.measure and self.wanted.stitch:
            self._write_table(VOLUMES, self._volumes)
        if self._regions:
            self._write_table(REGIONS, [needed("pandas").DataFrame(self._counted)])

    def _write_table(self, name: str, parts: Sequence[Any]) -> None:
        pandas = needed("pandas")
        whole = pandas.concat(parts, ignore_index=True) if parts else pandas.DataFrame()
        path = self.folder / name
        with atomic(path) as temporary:
            whole.to_csv(temporary, index=False, float_format="%.6g")
        self.written.append(path)
        if name == MEASUREMENTS and find_spec("pyarrow") is not None:
            parquet = path.with_suffix(".parquet")
            with atomic(parquet) as temporary:
                whole.to_parquet(temporary, engine="pyarrow", index=False)
            self.written.append(parquet)


def _head(result: ImageResult, place: Place) -> dict[str, Any]:
    """Of which picture a row is; the plane of a projection is -1."""
    return {"image": result.path.as_posix(), "time": place.time, "plane": -1 if place.plane is None else place.plane}
