"""A camera on the network: its pictures with their times, and how it ends."""

from contextlib import closing
from pathlib import Path
from threading import Semaphore

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra video)")

from clips import pictures, write_clip
from inference.standins import ColorBackend
from rtsp import Camera
from sparseinst import Predictor
from sparseinst.data.video.source import open_video


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", pictures(30), rate=25, intra=True)


def test_every_picture_with_its_time_until_it_hangs_up(clip: Path) -> None:
    with Camera(clip, fps=50) as camera, closing(open_video(camera.url)) as video:
        assert video.live and video.duration is None and video.name == camera.url
        frames = list(video)
        assert not video.broken
    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.seconds for frame in frames] == pytest.approx([number / 50 for number in range(30)], abs=1e-3)
    for frame, picture in zip(frames, pictures(30), strict=True):
        assert np.abs(frame.image.astype(int) - picture).mean() < 6


def test_a_picture_comes_with_the_next_one(clip: Path) -> None:
    permits = Semaphore(3)  # one to open, and one for the picture after
    with Camera(clip, fps=1, permits=permits) as camera:
        seen = 0
        for frame, instances in Predictor(ColorBackend()).stream(camera.url):
            assert (frame.index, len(instances)) == (seen, 1)
            seen += 1
            permits.release()
    assert seen == 30, "it waited for more, and the camera hung up"


def test_a_camera_that_falls_silent_ends_the_video(clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Camera(clip, fps=100, silent=True) as camera, closing(open_video(camera.url)) as video:
        assert len(list(video)) >= 29
        assert video.broken == 1
    assert "the rest of it cannot be read" in caplog.text


def test_again_and_again(clip: Path) -> None:
    with Camera(clip, fps=100) as camera:
        for _ in range(2):
            with closing(open_video(camera.url)) as video:
                assert len(list(video)) == 30
