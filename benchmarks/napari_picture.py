"""A picture of the plugin in napari: objects found, measured, and the activation map of one; for docs/cells.md.

xvfb-run -s "-screen 0 1400x1000x24" python benchmarks/napari_picture.py [--out docs/images/napari.png]

Needs the extra `napari` with a backend of Qt, and a screen, for which xvfb-run stands in.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

# before napari: triton, which PyTorch loads, and Mesa's drivers each bring an LLVM, and the other order crashes
import sparseinst.napari.explaining  # noqa: F401
from sparseinst.zoo.names import DEMO_IMAGE

import napari  # isort: skip

WINDOW_PX, DOCK_PX = (1280, 760), 260
ZOOM = 2.5
WIDTH_PX = 900
"""Of the picture that is kept."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images/napari.png"))
    options = parser.parse_args()
    viewer = napari.Viewer(show=False)
    viewer.window.resize(*WINDOW_PX)
    with Image.open(DEMO_IMAGE) as picture:
        image = viewer.add_image(np.asarray(picture.convert("L")), name="nuclei", gamma=0.6)
    forms = {}
    for name in ("Find objects", "Measure objects", "Show activation map"):
        dock, forms[name] = viewer.window.add_plugin_dock_widget("sparseinst", name, tabify=bool(forms))
        dock.setMaximumWidth(DOCK_PX)
        dock.raise_()
    forms["Find objects"](image=image)
    labels = viewer.layers["nuclei objects"]
    labels.contour = 2
    forms["Measure objects"](image=image, labels=labels)
    table = labels.features
    away = np.hypot(table["centroid_y"] - image.data.shape[0] / 2, table["centroid_x"] - image.data.shape[1] / 2)
    dim = table["mean_nuclei"] < table["mean_nuclei"].median()
    chosen = table.loc[away[dim].idxmin()]
    labels.selected_label = int(chosen["index"])
    forms["Show activation map"](image=image, labels=labels)
    print(labels.features.head())
    viewer.camera.center, viewer.camera.zoom = (chosen["centroid_y"], chosen["centroid_x"]), ZOOM
    pixels = viewer.screenshot(canvas_only=False, flash=False)
    shown = Image.fromarray(pixels).convert("RGB")
    shown.thumbnail((WIDTH_PX, WIDTH_PX))
    shown.quantize(128).save(options.out, optimize=True)
    viewer.close()


if __name__ == "__main__":
    main()
