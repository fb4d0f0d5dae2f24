"""Runs over images that are stopped, killed or have no room: what was done is there, and the next run goes on."""

import errno
import json
import os
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import tifffile
from PIL import Image

from inference.standins import ColorBackend
from sparseinst.errors import InputError
from sparseinst.inference.outcome import ImageResult
from sparseinst.inference.prediction import predict_files

LINES = "predictions.unfinished.jsonl"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images, one of them broken, and a file of three pages."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, channel in (("a.png", 0), ("b.jpg", 1), ("d.png", 2), ("f.png", 0)):
        Image.fromarray(picture(channel)).save(folder / name)
    (folder / "c.png").write_bytes(b"no image")
    tifffile.imwrite(folder / "e.tif", np.stack([picture(channel) for channel in range(3)]), photometric="rgb")
    return folder


def picture(channel: int) -> np.ndarray:
    image = np.zeros((64, 96, 3), np.uint8)
    image[8:40, 8:40, channel] = 255
    return image


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def run(folder: Path, out: Path, **options: object):
    return predict_files(folder, model=ColorBackend(), out=out, save_json=True, save_masks=True, **options)


def stopped_after(images: int, folder: Path, out: Path, **options: object) -> list[str]:
    """Names of the images done until the stop."""
    stop, names = Event(), []

    def see(result: ImageResult) -> None:
        names.append(result.path.name)
        if len(names) == images:
            stop.set()

    run(folder, out, stop=stop, on_image=see, **options)
    return names


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("images", range(1, 8))
def test_a_stopped_run_goes_on_and_each_image_is_done_once(
    folder: Path, tmp_path: Path, images: int, batch: int
) -> None:
    whole = run(folder, tmp_path / "whole")
    first = stopped_after(images, folder, tmp_path / "out", batch=batch)
    partial = json.loads((tmp_path / "out/predictions.json").read_text())
    assert len(first) == images and len(partial["images"]) == images - ("c.png" in first)
    second: list[str] = []
    report = run(
        folder, tmp_path / "out", resume=True, batch=batch, on_image=lambda result: second.append(result.path.name)
    )
    assert first + second == ["a.png", "b.jpg", "c.png", "d.png", "e.tif", "e.tif", "e.tif", "f.png"]
    assert (tmp_path / "out/predictions.json").read_text() == (tmp_path / "whole/predictions.json").read_text()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        path.name for path in (tmp_path / "whole").iterdir()
    }
    assert (report.images, report.instances, report.per_class) == (whole.images, whole.instances, whole.per_class)
    assert [failure.path for failure in report.failures] == [folder / "c.png"]
    assert (report.resumed, whole.resumed) == (images, 0)


def test_a_line_that_is_torn_is_done_again(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "whole")
    stopped_after(4, folder, tmp_path / "out")
    lines = tmp_path / "out" / LINES
    lines.write_bytes(lines.read_bytes()[:-20])
    names: list[str] = []
    run(folder, tmp_path / "out", resume=True, on_image=lambda result: names.append(result.path.name))
    assert names[0] == "d.png" and not lines.exists()
    assert (tmp_path / "out/predictions.json").read_text() == (tmp_path / "whole/predictions.json").read_text()


def test_a_run_goes_on_only_as_it_was(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    stopped_after(2, folder, out)
    before = (out / LINES).read_bytes()
    for changed, options in {"score": {"score": 0.5}, "classes": {"classes": ["red"]}, "max_instances": {
        "max_instances": 1
    }}.items():  # fmt: skip
        with pytest.raises(InputError, match=f"other values of {changed}:"):
            run(folder, out, resume=True, **options)
    Image.fromarray(picture(1)).save(folder / "new.png")
    with pytest.raises(InputError, match="other values of images:"):
        run(folder, out, resume=True)
    assert (out / LINES).read_bytes() == before
    (out / LINES).write_bytes(b"{")
    with pytest.raises(InputError, match="expected the lines of a run, found none"):
        run(folder, out, resume=True)
    with pytest.raises(InputError, match="resume: expected save_json"):
        predict_files(folder, model=ColorBackend(), out=out, resume=True)


def test_begun_anew_it_says_so(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stopped_after(2, folder, tmp_path / "out")
    assert run(folder, tmp_path / "out").resumed == 0
    assert "a run that did not finish is begun again; resume would have gone on" in caplog.text
    assert run(folder, tmp_path / "new", resume=True).resumed == 0, "nothing there: it begins"


def test_what_was_done_stays_where_the_disk_is_full(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparseinst.inference import outputs

    out, write = tmp_path / "out", outputs.write_image

    def full(path: Path, image: np.ndarray) -> None:
        if path.name.startswith("d_"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, image)

    monkeypatch.setattr(outputs, "write_image", full)
    with pytest.raises(OSError, match="No space left"):
        run(folder, out)
    partial = json.loads((out / "predictions.json").read_text())
    assert [image["file_name"] for image in partial["images"]] == ["a.png", "b.jpg"]
    monkeypatch.setattr(outputs, "write_image", write)
    assert run(folder, out, resume=True).resumed == 3
    assert len(json.loads((out / "predictions.json").read_text())["images"]) == 7


def test_nothing_is_left_of_a_run_that_did_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, image: np.ndarray) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("sparseinst.inference.outputs.write_image", full)
    with pytest.raises(OSError, match="No space left"):
        run(folder, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
