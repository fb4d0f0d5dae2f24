"""Images larger than memory: writes a mosaic of a data set's images, by windows, and measures reading and prediction.

python benchmarks/large.py DATA [--side 20000] [--kind tiled striped zarr] [--predict tiled] [--folder FOLDER]
    [--threads 2] [--mosaic 2048] [--name large]

Each kind of file is written, read and predicted in a process of its own, whose largest resident memory is stated.
Reading is all windows of the tiles that prediction takes, then the overview; prediction is `predict_files` with label
image and COCO file, its cost that of a pixel beside that of a pixel of the small images alone. With a
folder the files stay there.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
import torch
import zarr
from numpy.typing import NDArray
from record import write_result

from sparseinst.cli.allocator import keep_freed_memory
from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.large.image import open_large
from sparseinst.drawing.overview import draw_overview, overview_shrink
from sparseinst.inference.prediction import predict_files
from sparseinst.inference.predictor import Predictor
from sparseinst.structures import Instances

CELL_PX, TILE_PX, STRIP_PX = 256, 512, 16
Image = NDArray[np.uint8]


class Mosaic:
    """A square image of side x side pixels: the images of CELL_PX x CELL_PX pixels in a folder, again and again."""

    def __init__(self, folder: Path, side: int) -> None:
        self.side, self.across = side, -(-side // CELL_PX)
        images = (cv2.imread(str(path)) for path in sorted(folder.iterdir()))
        self.cells = [image[..., ::-1] for image in images if image is not None and image.shape[:2] == (CELL_PX,) * 2]
        if not self.cells:
            raise SystemExit(f"{folder}: expected images of {CELL_PX} x {CELL_PX} pixels, found none")

    def bands(self, height: int) -> Iterator[Image]:
        """The rows of the image, `height` at a time, which CELL_PX is a multiple of or the other way round."""
        held = np.empty((0, self.side, 3), np.uint8)
        for row in range(self.across):
            cells = (self.cells[(row * self.across + column) % len(self.cells)] for column in range(self.across))
            held = np.concatenate([held, np.hstack(list(cells))[: self.side - row * CELL_PX, : self.side]])
            while len(held) >= height or (len(held) and row == self.across - 1):
                yield held[:height]
                held = held[height:]


def write_tiled(path: Path, mosaic: Mosaic) -> None:
    """A TIFF file in deflated tiles."""
    _write_tiff(path, mosaic, _tiles(mosaic), tile=(TILE_PX, TILE_PX))


def write_striped(path: Path, mosaic: Mosaic) -> None:
    """A TIFF file in deflated strips of a few rows."""
    strips = (zlib.compress(band.tobytes(), 1) for band in mosaic.bands(STRIP_PX))
    _write_tiff(path, mosaic, strips, rowsperstrip=STRIP_PX)


def write_zarr(path: Path, mosaic: Mosaic) -> None:
    """A zarr array in chunks."""
    shape, chunks = (mosaic.side, mosaic.side, 3), (TILE_PX, TILE_PX, 3)
    array = zarr.create_array(path, shape=shape, chunks=chunks, dtype="uint8")
    top = 0
    for band in mosaic.bands(TILE_PX):
        array[top : top + len(band)] = band
        top += len(band)


def _write_tiff(path: Path, mosaic: Mosaic, parts: Iterator[Any], **layout: Any) -> None:
    tifffile.imwrite(
        path, parts, shape=(mosaic.side, mosaic.side, 3), dtype=np.uint8, photometric="rgb", compression="zlib",
        bigtiff=mosaic.side**2 * 3 >= 2**32, metadata=None, **layout,
    )  # fmt: skip


def _tiles(mosaic: Mosaic) -> Iterator[Image]:
    for band in mosaic.bands(TILE_PX):
        for left in range(0, mosaic.side, TILE_PX):
            part = band[:, left : left + TILE_PX]
            yield np.pad(part, ((0, TILE_PX - part.shape[0]), (0, TILE_PX - part.shape[1]), (0, 0)))


KINDS: dict[str, tuple[str, Callable[[Path, Mosaic], None]]] = {
    "tiled": ("tiled.tif", write_tiled),
    "striped": ("striped.tif", write_striped),
    "zarr": ("mosaic.zarr", write_zarr),
}


def write(kind: str, images: Path, folder: Path, side: int) -> dict[str, Any]:
    """Writes a file; gives what that took."""
    name, writer = KINDS[kind]
    start = time.perf_counter()
    writer(folder / name, Mosaic(images, side))
    return {"write_seconds": round(time.perf_counter() - start, 1), "write_memory_mb": _memory_mb()}


def read(kind: str, folder: Path) -> dict[str, Any]:
    """Reads a file as prediction does; gives what that took."""
    begins_with = _memory_mb()
    start = time.perf_counter()
    with open_large(folder / KINDS[kind][0], IntensityConfig()) as image:
        tiling = Predictor("nuclei").tiling_of(image.size_hw)
        assert tiling is not None
        windows = tiling.windows(image.size_hw)
        for window in windows:
            image.read(window)
        read_all, memory = time.perf_counter(), _memory_mb()
        shrink = overview_shrink(image.size_hw)
        picture = draw_overview(image.overview(shrink), Instances.empty(image.size_hw), shrink=shrink)
    return {
        "size_hw": image.size_hw,
        "windows": len(windows),
        "read_seconds": round(read_all - start, 1),
        "overview_hw": picture.shape[:2],
        "overview_seconds": round(time.perf_counter() - read_all, 1),
        "imports_memory_mb": begins_with,
        "read_memory_mb": memory,
        "memory_mb": _memory_mb(),
    }


def predict(kind: str, images: Path, folder: Path, threads: int) -> dict[str, Any]:
    """Predicts a file; gives what that took, and what pixels of small images take."""
    torch.set_num_threads(threads)
    keep_freed_memory()  # as the command does
    predictor, small = Predictor("nuclei"), Mosaic(images, CELL_PX).cells[:40]
    predictor(small[0])
    start = time.process_time()
    predictor(small)
    alone = (time.process_time() - start) / (len(small) * CELL_PX**2)
    del predictor, small
    start, began = time.perf_counter(), time.process_time()
    report = predict_files(folder / KINDS[kind][0], out=folder / "out", save_json=True, save_masks=True)
    spent, pixels = time.process_time() - began, json.loads(report.results.read_text())["images"][0]  # type: ignore[union-attr]
    each = spent / (pixels["width"] * pixels["height"])
    return {
        "predict_threads": threads,
        "predict_seconds": round(time.perf_counter() - start, 1),
        "predict_cpu_seconds": round(spent, 1),
        "instances": report.instances,
        "cpu_microseconds_per_pixel": round(1e6 * each, 3),
        "of_small_images": round(1e6 * alone, 3),
        "ratio": round(each / alone, 2),
        "predict_memory_mb": _memory_mb(),
    }


def _memory_mb() -> int:
    """The largest resident memory of this process so far."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (2**20 if sys.platform == "darwin" else 2**10))


def measure(kind: str, images: Path, folder: Path, side: int, *, threads: int | None) -> dict[str, Any]:
    """Writes and reads a file, and predicts it where threads are given."""
    figures: dict[str, Any] = {"kind": kind}
    jobs = [(write, (kind, images, folder, side)), (read, (kind, folder))]
    jobs += [] if threads is None else [(predict, (kind, images, folder, threads))]
    for job, given in jobs:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            figures |= process.submit(job, *given).result()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with val/")
    parser.add_argument("--side", type=int, default=20_000, help="pixels of a side of the mosaic")
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--predict", nargs="*", choices=KINDS, default=[], help="kinds that are predicted, too")
    parser.add_argument("--threads", type=int, default=2, help="of prediction")
    parser.add_argument("--folder", type=Path, help="where to write; without one, files are removed after use")
    parser.add_argument("--name", default="large", help="name of the result file")
    options = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for kind in options.kind:
            threads = options.threads if kind in options.predict else None
            figures.append(measure(kind, options.data / "val", folder, options.side, threads=threads))
            print(json.dumps(figures[-1]), flush=True)
    print(write_result(options.name, {"side": options.side, "kinds": figures}))


if __name__ == "__main__":
    main()
