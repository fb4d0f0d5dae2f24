"""Images that are read by windows give what images in memory give."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

import sparseinst.inference.large as large
from inference.standins import ColorBackend
from sparseinst.config.preprocess import NativeConfig
from sparseinst.data.large.image import open_large
from sparseinst.inference.large import Rows, find_in_large, is_large
from sparseinst.inference.prediction import predict_files
from sparseinst.inference.predictor import Predictor

SIZE = (300, 420)


def backend() -> ColorBackend:
    """A network at native scale for which more than 96 x 96 pixels are too large for one pass."""
    found = ColorBackend()
    preprocess = NativeConfig(one_pass_px=96, largest_px=10)
    found.config = found.config.model_copy(update={"preprocess": preprocess})
    return found


@pytest.fixture
def picture() -> np.ndarray:
    image = np.zeros((*SIZE, 3), np.uint8)
    for number, (y, x) in enumerate([(5, 7), (90, 100), (190, 60), (180, 300), (270, 400), (60, 330)]):
        image[y : y + 14, x : x + 12, number % 2] = 255
    return image


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "LARGE_PX", 10_000)


def written(folder: Path, picture: np.ndarray, kind: str) -> Path:
    if kind == "zarr":
        path = folder / "picture.zarr"
        zarr.create_array(path, data=picture, chunks=(64, 64, 3))
        return path
    path = folder / "picture.tif"
    tile = {"tile": (64, 64)} if kind == "tiled" else {"rowsperstrip": 32}
    tifffile.imwrite(path, picture, photometric="rgb", compression="zlib", **tile)
    return path


@pytest.mark.parametrize("kind", ["tiled", "striped", "zarr"])
def test_rows_of_tiles_give_what_tiles_in_memory_give(tmp_path: Path, picture: np.ndarray, kind: str) -> None:
    path = written(tmp_path, picture, kind)
    assert is_large(path)
    predictor, told = Predictor(backend()), []
    tiling = predictor.pipeline.tiling_of(SIZE)
    assert tiling is not None and len(tiling.windows(SIZE)) > 9
    with open_large(path, predictor.pipeline.preprocess.intensity) as image:
        found = find_in_large(predictor.pipeline, image, on_row=lambda done, rows: told.append((done, rows)))
    expected = predictor(picture)
    assert sorted(found.rles) == sorted(expected.rles) and len(found) == 6
    assert found.size_hw == SIZE and told[-1][0] == told[-1][1] == len(told) > 3


@pytest.mark.parametrize("kind", ["striped", "zarr"])
def test_all_files_are_written(tmp_path: Path, picture: np.ndarray, kind: str) -> None:
    path = written(tmp_path, picture, kind)
    out, seen = tmp_path / "out", []
    report = predict_files(path, model=backend(), out=out, save_json=True, save_masks=True, on_image=seen.append)
    assert (report.images, report.instances, report.failures) == (1, 6, ())
    (result,) = seen
    assert result.tiles > 9 and result.overlay == out / "picture_overlay.png" and result.labels is not None
    labels = tifffile.imread(result.labels) if result.labels.suffix == ".tif" else None
    assert labels is None or (np.unique(labels).tolist() == list(range(7)) and labels.shape == SIZE)
    content = json.loads((out / "predictions.json").read_text())
    assert content["images"][0]["width"] == 420 and len(content["annotations"]) == 6
    assert not list(out.glob(".*")), "what was kept for another start is gone"


def test_a_run_that_died_goes_on_after_the_rows_that_are_done(tmp_path: Path, picture: np.ndarray) -> None:
    path = written(tmp_path, picture, "tiled")
    predictor = Predictor(backend())

    def died(done: int, rows: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    def run(predictor: Predictor, on_row: large.OnRow | None = None) -> large.Instances:
        with open_large(path, predictor.pipeline.preprocess.intensity) as image:
            return find_in_large(
                predictor.pipeline, image, rows=Rows(tmp_path / "rows", path, predictor.pipeline), on_row=on_row
            )

    with pytest.raises(KeyboardInterrupt):
        run(predictor, died)
    calls = len(predictor.backend.calls)
    found = run(predictor)
    again = Predictor(backend())
    assert sorted(found.rles) == sorted(again(picture).rles)
    assert len(predictor.backend.calls) - calls < len(again.backend.calls)
    assert len(Predictor(backend()).backend.calls) == 0
    fresh = Predictor(backend())
    assert len(run(fresh)) == 6 and not fresh.backend.calls, "all rows were there"


def test_rows_of_other_settings_are_not_used(
    tmp_path: Path, picture: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, picture, "tiled")
    for score in (0.0, 0.5):
        predictor = Predictor(backend(), score=score)
        with (
            caplog.at_level(logging.WARNING, "sparseinst"),
            open_large(path, predictor.pipeline.preprocess.intensity) as image,
        ):
            find_in_large(predictor.pipeline, image, rows=Rows(tmp_path / "rows", path, predictor.pipeline))
        assert predictor.backend.calls
    assert "begun again" in caplog.text


def test_pages_that_are_not_read_are_told(
    tmp_path: Path, picture: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "stack.tif"
    with tifffile.TiffWriter(path) as file:
        for page in (picture, picture, picture[::2, ::2]):
            file.write(page, photometric="rgb", compression="zlib")
    with caplog.at_level(logging.WARNING, "sparseinst"):
        open_large(path, NativeConfig().intensity).close()
    assert "the first page is read, 1 more are not" in caplog.text


def test_a_network_that_does_not_cut_is_told_to(tmp_path: Path, picture: np.ndarray) -> None:
    written(tmp_path, picture, "tiled")
    report = predict_files(tmp_path / "picture.tif", model=ColorBackend(), out=tmp_path / "out")
    assert "give tile" in report.failures[0].message
    assert predict_files(tmp_path / "picture.tif", model=ColorBackend(), tile=100, out=tmp_path / "out").instances == 6
