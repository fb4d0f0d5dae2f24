"""Zarr arrays and OME-Zarr images read by windows."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import to_rgb8
from sparseinst.data.large.image import large_size_hw, open_large
from sparseinst.data.large.ome_zarr import is_zarr
from sparseinst.errors import InputError

PERCENTILE = IntensityConfig()
RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 30_000, (90, 140), np.uint16)
COLOR = RANDOM.integers(0, 256, (90, 140, 3), np.uint8)
PARTS = [(slice(0, 50), slice(0, 140)), (slice(50, 90), slice(0, 100)), (slice(50, 90), slice(100, 140))]


def array(path: Path, values: np.ndarray, chunks: tuple[int, ...] | None = None, **how: Any) -> zarr.Array:
    made = zarr.create_array(
        path,
        shape=values.shape,
        dtype=values.dtype,
        chunks=chunks or tuple(min(side, 32) for side in values.shape),
        **how,
    )
    made[:] = values
    return made


def multiscale(path: Path, levels: list[np.ndarray], axes: str | None, *, version: int) -> Path:
    """An OME-Zarr image of version 0.4 (in zarr 2) or 0.5 (in zarr 3)."""
    group = zarr.create_group(path, zarr_format=version)
    for number, level in enumerate(levels):
        array(path / str(number), level, zarr_format=version)
    scales: dict[str, Any] = {"datasets": [{"path": str(number)} for number in range(len(levels))]}
    if axes is not None:
        scales["axes"] = [{"name": axis} for axis in axes]
    content = {"multiscales": [scales]}
    group.attrs.update(content if version == 2 else {"ome": {"version": "0.5", **content}})
    return path


def check(path: Path, expected: np.ndarray) -> None:
    whole = to_rgb8(expected, PERCENTILE)
    assert is_zarr(path) and large_size_hw(path) == whole.shape[:2]
    with open_large(path, PERCENTILE) as image:
        assert image.size_hw == whole.shape[:2]
        for part in PARTS:
            np.testing.assert_array_equal(image.read(part), whole[part])


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("kind", ["grey", "color", "channels first", "one channel"])
def test_arrays(tmp_path: Path, version: int, kind: str) -> None:
    values = {
        "grey": GREY, "color": COLOR, "channels first": np.moveaxis(COLOR, 2, 0), "one channel": GREY[None],
    }[kind]  # fmt: skip
    array(tmp_path / "a.zarr", values, zarr_format=version)
    check(tmp_path / "a.zarr", {"grey": GREY, "one channel": GREY}.get(kind, COLOR))


def test_shards_and_names_of_axes(tmp_path: Path) -> None:
    names = ["x", "c", "y"]
    array(tmp_path / "a.zarr", COLOR.transpose(1, 2, 0), (20, 3, 10), shards=(40, 3, 60), dimension_names=names)
    check(tmp_path / "a.zarr", COLOR)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("axes", ["yx", "zyx", "czyx", "tczyx", "tcyx", None])
def test_the_first_plane_and_time_of_one_channel(tmp_path: Path, version: int, axes: str | None) -> None:
    names = axes or "tczyx"
    shape = {"t": 2, "c": 1, "z": 3, "y": 90, "x": 140}
    values = np.zeros([shape[name] for name in names], np.uint16)
    values[tuple(slice(None) if name in "yx" else 0 for name in names)] = GREY
    check(multiscale(tmp_path / "a.zarr", [values], axes, version=version), GREY)


@pytest.mark.parametrize("axes", ["cyx", "yxc", "tczyx"])
def test_three_channels_are_red_green_and_blue(tmp_path: Path, axes: str) -> None:
    values = COLOR if axes == "yxc" else np.moveaxis(COLOR, 2, 0)
    values = values[None, :, None] if axes == "tczyx" else values
    check(multiscale(tmp_path / "a.zarr", [values], axes, version=3), COLOR)


def test_an_overview_takes_a_smaller_version(tmp_path: Path) -> None:
    levels = [np.full((side, side), value, np.uint8) for side, value in ((256, 10), (128, 20), (64, 30))]
    path = multiscale(tmp_path / "a.zarr", levels, "yx", version=3)
    with open_large(path, PERCENTILE) as image:
        assert image.size_hw == (256, 256)
        assert (image.overview(4) == 30).all() and (image.overview(3) == 20).all() and (image.overview(1) == 10).all()


@pytest.mark.parametrize(
    ("values", "axes", "words"),
    [
        (np.zeros((4, 20, 20), np.uint8), "cyx", "c 4, y 20, x 20"),
        (np.zeros((20, 20), np.uint8), "zx", "z 20, x 20"),
        (np.zeros((2, 20, 20), np.uint8), "ayx", "a 2, y 20"),
        (np.zeros((20, 20), np.complex64), "yx", "complex64"),
        (np.zeros((20, 20), np.uint8), "zyx", "could not open"),
    ],
)
def test_other_images_say_what_came(tmp_path: Path, values: np.ndarray, axes: str, words: str) -> None:
    path = multiscale(tmp_path / "a.zarr", [values], axes, version=3)
    with pytest.raises(InputError, match=rf"a\.zarr: expected .*{words}"):
        open_large(path, PERCENTILE)


def test_arrays_whose_axes_are_unknown_groups_and_huge_chunks(tmp_path: Path) -> None:
    array(tmp_path / "a.zarr", np.zeros((17, 20, 20), np.uint8))
    with pytest.raises(InputError, match=r"a\.zarr.*\(17, 20, 20\).*OME-Zarr"):
        open_large(tmp_path / "a.zarr", PERCENTILE)
    zarr.create_group(tmp_path / "b.zarr").create_group("well")
    with pytest.raises(InputError, match=r"b\.zarr.*got a group of well.*inside"):
        open_large(tmp_path / "b.zarr", PERCENTILE)
    zarr.create_array(tmp_path / "c.zarr", shape=(20_000, 20_000), dtype="uint8", chunks=(20_000, 20_000))
    with pytest.raises(InputError, match=r"c\.zarr.*400,000,000.*512"):
        open_large(tmp_path / "c.zarr", PERCENTILE)


def test_what_damaged_metadata_hold_is_quoted_in_short(tmp_path: Path) -> None:
    array(tmp_path / "a.zarr", GREY, zarr_format=2)
    (tmp_path / "a.zarr" / ".zarray").write_bytes(b"\xff'\"\x00" * 500)
    with pytest.raises(InputError, match=r"a\.zarr") as refused:
        open_large(tmp_path / "a.zarr", PERCENTILE)
    assert len(str(refused.value)) < 500


def test_damaged_folders_name_themselves(tmp_path: Path) -> None:
    for number, text in enumerate(["", "{", "[]", "{}", '{"zarr_format": 9, "node_type": "array"}']):
        folder = tmp_path / f"{number}.zarr"
        folder.mkdir()
        (folder / "zarr.json").write_text(text)
        with pytest.raises(InputError, match=rf"{number}\.zarr"):
            open_large(folder, PERCENTILE)
    for version, inner in ((2, "0.0"), (3, "c/0/0")):
        path = tmp_path / f"chunk{version}.zarr"
        array(path, GREY, zarr_format=version)
        chunk = path / inner
        chunk.write_bytes(chunk.read_bytes()[:20])
        with open_large(path, PERCENTILE) as image, pytest.raises(InputError, match=rf"chunk{version}\.zarr.*rows 0"):
            image.read(PARTS[0])


@pytest.mark.parametrize("scales", [[], [{}], [{"axes": 3}], [{"axes": [], "datasets": []}], "no", [None], {"a": 1}])
def test_damaged_metadata(tmp_path: Path, scales: Any) -> None:
    path = multiscale(tmp_path / "a.zarr", [GREY], "yx", version=2)
    (path / ".zattrs").write_text(json.dumps({"multiscales": scales}))
    with pytest.raises(InputError, match=r"a\.zarr"):
        open_large(path, PERCENTILE)


def test_without_zarr_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array(tmp_path / "a.zarr", GREY)
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(InputError, match=r"a\.zarr.*pip install 'sparseinst\[large\]'"):
        open_large(tmp_path / "a.zarr", PERCENTILE)
