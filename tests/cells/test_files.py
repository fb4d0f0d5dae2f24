"""From a stack to tables, ROIs, GeoJSON and labels, opened again by the libraries that others use."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from inference.standins import ColorBackend
from sparseinst.cells.files import CellFiles, Wanted
from sparseinst.cells.outlines import ring_area
from sparseinst.cells.qupath import read_regions
from sparseinst.data.sources import find_sources
from sparseinst.data.stacks.stack import View
from sparseinst.errors import InputError
from sparseinst.inference.outcome import ImageResult
from sparseinst.inference.prediction import predict_files
from stack_files import write_ome

roifile, geojson = pytest.importorskip("roifile"), pytest.importorskip("geojson")
pandas = pytest.importorskip("pandas")

ALL = Wanted(measure=True, rois=True, geojson=True, outlines=True, stack=True, stitch=True)


class BrightBackend(ColorBackend):
    """Finds what is bright in a grey image, whatever its channel, as the first class."""

    def __call__(self, images, resized_hw):
        only = images.clone()
        only[:, 1:] = 0
        return super().__call__(only, resized_hw)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Three planes of two channels; in the first a square that moves and vanishes."""
    array = np.zeros((3, 2, 64, 64), np.uint16)
    array[0, 0, 8:40, 8:40] = array[1, 0, 8:40, 16:48] = 4000
    array[:, 1] = 7
    return write_ome(tmp_path / "in" / "a.ome.tif", array, "ZCYX", "DAPI", "GFP")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()


def run(source: Path, out: Path, wanted: Wanted, view: View) -> CellFiles:
    backend = BrightBackend()
    with CellFiles(out, backend.config.classes, wanted) as files:
        predict_files(source, model=backend, out=out, view=view, on_image=files.add)
    return files


def test_a_stack_end_to_end(stack: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    files = run(stack, out, ALL, View("DAPI"))
    assert all(path.is_file() for path in files.written)
    table = pandas.read_csv(out / "measurements.csv")
    assert table["plane"].tolist() == [0, 1] and table["object"].tolist() == [1, 1]
    assert table["mean_DAPI"].tolist() == [4000, 4000] and table["mean_GFP"].tolist() == [7, 7]
    assert table["area"].tolist() == pytest.approx([32 * 32] * 2, rel=0.01)
    assert table["area_um2"].tolist() == pytest.approx([area * 0.325**2 for area in table["area"]], rel=1e-5)
    (volume,) = pandas.read_csv(out / "volumes.csv").to_dict("records")
    assert (volume["planes"], volume["volume"]) == (2, table["area"].sum())
    assert volume["centroid_z"] == pytest.approx(0.5, abs=0.01)
    assert volume["volume_um3"] == pytest.approx(volume["volume"] * 0.325**2 * 2, rel=1e-5)
    with tifffile.TiffFile(out / "a.ome_labels.ome.tif") as file:
        labels = file.asarray()
        assert file.is_ome and file.series[0].axes == "ZYX" and 'PhysicalSizeZ="2.0"' in file.ome_metadata
    assert labels.shape == (3, 64, 64) and [int(part.sum()) for part in labels] == [*table["area"], 0]
    rois = roifile.roiread(out / "a.ome_rois.zip")
    assert [(roi.z_position, roi.t_position) for roi in rois] == [(1, 1), (2, 1)]
    assert [ring_area(roi.coordinates()) for roi in rois] == table["area"].tolist()
    content = geojson.loads((out / "a.ome.geojson").read_text())
    assert content.is_valid and [one["geometry"]["plane"]["z"] for one in content["features"]] == [0, 1]
    assert content["features"][0]["properties"]["classification"]["name"] == "red"
    outline = (out / "a.ome_0_cp_outlines.txt").read_text().strip().split(",")
    assert min(map(int, outline)) == 8 and max(map(int, outline)) == 39
    assert find_sources(tmp_path / "in").images == [stack]
    with pytest.raises(InputError, match="found none"):
        find_sources(out)  # what was written is no image to be read


def test_projections_and_pictures_that_are_none_of_a_stack(stack: Path, tmp_path: Path) -> None:
    run(stack, tmp_path / "out", ALL._replace(stitch=False), View("DAPI", "max"))
    (row,) = pandas.read_csv(tmp_path / "out/measurements.csv").to_dict("records")
    assert row["plane"] == -1 and row["area"] == pytest.approx(32 * 40, rel=0.01)
    (roi,) = roifile.roiread(tmp_path / "out/a.ome_rois.zip")
    assert roi.name == "00001-red"


def test_channels_have_to_be_chosen(stack: Path, tmp_path: Path) -> None:
    told: list[str | None] = []
    predict_files(
        stack,
        model=BrightBackend(),
        out=tmp_path / "out",
        view=View(),
        on_image=lambda result: told.append(result.error),
    )
    assert len(told) == 1 and "0 DAPI, 1 GFP" in str(told[0])


@pytest.mark.parametrize("kind", ["geojson", "roi"])
def test_counts_by_regions(stack: Path, tmp_path: Path, kind: str) -> None:
    corners = [[0.0, 0.0], [30.0, 0.0], [30.0, 64.0], [0.0, 64.0]]
    path = tmp_path / f"regions.{kind}"
    if kind == "roi":
        roi = roifile.ImagejRoi.frompoints(np.array(corners))
        roi.name = "left"
        roi.tofile(path)
    else:
        hole = [[2.0, 50.0], [10.0, 50.0], [10.0, 58.0], [2.0, 58.0]]
        geometry = {"type": "Polygon", "coordinates": [[*corners, corners[0]], [*hole, hole[0]]]}
        feature = {"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": "left"}}}
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    (region,) = read_regions(path)
    assert region.name == "left" and region.area == 30 * 64 - (64 if kind == "geojson" else 0)
    run(stack, tmp_path / "out", Wanted(measure=True, regions=path), View("DAPI"))
    table = pandas.read_csv(tmp_path / "out/regions.csv")
    left = table[(table["region"] == "left") & (table["class"] == "red")]
    assert left["count"].tolist() == [1, 0, 0]
    assert left["per_mm2"].iloc[0] == pytest.approx(1e6 / (region.area * 0.325**2))
    whole = table[(table["region"] == "whole image") & (table["class"] == "red")]
    assert whole["count"].tolist() == [1, 1, 0]
    measured = pandas.read_csv(tmp_path / "out/measurements.csv", keep_default_na=False)
    assert measured["region"].tolist() == ["left", ""]


def test_regions_that_are_none_are_said(tmp_path: Path) -> None:
    (tmp_path / "empty.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    (tmp_path / "torn.geojson").write_text("{")
    for name, said in (
        ("empty.geojson", "draw a region"),
        ("torn.geojson", "expected JSON"),
        ("no.roi", "found none"),
    ):
        with pytest.raises(InputError, match=said):
            read_regions(tmp_path / name)


def test_a_run_without_axes_is_refused(stack: Path, tmp_path: Path) -> None:
    backend = BrightBackend()
    with pytest.raises(InputError, match="view"), CellFiles(tmp_path, backend.config.classes, ALL) as files:
        predict_files(stack, model=backend, out=tmp_path / "out", on_image=files.add)


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_planes_that_are_read_by_windows_give_the_same(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.zeros((3, 2, 96, 128), np.uint16)
    array[0, 1, 8:40, 8:40] = array[2, 1, 50:80, 60:100] = 4000
    if kind == "tiff":
        source = write_ome(tmp_path / "in/a.ome.tif", array, "ZCYX", "DAPI", "GFP")
    else:
        zarr = pytest.importorskip("zarr")
        source = tmp_path / "in/a.zarr"
        group = zarr.open_group(str(source), mode="w", zarr_format=2)
        group.create_array("0", data=array, chunks=(1, 1, 64, 64))
        group.attrs["multiscales"] = [{"axes": list("zcyx"), "datasets": [{"path": "0"}]}]
    found = []
    for large_px in (2**26, 1000):
        monkeypatch.setattr("sparseinst.inference.large.LARGE_PX", large_px)
        results: list[ImageResult] = []
        predict_files(
            source,
            model=BrightBackend(),
            out=tmp_path / str(large_px),
            view=View("1"),
            tile=64,
            on_image=results.append,
        )
        assert [result.error for result in results] == [None] * 3
        found.append([(result.name, result.place, result.instances.rles) for result in results])
    assert found[0] == found[1] and [len(rles) for _, _, rles in found[0]] == [1, 0, 1]
