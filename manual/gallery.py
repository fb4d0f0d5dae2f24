"""The pictures of the gallery: `python manual/gallery.py` writes them to docs/images/gallery, and what commands draw.

    python manual/gallery.py [--page]      --page also photographs the page in Chromium, for docs/images/page.png

Everything is made of images that come with the tests, whose licences let them be shown (tests/data_files/README.md).
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prepared import DEMO, NUCLEI, PHOTOGRAPHS, ROOT, prepare
from sparseinst import Predictor, draw
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.synthetic import synthesise
from sparseinst.drawing.activation_sheet import draw_activation
from sparseinst.drawing.instances import draw_as, legible_scale
from sparseinst.drawing.palette import contrasting
from sparseinst.structures import Instances
from sparseinst.video.prediction import predict_video

IMAGES = ROOT / "docs" / "images"
GALLERY = IMAGES / "gallery"
LONGEST_PX = 900
QUALITY = 82
KINDS = {
    "embryo": "val/538b7673d507014d.png",
    "layer": "val/193ffaa5272d5c42.png",
    "crowd": "val/648636ee314d7bdb.png",
    "tissue": "val/a08166d91d2cca26.png",
    "smear": "train/0e4c2e2780de7ec4.png",
    "large": "train/28d33efef218392e.png",
}
"""Name of a picture -> micrograph."""

BANNER = ("layer", "smear", "large", "crowd")
BANNER_PX, BANNER_GAP = 360, 6

Picture = NDArray[np.uint8]


def read(path: Path) -> Picture:
    """(H, W, 3) RGB."""
    return np.asarray(Image.open(path).convert("RGB"))


def save(picture: Picture, name: str) -> None:
    """A WebP file of at most LONGEST_PX."""
    image = Image.fromarray(picture)
    image.thumbnail((LONGEST_PX, LONGEST_PX), Image.Resampling.LANCZOS)
    image.save(GALLERY / f"{name}.webp", quality=QUALITY, method=6)


def half_and_half(before: Picture, after: Picture) -> Picture:
    """The image at the left, what was found at the right of a white line."""
    enlarged = Image.fromarray(before).resize(after.shape[1::-1], Image.Resampling.LANCZOS)
    joined, middle = after.copy(), after.shape[1] // 2
    joined[:, :middle] = np.asarray(enlarged)[:, :middle]
    joined[:, middle - 1 : middle + 1] = 255
    return joined


def draw_nuclei(predictor: Predictor) -> None:
    """Micrographs of all kinds, half as they are, half with what is found."""
    for name, file in KINDS.items():
        image = read(NUCLEI / file)
        scale = min(2, legible_scale(image.shape[:2]))
        save(half_and_half(image, draw(image, predictor(image), scale=scale)), name)


def draw_banner() -> None:
    """Four of the micrographs in a row: the picture of the README."""
    parts = [Image.open(GALLERY / f"{name}.webp").convert("RGB") for name in BANNER]
    parts = [
        part.resize((part.width * BANNER_PX // part.height, BANNER_PX), Image.Resampling.LANCZOS) for part in parts
    ]
    banner = Image.new("RGB", (sum(part.width for part in parts) + BANNER_GAP * (len(parts) - 1), BANNER_PX), "white")
    left = 0
    for part in parts:
        banner.paste(part, (left, 0))
        left += part.width + BANNER_GAP
    banner.save(IMAGES / "banner.webp", quality=QUALITY, method=6)


def draw_maps(predictor: Predictor) -> None:
    """The best instances of the demo beside their activation maps."""
    image = read(DEMO)
    instances, maps = predictor.explain(image)
    best = np.argsort(-instances.scores)[:3]
    save(draw_activation(image, instances[best], maps[best], predictor.classes), "maps")


def draw_annotations(folder: Path, name: str, count: int) -> None:
    """Annotated images of a data set."""
    dataset = CocoDataset.of(resolve_data(folder).part("val"))
    for index in range(min(count, len(dataset))):
        masks = dataset.rles(index)
        labels = dataset.labels(index)
        found = Instances(
            np.ones(len(labels), np.float32), labels, tuple(masks), np.arange(len(labels)), dataset.size_hw(index),
            classes=dataset.classes,
        )  # fmt: skip
        picture = draw_as(read(dataset.path(index)), found, found.names, contrasting(found.boxes))
        save(picture, f"{name}_{index}")


def draw_video(folder: Path) -> None:
    """A window that moves over a micrograph, every nucleus followed, as an animated picture."""
    import av

    prepare(folder, ["clip.mp4"])
    predict_video(folder / "clip.mp4", track="mask", save=folder / "tracked.mp4")
    with av.open(str(folder / "tracked.mp4")) as video:
        frames = [Image.fromarray(frame.to_ndarray(format="rgb24")) for frame in video.decode(video=0)]
    frames = [frame.resize((frame.width * 2, frame.height * 2), Image.Resampling.LANCZOS) for frame in frames]
    turned = [*frames, *frames[-2:0:-1]]
    turned[0].save(
        GALLERY / "tracked.webp", save_all=True, append_images=turned[1:], duration=150, loop=0, quality=60, method=6
    )


def photograph_page() -> None:
    """The page with the demo's picture, and the activation maps of its surest object."""
    sys.path.insert(0, str(ROOT / "tests"))
    from browser.desk import chromium, open_picture, opened, served, settled
    from sparseinst.runtime.backends import open_backend
    from sparseinst.serving.app import create_app
    from sparseinst.serving.settings import ServeSettings

    app = create_app(ServeSettings(name="nuclei", shipped=True), lambda *, activation=False: open_backend("nuclei"))
    with served(app) as address, chromium() as browser, opened(browser, address) as page:
        open_picture(page, DEMO)
        page.locator("#rows tr").first.click()
        page.locator("#groups canvas").first.wait_for()
        settled(page)
        with tempfile.TemporaryDirectory() as folder:
            page.screenshot(path=Path(folder) / "page.png")
            Image.open(Path(folder) / "page.png").convert("RGB").quantize(255).save(IMAGES / "page.png", optimize=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draws everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", action="store_true")
    options: Any = parser.parse_args(arguments)
    GALLERY.mkdir(exist_ok=True)
    if options.page:
        photograph_page()
    predictor = Predictor("nuclei")
    draw_nuclei(predictor)
    draw_banner()
    draw_maps(predictor)
    draw_annotations(PHOTOGRAPHS, "photograph", 3)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        draw_video(work)
        prepare(work, ["cutouts"])
        synthesise(work / "cutouts", work / "scenes", count=1, val_count=2)
        draw_annotations(work / "scenes", "scene", 2)
    total = sum(path.stat().st_size for path in GALLERY.iterdir())
    print(f"{len(list(GALLERY.iterdir()))} pictures, {total / 1e6:.1f} MB, in {GALLERY.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
