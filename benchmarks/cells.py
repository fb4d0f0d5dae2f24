"""A scientist's path from end to end: an OME-TIFF stack in; labels, tables, ROIs, GeoJSON, OME-Zarr out, opened again.

python benchmarks/cells.py [--data ../shared/data/dsb2018] [--picture docs/images/cells.png] [--name cells]

The stack is made of one nuclei image of DSB 2018: five planes, blurred and dimmed with the distance from the middle, in
a channel DAPI, and a blurred copy turned upside down as a channel GFP; the sizes of its pixels (0.65 and 2 micrometres)
are made up. `sparseinst predict` looks at it; tifffile, roifile, geojson, zarr and pandas open what it wrote, and what
they say is compared: areas of ROIs and of polygons with the measured ones, pixels of the label stack with the volumes,
those of OME-Zarr with the stack and its labels. Where napari is installed (with a screen, or xvfb-run) it opens them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import geojson
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import roifile
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image
from record import write_result

from sparseinst.cells.outlines import ring_area
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data

PIXEL_UM, STEP_UM = 0.65, 2.0
PLANES, MIDDLE = 5, 2
SIZE_HW = (520, 696)


def make_stack(image: NDArray[np.uint8], path: Path) -> NDArray[np.uint16]:
    """Writes the stack, (planes, channels, height, width)."""
    grey = image.astype(np.float32) * 16
    green = cv2.GaussianBlur(grey, (0, 0), 6)[::-1]
    planes = []
    for away in (abs(plane - MIDDLE) for plane in range(PLANES)):
        blurred = cv2.GaussianBlur(grey, (0, 0), 2 * away) if away else grey
        planes.append([blurred * (1 - 0.3 * away), green])
    stack = np.array(planes).round().astype(np.uint16)
    sizes = {"PhysicalSizeX": PIXEL_UM, "PhysicalSizeY": PIXEL_UM, "PhysicalSizeZ": STEP_UM}
    about = {"axes": "ZCYX", **sizes, **{f"{name}Unit": "µm" for name in sizes}, "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(path, stack, ome=True, photometric="minisblack", metadata=about)
    return stack


def predict(source: Path, out: Path) -> None:
    """Runs the command line."""
    asked = ["--measure", "--stitch", "--save-rois", "--save-geojson", "--save-outlines", "--save-zarr"]
    command = [sys.executable, "-m", "sparseinst.cli", "predict", str(source), "--out", str(out), "--channel", "DAPI"]
    subprocess.run([*command, *asked], check=True, stdout=subprocess.DEVNULL)


def opened(stack: NDArray[np.uint16], out: Path) -> dict[str, Any]:
    """What other libraries read, and how far it is from the tables."""
    table, volumes = (pd.read_csv(out / f"{name}.csv") for name in ("measurements", "volumes"))
    with tifffile.TiffFile(out / "stack.ome_labels.ome.tif") as file:
        labels, axes, about = file.asarray(), file.series[0].axes, file.ome_metadata
    rois = roifile.roiread(out / "stack.ome_rois.zip")
    features = geojson.loads((out / "stack.ome.geojson").read_text())
    roi_areas = np.array([ring_area(roi.coordinates()) for roi in rois])
    polygon_areas = [abs(ring_area(np.array(item["geometry"]["coordinates"][0]))) for item in features["features"]]
    voxels = np.bincount(labels.ravel())[1:]
    return {
        "objects_in_planes": len(table),
        "objects_in_3d": len(volumes),
        "label_stack": {"axes": axes, "shape": list(labels.shape), "has_sizes": f'PhysicalSizeX="{PIXEL_UM}"' in about},
        "ome_zarr": _opened_zarr(stack, labels, out / "stack.ome_labels.ome.zarr"),
        "napari": _opened_in_napari(out),
        "rois": len(rois),
        "features": len(features["features"]),
        "geojson_is_valid": bool(features.is_valid),
        "largest_difference_of_areas_px": {
            "rois": float(np.abs(roi_areas - table["area"]).max()) if len(rois) == len(table) else None,
            "polygons": float(np.abs(polygon_areas - table["area"]).max()) if len(table) else None,
        },
        "share_of_voxels_hidden_by_overlaps": round(1 - float(voxels.sum() / volumes["volume"].sum()), 5),
        "median_area_um2": round(float(table[table["plane"] == MIDDLE]["area_um2"].median()), 1),
        "median_volume_um3": round(float(volumes["volume_um3"].median()), 1),
    }


def _opened_zarr(stack: NDArray[np.uint16], labels: NDArray[Any], path: Path) -> dict[str, Any]:
    group = zarr.open_group(str(path), mode="r")
    image, found = np.asarray(group["0"]), np.asarray(group["labels/0/0"])
    return {
        "image": list(image.shape),
        "labels": list(found.shape),
        "same_image": bool((image[0].swapaxes(0, 1) == stack).all()),
        "same_labels": bool((found[0] == labels).all()),
    }


def _opened_in_napari(out: Path) -> list[str] | None:
    """The layers that napari makes of the label files; None where there is no napari, or no screen."""
    if find_spec("napari") is None or not (os.environ.get("DISPLAY") or sys.platform != "linux"):
        return None
    import napari

    viewer = napari.Viewer(show=False)
    viewer.open(out / "stack.ome_labels.ome.tif", layer_type="labels")
    if find_spec("napari_ome_zarr") is not None:
        viewer.open(out / "stack.ome_labels.ome.zarr", plugin="napari-ome-zarr")
    layers = []
    for layer in viewer.layers:
        data = layer.data[0] if layer.multiscale else layer.data
        layers.append(f"{type(layer).__name__} {layer.name} {tuple(data.shape)}")
    viewer.close()
    return layers


def draw(stack: NDArray[np.uint16], out: Path, path: Path) -> None:
    """A picture of what the files hold."""
    table = pd.read_csv(out / "measurements.csv")
    labels = tifffile.imread(out / "stack.ome_labels.ome.tif")
    figure, axes = plt.subplots(2, 2, figsize=(11, 8.6), height_ratios=(3, 2))
    axes[0, 0].imshow(stack[MIDDLE, 0], cmap="gray", vmax=np.percentile(stack[MIDDLE, 0], 99.5))
    for roi in roifile.roiread(out / "stack.ome_rois.zip"):
        if roi.z_position == MIDDLE + 1:
            corners = roi.coordinates()
            axes[0, 0].plot(*np.vstack([corners, corners[:1]]).T - 0.5, color="#ffc21a", linewidth=0.8)
    axes[0, 0].set_title("the ROIs of the middle plane, from stack.ome_rois.zip", fontsize=10)
    colours = np.random.default_rng(1).uniform(0.25, 1, (labels.max() + 1, 3))
    colours[0] = 0
    axes[0, 1].imshow(colours[labels[MIDDLE]])
    row = int(np.argmax((labels[MIDDLE] > 0).sum(1)))
    axes[0, 1].axhline(row, color="white", linewidth=0.6, linestyle=":")
    axes[0, 1].set_title("middle plane of stack.ome_labels.ome.tif", fontsize=10)
    axes[1, 1].imshow(colours[labels[:, row]], aspect=STEP_UM / PIXEL_UM * 6, interpolation="nearest")
    axes[1, 1].set_title("all planes along the dotted line (z stretched): one object, one colour", fontsize=10)
    middle = table[table["plane"] == MIDDLE]
    axes[1, 0].scatter(middle["area_um2"], middle["mean_DAPI"], s=14, color="#3d8bff")
    axes[1, 0].set(xlabel="area_um2", ylabel="mean_DAPI")
    axes[1, 0].set_title("measurements.csv, middle plane", fontsize=10)
    for each in (*axes[0], axes[1, 1]):
        each.set_axis_off()
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dsb2018"))
    parser.add_argument("--picture", type=Path, help="draw it here")
    parser.add_argument("--name", default="cells", help="name of the result file")
    options = parser.parse_args()
    split = resolve_data(options.data).val
    dataset = CocoDataset.load(split.images, split.annotations)
    index = next(index for index in range(len(dataset)) if dataset.size_hw(index) == SIZE_HW)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        stack = make_stack(np.asarray(Image.open(dataset.path(index)).convert("L")), Path(folder) / "stack.ome.tif")
        predict(Path(folder) / "stack.ome.tif", out)
        figures = {"image": dataset.path(index).name, "annotated": len(dataset.rles(index)), **opened(stack, out)}
        if options.picture is not None:
            draw(stack, out, options.picture)
    print(json.dumps(figures, indent=2))
    print(write_result(options.name, figures))


if __name__ == "__main__":
    main()
