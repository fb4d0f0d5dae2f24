"""CZI, LIF and ND2 files by their axes. Of ND2 the reader is a stand-in: nothing here can write such a file."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from inference.standins import ColorBackend
from maker_files import write_czi, write_lif
from sparseinst.data.physical import PixelSize
from sparseinst.data.sources import find_sources
from sparseinst.data.stacks.opening import open_stack
from sparseinst.data.stacks.stack import Place, Stack, View
from sparseinst.errors import InputError
from sparseinst.inference.prediction import predict_files
from stack_files import values

SIZES = PixelSize(0.5, 0.5, 2.0)
CZI_XML = (
    "<ImageDocument><Metadata><Scaling><Items>"
    '<Distance Id="X"><Value>5e-7</Value></Distance><Distance Id="Y"><Value>5e-7</Value></Distance>'
    '<Distance Id="Z"><Value>2e-6</Value></Distance>'
    "</Items></Scaling><Information><Image><Dimensions><Channels>"
    '<Channel Id="0" Name="DAPI"/><Channel Id="1" Name="GFP"/>'
    "</Channels></Dimensions></Image></Information></Metadata></ImageDocument>"
)


class Nd2File:
    """What the package nd2 gives of a file of two time points, three planes and two channels."""

    array = values(2, 3, 2, 20, 30)
    sizes: ClassVar = {"T": 2, "Z": 3, "C": 2, "Y": 20, "X": 30}
    loop_indices = tuple({"T": time, "Z": plane} for time in range(2) for plane in range(3))
    metadata = SimpleNamespace(
        channels=[
            SimpleNamespace(
                channel=SimpleNamespace(name=name), volume=SimpleNamespace(axesCalibrated=(True, True, True))
            )
            for name in ("DAPI", "GFP")
        ]
    )

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> "Nd2File":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read_frame(self, index: int) -> np.ndarray:
        return self.array.reshape(6, 2, 20, 30)[index]

    def voxel_size(self) -> Any:
        return SimpleNamespace(x=0.5, y=0.5, z=2.0)


def check(stack: Stack, array: np.ndarray, axes: str, channels: tuple[str, ...]) -> None:
    assert (stack.channels, stack.pixel) == (channels, SIZES)
    sizes = dict(zip(axes, array.shape, strict=True))
    assert (stack.times, stack.depth) == (sizes.get("T", 1), sizes.get("Z", 1))
    for place in stack.places(View()):
        for channel in range(len(channels)):
            at = {"T": place.time, "Z": place.plane, "C": channel}
            expected = array[tuple(at[axis] for axis in axes if axis in at)]
            np.testing.assert_array_equal(stack.values(place, channel), expected)


@pytest.mark.parametrize("axes", ["CZYX", "TCZYX", "ZCYX"])
@pytest.mark.parametrize("tile", [None, 16])
def test_czi(tmp_path: Path, axes: str, tile: int | None) -> None:
    pytest.importorskip("czifile")
    sizes = {"T": 2, "Z": 3, "C": 2, "Y": 20, "X": 30}
    array = values(*(sizes[axis] for axis in axes))
    with open_stack(write_czi(tmp_path / "a.czi", array, axes, CZI_XML, tile=tile)) as stack:
        check(stack, array, axes, ("DAPI", "GFP"))


def test_scenes_of_czi(tmp_path: Path) -> None:
    pytest.importorskip("czifile")
    array = values(2, 3, 2, 20, 30)
    path = write_czi(tmp_path / "a.CZI", array, "SZCYX", CZI_XML)
    with pytest.raises(InputError, match=r"there are 2 \(0, 1\): give --series"), open_stack(path):
        pass
    with open_stack(path, "1") as stack:
        check(stack, array[1], "ZCYX", ("DAPI", "GFP"))


@pytest.mark.parametrize("axes", ["ZCYX", "TZCYX", "CYX"])
def test_lif(tmp_path: Path, axes: str) -> None:
    pytest.importorskip("liffile")
    sizes = {"T": 2, "Z": 3, "C": 2, "Y": 20, "X": 30}
    array = values(*(sizes[axis] for axis in axes))
    path = write_lif(tmp_path / "a.lif", {"one": (array, axes)}, {"X": 5e-7, "Y": 5e-7, "Z": 2e-6})
    with open_stack(path) as stack:
        if "Z" in axes:
            check(stack, array, axes, ("Green", "Blue"))
        else:
            assert stack.pixel == PixelSize(0.5, 0.5)
            np.testing.assert_array_equal(stack.values(Place(), 1), array[1])


def test_images_of_lif(tmp_path: Path) -> None:
    pytest.importorskip("liffile")
    images = {"Position 1": (values(20, 30), "YX"), "Position 2": (values(3, 16, 16), "ZYX")}
    path = write_lif(tmp_path / "a.lif", images, {"X": 5e-7, "Y": 5e-7, "Z": 2e-6})
    with (
        pytest.raises(InputError, match=r"there are 2 \(0 Position 1, 1 Position 2\): give --series"),
        open_stack(path),
    ):
        pass
    for series in ("position 2", "1"):
        with open_stack(path, series) as stack:
            np.testing.assert_array_equal(stack.values(Place(0, 2), 0), images["Position 2"][0][2])
    with pytest.raises(InputError, match="got 'Position 3'"), open_stack(path, "Position 3"):
        pass


def test_nd2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nd2", SimpleNamespace(ND2File=Nd2File))
    (tmp_path / "a.nd2").touch()
    with open_stack(tmp_path / "a.nd2") as stack:
        check(stack, Nd2File.array, "TZCYX", ("DAPI", "GFP"))
    monkeypatch.setattr(Nd2File, "sizes", {"P": 2, "C": 2, "Y": 20, "X": 30})
    monkeypatch.setattr(Nd2File, "loop_indices", ({"P": 0}, {"P": 1}))
    with pytest.raises(InputError, match="give --series"), open_stack(tmp_path / "a.nd2"):
        pass
    with open_stack(tmp_path / "a.nd2", "1") as stack:
        np.testing.assert_array_equal(stack.values(Place(), 1), Nd2File.array[0, 1, 1])


@pytest.mark.parametrize("name", ["a.czi", "a.lif", "a.nd2"])
def test_what_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    package = {"a.czi": "czifile", "a.lif": "liffile", "a.nd2": "nd2"}[name]
    pytest.importorskip(package)
    with pytest.raises(InputError, match="found none"), open_stack(tmp_path / name):
        pass
    (tmp_path / name).write_bytes(bytes(range(256)) * 9)
    with pytest.raises(InputError, match="OME-TIFF"), open_stack(tmp_path / name):
        pass
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=r"sparseinst\[microscopes\]"), open_stack(tmp_path / name):
        pass


def test_predict_takes_them_with_and_without_options(tmp_path: Path) -> None:
    pytest.importorskip("czifile")
    array = np.zeros((2, 64, 64), np.uint16)
    array[0, 8:40, 8:40] = 4000
    write_czi(tmp_path / "a.czi", array, "ZYX", "<ImageDocument/>")
    assert find_sources(tmp_path, stacks=True).images == [tmp_path / "a.czi"]
    seen: list[Any] = []
    predict_files(tmp_path, model=ColorBackend(), on_image=seen.append)
    assert [result.error for result in seen] == [None, None]
    assert [result.place for result in seen] == [Place(0, 0), Place(0, 1)]
