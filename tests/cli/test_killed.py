"""Commands that are killed or interrupted, as processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from clips import pictures, write_clip
from sparseinst.data.video.source import open_video

IMAGES = 120


@pytest.fixture
def many(tiny_data: Path, tmp_path: Path) -> Path:
    """More images than are done before a signal comes."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(IMAGES):
        os.link(tiny_data / "train" / f"{number % 6}.png", folder / f"{number:03}.png")
    return folder


def ended_by(number: signal.Signals, command: list[object], when: Callable[[], bool]) -> subprocess.Popen[str]:
    """A command that got a signal as soon as something was so, after its end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sparseinst.cli", *map(str, command)], stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        while process.poll() is None and not when():
            time.sleep(0.002)
        process.send_signal(number)
        process.wait(60)
    finally:
        process.kill()
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_predict_goes_on_and_does_each_image_once(
    cli: Callable, many: Path, checkpoint: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    lines, results = out / "predictions.unfinished.jsonl", out / "predictions.json"
    command = ["predict", many, "--model", checkpoint, "--backend", "torch", "--score", 0, "--save-json", "--out", out]
    process = ended_by(number, command, lambda: lines.exists() and lines.read_bytes().count(b"\n") > 3)
    done = lines.read_bytes().count(b"\n") - 1
    assert 3 <= done < IMAGES
    if number == signal.SIGKILL:
        assert process.returncode == -number and not results.exists()
    else:
        assert process.returncode == 128 + number
        assert "stopped; to go on: the same command with --resume" in process.stderr.read()
        assert len(json.loads(results.read_text())["images"]) == done
    refused = cli(*command, "--resume", "--max-instances", 1)
    assert refused.exit_code == 2 and "other values of max_instances" in refused.stderr.replace("\n", " ")
    result = cli(*command, "--resume")
    assert result.exit_code == 0, result.stderr
    assert f"{IMAGES} images, {done} of them by an earlier run" in result.stdout
    names = [image["file_name"] for image in json.loads(results.read_text())["images"]]
    assert names == [f"{place:03}.png" for place in range(IMAGES)]
    assert sum(path.name.endswith("_overlay.png") for path in out.iterdir()) == IMAGES
    assert not [path for path in out.iterdir() if "unfinished" in path.name or ".tmp" in path.name]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_video_plays_up_to_its_last_seconds(
    cli: Callable, checkpoint: Path, tmp_path: Path, number: signal.Signals, suffix: str
) -> None:
    pytest.importorskip("av", reason="PyAV is not installed (extra video)")
    clip, out = write_clip(tmp_path / "clip.mp4", pictures(500), rate=25, sound_s=20), tmp_path / "out"
    made, lines = out / f"made.unfinished{suffix}", out / "clip.unfinished.jsonl"
    command = [
        "predict", clip, "--model", checkpoint, "--backend", "torch", "--save", out / f"made{suffix}", "--save-json",
        "--out", out,
    ]  # fmt: skip
    process = ended_by(number, command, lambda: lines.exists() and lines.read_bytes().count(b"\n") > 100)
    if number == signal.SIGTERM:
        assert process.returncode == 128 + number
        assert "SIGTERM: stopped; the files hold what was gone through" in process.stderr.read()
        made, lines = out / f"made{suffix}", out / "clip.jsonl"
    else:
        assert process.returncode == -number
    written = lines.read_bytes().count(b"\n")
    with closing(open_video(made)) as video:
        played = sum(1 for _ in video)
    assert 100 < written < 500
    if number == signal.SIGTERM:
        assert played == written
        return
    assert written - 75 <= played <= written + 1
    result = cli(*command, "--no-draw")
    assert f"{made}: left by a run that did not finish, is written over" in result.stderr.replace("\n", " ")
    assert {path.name for path in out.iterdir()} == {f"made{suffix}", "clip.jsonl"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--resume"], "--resume: expected --save-json"),
        (["--resume", "--save-json", "--measure"], "--resume: expected no files about cells"),
        (["--resume", "--save-json", "--save", "out.mp4"], "resume: expected images, got a video"),
    ],
)
def test_what_cannot_go_on_says_so(
    cli: Callable, tiny_data: Path, checkpoint: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    result = cli("predict", tiny_data / "val", "--model", checkpoint, "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 2 and said in result.stderr.replace("\n", " ")
