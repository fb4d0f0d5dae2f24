"""Days when the disk is full, may not be written, or has gone: one line, an exit code, and what was done is there."""

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from clips import pictures, write_clip
from sparseinst.data.video.source import open_video
from sparseinst.files import atomic
from sparseinst.modeling.model import SparseInst
from sparseinst.training.callbacks import Callback
from sparseinst.training.trainer import train

JOBS = ("predict", "video", "evaluate", "report", "train", "export", "batch")
Command = Callable[[Path], list[object]]


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, of some size."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs rights that this user has not")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # a traceback may hold a file


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small one."""
    with mounted(tmp_path / "small", "256k") as folder:
        yield folder


@pytest.fixture
def commands(checkpoint: Path, preset: Path, tiny_data: Path, tmp_path: Path) -> dict[str, Command]:
    """What writes into a folder."""
    model = ["--model", checkpoint]
    val = ["--images", tiny_data / "val", "--annotations", tiny_data / "val.json"]

    def clip() -> Path:
        pytest.importorskip("av", reason="PyAV is not installed (extra video)")
        return write_clip(tmp_path / "clip.mp4", pictures(400), rate=25)

    return {
        "predict": lambda out: ["predict", tiny_data / "train", *model, "--score", 0, "--save-json", "--out", out],
        "video": lambda out: ["predict", clip(), *model, "--score", 0, "--save-json", "--out", out],
        "evaluate": lambda out: ["evaluate", "--model", checkpoint, *val, "--json", out / "a.json"],
        "report": lambda out: ["evaluate", "--model", checkpoint, *val, "--report", out / "report"],
        "train": lambda out: [
            "train", "--data", tiny_data, "--model", preset, "--init", "random", "--out", out / "run"
        ],
        "export": lambda out: ["export", checkpoint, "--format", "torch", "--out", out / "a.pt2"],
        "batch": lambda out: [
            "batch", "run", tiny_data / "train", *model, "--score", 0, "--processes", 0, "--rows", 1, "--out", out
        ],
    }  # fmt: skip


def fill(disk: Path) -> None:
    """Until nothing more can be written."""
    with (disk / "filled").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(512))
        except OSError as error:
            assert error.errno == errno.ENOSPC


def one_line(result, *said: str) -> None:
    """Whether a command ended as users are told: an exit code and one line, which may follow warnings."""
    assert result.exit_code == 2, (result.stdout, result.stderr)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert any(text in line for text in said), line


@pytest.fixture
def network_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise AssertionError("the network ran")

    monkeypatch.setattr(SparseInst, "forward", run)


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.usefixtures("network_rests")
def test_a_disk_that_is_full_is_found_before_the_network_runs(cli, commands, disk: Path, job: str) -> None:
    fill(disk)
    one_line(cli(*commands[job](disk)), "No space left on device")
    assert {path.name for path in disk.iterdir() if path.is_file()} == {"filled"}


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.usefixtures("network_rests")
def test_a_folder_that_may_not_be_written_is_found_before_the_network_runs(cli, commands, disk: Path, job: str) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    one_line(cli(*commands[job](disk)), "Read-only file system")
    assert not list(disk.iterdir())


def test_predict_keeps_what_it_did_when_the_disk_fills(cli, commands, checkpoint, disk: Path, tiny_data: Path) -> None:
    (disk / "filled").write_bytes(bytes(150_000))
    one_line(cli(*commands["predict"](disk)), "No space left on device")
    lines = (disk / "predictions.unfinished.jsonl").read_bytes().split(b"\n")[1:-1]
    done = [line["image"]["file_name"] for line in map(json.loads, lines)]
    assert 0 < len(done) < 6
    assert {f"{Path(name).stem}_overlay.png" for name in done} <= {path.name for path in disk.iterdir()}
    (disk / "filled").unlink()
    with mounted(disk.with_name("large"), "4m") as large:
        shutil.copytree(disk, large, dirs_exist_ok=True)
        result = cli(*commands["predict"](large), "--resume")
        assert result.exit_code == 0 and f"6 images, {len(done)} of them by an earlier run" in result.stdout
        assert len(json.loads((large / "predictions.json").read_text())["images"]) == 6


def test_a_video_plays_up_to_where_the_disk_was_full(cli, commands, disk: Path) -> None:
    result = cli(*commands["video"](disk))
    one_line(result, "No space left on device")
    with closing(open_video(disk / "clip_overlay.unfinished.mp4")) as video:
        played = sum(1 for _ in video)
    lines = (disk / "clip.unfinished.jsonl").read_bytes().count(b"\n")
    assert 25 < played < 400 and 25 < lines < 400
    assert "clip_overlay.unfinished.mp4: holds what was done until then" in result.stderr.replace("\n", " ")


def test_training_keeps_its_last_state_when_the_disk_fills(preset: Path, tiny_data: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "12m") as disk:

        class Filling(Callback):
            def on_row(self, row) -> None:
                if row["iteration"] == 3:
                    fill(disk)

        def run(**options: object):
            return train(
                tiny_data, preset, disk / "run", init="random", device="cpu", iterations=5, log=(),
                settings={"evaluate_every": 1, "log_every": 1}, **options,
            )  # fmt: skip

        with pytest.raises(OSError, match="No space left on device"):
            run(callbacks=[Filling()])
        assert not [path for path in (disk / "run").iterdir() if ".tmp" in path.name]
        (disk / "filled").unlink()
        began: list[int] = []

        class Begun(Callback):
            def on_row(self, row) -> None:
                began.append(row["iteration"])

        assert run(resume=True, callbacks=[Begun()]).iterations == 5
        assert began[0] in (3, 4), "the state of the iteration before was there"


def test_batch_keeps_its_rows_when_the_disk_fills(cli, commands, disk: Path, tiny_data: Path, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(60):
        os.link(tiny_data / "train" / "0.png", many / f"{number}.png")
    batch, _, _, *rest = commands["batch"](disk)
    (disk / "filled").write_bytes(bytes(100_000))
    one_line(cli(batch, "run", many, *rest), "No space left on device")
    done = len(list((disk / "rows").glob("*.parquet")))
    assert 0 < done < 60 and not list((disk / "rows").glob(".*"))
    with mounted(disk.with_name("large"), "4m") as large:
        shutil.copytree(disk, large, dirs_exist_ok=True)
        result = cli(batch, "run", many, *rest[:-1], large)
        assert result.exit_code == 0, result.stderr
        assert len(list((large / "rows").glob("*.parquet"))) == 60


GONE = {
    "predict": "sparseinst.cli.predict_images.tell_result",
    "evaluate": "sparseinst.inference.writers.write_json",
    "train": "sparseinst.training.session.batches_from",
    "export": "sparseinst.exporting.exporter.compare",
}
"""Command -> what it calls on its way, when the folder goes."""


@pytest.mark.parametrize("job", GONE)
def test_a_folder_that_has_gone_is_one_line(
    cli, commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    from importlib import import_module

    module, _, name = GONE[job].rpartition(".")
    original, out = getattr(import_module(module), name), tmp_path / "out"

    def call(*arguments: object, **options: object):
        shutil.rmtree(out)
        return original(*arguments, **options)

    monkeypatch.setattr(GONE[job], call)
    one_line(cli(*commands[job](out)), "No such file")


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), atomic(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "full")
    assert not list(tmp_path.iterdir())


def test_a_library_that_fails_on_a_full_disk_is_understood(disk: Path) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)), atomic(disk / "a.bin") as temporary:
        try:
            temporary.write_bytes(bytes(10**6))
        except OSError:
            raise RuntimeError("stream failed") from None
    with pytest.raises(RuntimeError, match="stream failed"), atomic(disk / "a.bin"):
        raise RuntimeError("stream failed")
