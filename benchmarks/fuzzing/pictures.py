"""Whole files of pictures, from cells and photographs that come with the tests: small cuts, written in many ways."""

import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

FILES = Path(__file__).resolve().parents[2] / "tests" / "data_files"
sys.path.append(str(FILES.parent))
SIZE_HW = (37, 52)
_CZI = (
    '<ImageDocument><Metadata><Information><Image><Dimensions><Channels><Channel Name="DAPI"/></Channels></Dimensions>'
    '</Image></Information><Scaling><Items><Distance Id="X"><Value>3.25e-7</Value></Distance></Items></Scaling>'
    "</Metadata></ImageDocument>"
)

Picture = NDArray[np.uint8]


def cuts(size_hw: tuple[int, int] = SIZE_HW) -> Iterator[Picture]:
    """(h, w, 3) of the middle of each photograph and of two micrographs."""
    files = [*sorted((FILES / "photographs" / "val").iterdir()), *sorted((FILES / "nuclei" / "val").iterdir())[:2]]
    for file in files:
        pixels = np.asarray(Image.open(file).convert("RGB"))
        top, left = ((side - cut) // 2 for side, cut in zip(pixels.shape[:2], size_hw, strict=True))
        yield np.ascontiguousarray(pixels[top : top + size_hw[0], left : left + size_hw[1]])


def _place(folder: Path, number: int, suffix: str) -> Path:
    path = folder / f"{number}" / f"a.{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _pillow(folder: Path, suffix: str, ways: list[tuple[str, dict[str, Any]]], start: int = 0) -> int:
    """Each way is a mode and options of Pillow's `save`."""
    pictures = list(cuts())
    for number, (mode, options) in enumerate(ways, start):
        picture = Image.fromarray(pictures[number % len(pictures)]).convert(mode)
        more = [Image.fromarray(other).convert(mode) for other in pictures] if options.get("save_all") else None
        picture.save(_place(folder, number, suffix), **options, **({"append_images": more} if more else {}))
    return start + len(ways)


def png(folder: Path) -> None:
    """8 bits of all modes, 16 bits, animated."""
    icc = Image.Exif()
    icc[274] = 6
    number = _pillow(folder, "png", [(mode, {}) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")])
    number = _pillow(folder, "png", [("RGB", {"exif": icc}), ("RGBA", {"save_all": True})], number)
    for picture in (next(cuts()).astype(np.uint16) * 200, next(cuts())[:, :, 0].astype(np.uint16) * 200):
        cv2.imwrite(str(_place(folder, number, "png")), picture)
        number += 1


def jpeg(folder: Path) -> None:
    """Baseline, progressive, grey, CMYK, turned."""
    turned = Image.Exif()
    turned[274] = 8
    ways: list[tuple[str, dict[str, Any]]] = [
        ("RGB", {}), ("RGB", {"progressive": True}), ("L", {}), ("CMYK", {}), ("RGB", {"exif": turned}),
    ]  # fmt: skip
    _pillow(folder, "jpg", ways)


def others(suffix: str, *ways: tuple[str, dict[str, Any]]) -> Callable[[Path], None]:
    """What Pillow writes."""
    return lambda folder: _pillow(folder, suffix, list(ways)) and None


def heic(folder: Path) -> None:
    """Of one picture and of several."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    _pillow(folder, "heic", [("RGB", {}), ("RGBA", {}), ("RGB", {"save_all": True})])


def tiff(folder: Path) -> None:
    """Strips and tiles, packed and plain, of 8, 16 and 32 bits, planes, palettes, pages."""
    picture = next(cuts())
    deep = picture.astype(np.uint16) * 200
    pages = np.stack(list(cuts()))
    ways: list[tuple[NDArray[Any], dict[str, Any]]] = [
        (picture, {"photometric": "rgb"}),
        (picture, {"photometric": "rgb", "tile": (16, 32), "compression": "zlib"}),
        (picture, {"photometric": "rgb", "compression": "lzw", "rowsperstrip": 8, "predictor": True}),
        (picture, {"photometric": "rgb", "compression": "jpeg"}),
        (deep, {"photometric": "rgb"}),
        (deep.transpose(2, 0, 1), {"photometric": "rgb", "planarconfig": "separate"}),
        (deep[:, :, 0], {"tile": (16, 16), "bigtiff": True, "byteorder": ">"}),
        (picture[:, :, 0].astype(np.float32), {"compression": "packbits"}),
        (pages, {"photometric": "rgb", "metadata": None}),
    ]
    for number, (values, options) in enumerate(ways):
        tifffile.imwrite(_place(folder, number, "tif"), values, **{"metadata": None, **options})
    _pillow(folder, "tif", [("P", {}), ("1", {"compression": "group4"}), ("RGBA", {}), ("CMYK", {})], len(ways))


def stacks(folder: Path) -> None:
    """TIFF files that say what their axes are."""
    planes = np.stack([cut[:, :, 0] for cut in cuts()][:4]).astype(np.uint16)
    sizes = {"PhysicalSizeX": 325, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 325, "PhysicalSizeYUnit": "nm"}
    ome = {"axes": "ZCYX", "Channel": {"Name": ["DAPI", "GFP"]}, **sizes}
    tifffile.imwrite(_place(folder, 0, "tif"), planes.reshape(2, 2, *SIZE_HW), ome=True, metadata=ome)
    about = {"axes": "TZYX", "unit": "um", "spacing": 2.0}
    made = planes.reshape(2, 2, *SIZE_HW)
    tifffile.imwrite(_place(folder, 1, "tif"), made, imagej=True, resolution=(3, 3), metadata=about)
    tifffile.imwrite(_place(folder, 2, "tif"), planes, metadata={"axes": "ZYX"})
    tifffile.imwrite(_place(folder, 3, "tif"), next(cuts()), ome=True, photometric="rgb", metadata={"axes": "YXS"})


def channels(folder: Path) -> None:
    """Arrays, pages and pictures of two to four channels."""
    stacks(folder)
    planes = np.stack([cut[:, :, 0] for cut in cuts()])
    arrays = [planes[:4].transpose(1, 2, 0), planes[:2].astype(np.float32), planes[0], np.dstack([planes[0]] * 3)]
    for number, array in enumerate(arrays, 4):
        np.save(_place(folder, number, "npy"), array)
    tifffile.imwrite(_place(folder, 8, "tif"), planes[:2].astype(np.uint16), metadata=None, photometric="minisblack")
    _pillow(folder, "png", [("RGBA", {}), ("LA", {})], 9)


def zarr_folders(folder: Path) -> None:
    """Arrays of format 2 and 3, and an OME-Zarr image."""
    import zarr

    picture = next(cuts())
    for number, version in enumerate((2, 3)):
        path = folder / f"{number}" / "a.zarr"
        array = zarr.create_array(path, shape=picture.shape, chunks=(16, 32, 3), dtype="u1", zarr_format=version)
        array[:] = picture
    group = zarr.create_group(folder / "2" / "a.zarr", zarr_format=2)
    values = picture.transpose(2, 0, 1).astype(np.uint16) * 100
    for level, step in enumerate((1, 2)):
        part = values[:, ::step, ::step]
        group.create_array(f"{level}", shape=part.shape, chunks=(1, 16, 16), dtype="u2")[:] = part
    group.attrs["multiscales"] = [{
        "version": "0.4", "axes": [{"name": "c"}, {"name": "y", "unit": "nanometer"}, {"name": "x"}],
        "datasets": [
            {"path": f"{level}", "coordinateTransformations": [{"type": "scale", "scale": [1, 325, 325]}]}
            for level in range(2)
        ],
    }]  # fmt: skip
    group.attrs["omero"] = {"channels": [{"label": "DAPI"}, {"label": "GFP"}, {"label": "actin"}]}


def makers(suffix: str) -> Callable[[Path], None]:
    """As the microscopes of Zeiss and Leica write them: planes and channels, in tiles, and several images."""

    def write(folder: Path) -> None:
        import maker_files as made

        planes = np.stack([cut[:, :, 0] for cut in cuts()][:4]).astype(np.uint16).reshape(2, 2, *SIZE_HW)
        if suffix == "czi":
            made.write_czi(_place(folder, 0, suffix), planes, "CZYX", _CZI)
            made.write_czi(_place(folder, 1, suffix), planes[0], "CYX", _CZI, tile=16)
        else:
            step = {"X": 325e-9, "Y": 325e-9, "Z": 1e-6}
            made.write_lif(_place(folder, 0, suffix), {"a": (planes, "CZYX")}, step)
            made.write_lif(_place(folder, 1, suffix), {"0": (planes[0], "TYX"), "b": (planes[1], "ZYX")}, step)

    return write


def videos(folder: Path) -> None:
    """H.264, MPEG-4, Motion JPEG and VP8 in their containers."""
    import av

    kinds = {"mp4": "libx264", "avi": "mjpeg", "webm": "libvpx", "mkv": "mpeg4", "gif": "gif"}
    for number, (suffix, codec) in enumerate(kinds.items()):
        with av.open(str(_place(folder, number, suffix)), "w") as container:
            stream = container.add_stream(codec, rate=Fraction(10))
            stream.width, stream.height = 64, 48
            wanted = {"mjpeg": "yuvj420p", "gif": "rgb8"}
            stream.pix_fmt = wanted.get(codec, "yuv420p")
            for cut in cuts((48, 64)):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(cut, "rgb24")))
            container.mux(stream.encode(None))
