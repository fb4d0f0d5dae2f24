"""`sparseinst predict` on videos."""

import json
import os
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from clips import damage, pictures, write_clip
from sparseinst.data.video.source import open_video

pytest.importorskip("av", reason="PyAV is not installed (extra video)")


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A video of 8 frames in the folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    return write_clip(Path("clip.mp4"), pictures(8), rate=10)


def length_of(path: str | Path) -> int:
    with closing(open_video(path)) as video:
        return sum(1 for _ in video)


def test_a_video_gives_a_video_and_a_closing_line(cli: Callable, clip: Path, checkpoint: Path) -> None:
    result = cli("predict", clip, "--model", checkpoint, "--score", 0, "--save-json")
    assert result.exit_code == 0, result.stderr
    assert {path.name for path in Path("predictions").iterdir()} == {"clip_overlay.mp4", "clip.jsonl"}
    assert length_of("predictions/clip_overlay.mp4") == 8
    lines = [json.loads(line) for line in Path("predictions/clip.jsonl").read_text().splitlines()]
    found = sum(len(line["instances"]) for line in lines)
    (closing_line,) = result.stdout.splitlines()
    assert closing_line.startswith(f"8 frames, {found} instances (") and "frames/s (the network alone" in closing_line
    assert closing_line.endswith("look at predictions/clip_overlay.mp4, predictions/clip.jsonl")


def test_files_by_name_and_none_drawn(cli: Callable, clip: Path, checkpoint: Path) -> None:
    assert cli("predict", clip, "--model", checkpoint, "--save", "new/mine.mkv").exit_code == 0
    assert length_of("new/mine.mkv") == 8 and not Path("predictions").exists()
    assert cli("predict", clip, "--model", checkpoint, "--no-draw", "--save-json", "--out", "o").exit_code == 0
    assert [path.name for path in Path("o").iterdir()] == ["clip.jsonl"]


def test_a_folder_becomes_a_video_if_asked_for(
    cli: Callable, tiny_data: Path, checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    result = cli("predict", tiny_data / "train", "--model", checkpoint, "--save", out, "--fps", 4)
    assert result.exit_code == 0, result.stderr
    with closing(open_video(out)) as video:
        assert [frame.seconds for frame in video] == [0, 0.25, 0.5, 0.75, 1, 1.25]


def test_a_broken_packet_is_told_and_the_exit_code_says_so(cli: Callable, clip: Path, checkpoint: Path) -> None:
    source = damage(write_clip(Path("in.mkv"), pictures(8), intra=True), {3})
    result = cli("predict", source, "--model", checkpoint)
    assert result.exit_code == 1
    assert f"warning: {source}" in result.stderr and "7 frames, 1 broken packet" in result.stdout
    assert length_of("predictions/in_damaged_overlay.mp4") == 7


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_ends_the_file_as_it_should(
    cli: Callable, clip: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, name: str
) -> None:
    from sparseinst.video import prediction as run

    def endless(source: str, **options: object):
        def images():
            for index, image in enumerate(pictures(5) * 100):
                if index == 10:
                    os.kill(os.getpid(), number)
                yield image

        return open_video(images())

    monkeypatch.setattr(run, "open_video", endless)
    before = signal.getsignal(number)
    result = cli("predict", "7", "--model", checkpoint, "--save-json")
    assert result.exit_code == 128 + number and f"{name}: stopped" in result.stderr
    assert signal.getsignal(number) is before
    count = length_of("predictions/camera7_overlay.mp4")
    assert 10 <= count < 100 and f"{count} frames" in result.stdout
    assert len(Path("predictions/camera7.jsonl").read_text().splitlines()) == count


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gone.mp4"], "gone.mp4: expected a video file, found none"),
        (["clip.mp4", "--iam"], "iam: expected images, got a video"),
        (["clip.mp4", "--save", "clip.mp4"], "expected another file than the video itself"),
        (["clip.mp4", "--save", "out.webm"], "out.webm: expected a video ending in .mp4"),
        (["clip.mp4", "--classes", "tree"], "'tree'"),
        (["nothing", "--save", "out.mp4"], "nothing: expected an image, a folder"),
        (["empty", "--save", "out.mp4"], "empty: expected a folder with images"),
        (["95"], "camera 95: expected a camera"),
    ],
)
def test_wrong_input_is_said_in_one_line(
    cli: Callable, clip: Path, checkpoint: Path, arguments: list[str], said: str
) -> None:
    Path("empty").mkdir()
    result = cli("predict", *arguments, "--model", checkpoint)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert said in result.stderr
    assert not list(Path().glob("**/*overlay*")) and length_of(clip) == 8


def test_tracks_zones_and_their_files(cli: Callable, clip: Path, checkpoint: Path) -> None:
    common = ("predict", clip, "--model", checkpoint, "--score", 0)
    result = cli(*common, "--zone", "gate=line:32,0,32,48", "--save-mot", "--save-masks")
    assert result.exit_code == 0, result.stderr
    names = {path.name for path in Path("predictions").iterdir()}
    assert names == {"clip_overlay.mp4", "clip_mot.txt", "clip_tracks"}
    first, last = result.stdout.splitlines()
    assert first == "gate: in 0, out 0" and ", 0 tracks, " in last
    assert cli(*common, "--track", "--save-json").exit_code == 0
    assert "track_id" in Path("predictions/clip.jsonl").read_text()
    assert cli(*common, "--tracker", "hope").exit_code == 2
