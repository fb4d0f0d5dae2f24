"""Find objects in an image larger than memory, as a tiled TIFF file and as a zarr folder.

    python examples/large_tiff_and_zarr.py cells.png [SIDE]

Makes an image of SIDE x SIDE pixels out of a small one, writes it in both forms, and reads both by windows. A run that
is stopped goes on at its row of tiles when it is started again. Needs the extra `large`.
"""

import sys

import numpy as np
import tifffile
import zarr
from PIL import Image

from sparseinst import predict_files
from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.large.image import open_large


def main(small: str, side: int) -> None:
    tile = np.asarray(Image.open(small).convert("L"))
    times = [-(-side // length) for length in tile.shape]
    mosaic = np.tile(tile, times)[:side, :side]

    tifffile.imwrite("mosaic.tif", mosaic, tile=(256, 256), compression="zlib")
    folder = zarr.create_array("mosaic.zarr", shape=mosaic.shape, dtype="uint8", chunks=(256, 256), overwrite=True)
    folder[:] = mosaic

    for path in ("mosaic.tif", "mosaic.zarr"):
        with open_large(path, IntensityConfig()) as image:  # nothing is decoded yet
            window = image.read((slice(100, 164), slice(100, 164)))  # and then only the tiles that it touches
            print(path, "of", image.size_hw, "pixels; a window:", window.shape, window.dtype)

    done = predict_files("mosaic.tif", out="found", save_json=True, save_masks=True)
    same = predict_files("mosaic.zarr", out="found_zarr")
    print(f"{done.instances} objects in the TIFF file, {same.instances} in the zarr folder")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 9000)
