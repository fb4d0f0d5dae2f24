"""Videos as they are written: times, sizes, sound, and nothing half done."""

from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from clips import pictures, write_clip
from sparseinst import InputError
from sparseinst.data.video.source import open_video
from sparseinst.video.writer import write_video

av = pytest.importorskip("av", reason="PyAV is not installed (extra video)")

Picture = NDArray[np.uint8]


def rewritten(source: Path, path: Path, change: Callable[[Picture], Picture] = lambda picture: picture) -> Path:
    with closing(open_video(source)) as video, write_video(path, video) as writer:
        for frame in video:
            writer.write(change(frame.image), frame.time)
    return path


def times_of(path: Path) -> list[Fraction]:
    with closing(open_video(path)) as video:
        return [frame.time for frame in video]


def sound_of(path: Path) -> tuple[str, list[tuple[Fraction, bytes]]]:
    """Codec, and the packets of sound with their times."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        packets = [(p.pts * p.time_base, bytes(p)) for p in container.demux(stream) if p.dts is not None]
        return stream.codec_context.codec.canonical_name, packets


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_times_at_a_changing_rate_survive(tmp_path: Path, suffix: str) -> None:
    source = write_clip(tmp_path / "in.mp4", pictures(8), times=[0, 60, 70, 200, 500, 520, 1000, 1001])
    path = rewritten(source, tmp_path / f"out{suffix}")
    if suffix == ".mkv":  # counts in milliseconds
        assert [float(time) for time in times_of(path)] == pytest.approx(
            [float(time) for time in times_of(source)], abs=5e-4
        )
    else:
        assert times_of(path) == times_of(source)
    with closing(open_video(path)) as video:
        assert video.duration == pytest.approx(1001 / 600, abs=0.15), "no frame lies beyond the end"


def test_the_picture_is_the_one_that_was_given(tmp_path: Path) -> None:
    ramp = np.stack(np.broadcast_arrays(*np.ogrid[0:240:48j, 0:240:64j], 120.0), axis=2).astype(np.uint8)
    source = write_clip(tmp_path / "in.mp4", [ramp] * 3)
    with closing(open_video(rewritten(source, tmp_path / "out.mp4", lambda _: ramp))) as video:
        difference = next(iter(video)).image.astype(int) - ramp
    assert np.abs(difference).mean() < 3
    assert np.abs(difference.mean((0, 1))).max() < 2, "no colour has shifted"


@pytest.mark.parametrize("height", [48, 720])
def test_the_file_names_its_colours(tmp_path: Path, height: int) -> None:
    source = write_clip(tmp_path / "in.mp4", [np.full((height, 64, 3), (200, 30, 90), np.uint8)] * 2)
    with av.open(str(rewritten(source, tmp_path / "out.mp4"))) as container:
        context = container.streams.video[0].codec_context
        assert context.codec.canonical_name == "h264" and context.pix_fmt == "yuv420p"
        assert context.colorspace == context.color_primaries == context.color_trc == (1 if height >= 720 else 6)


def test_a_rotated_video_is_upright_once(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", pictures(3), rotation=90)
    with closing(open_video(source)) as first, closing(open_video(rewritten(source, tmp_path / "out.mp4"))) as second:
        for before, after in zip(first, second, strict=True):
            assert after.size_hw == (64, 48)
            assert np.abs(before.image.astype(int) - after.image).mean() < 4
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0


def test_odd_sizes_grow_by_one(tmp_path: Path) -> None:
    images = pictures(2, size_hw=(47, 63))
    images = [np.ascontiguousarray(image[:, ::-1]) for image in images]
    source = write_clip(tmp_path / "in.mp4", images)
    with closing(open_video(rewritten(source, tmp_path / "out.mp4"))) as video:
        image = next(iter(video)).image
    assert image.shape == (48, 64, 3)
    assert np.abs(image[:47, :63].astype(int) - images[0]).mean() < 6
    assert np.abs(image[47].astype(int) - image[46]).mean() < 6


def test_a_picture_of_another_size_is_fitted_in(tmp_path: Path) -> None:
    wide = np.full((20, 80, 3), 200, np.uint8)
    video = open_video([np.zeros((48, 64, 3), np.uint8), wide])
    with write_video(tmp_path / "out.mp4", video) as writer:
        for frame in video:
            writer.write(frame.image, frame.time)
    with closing(open_video(tmp_path / "out.mp4")) as video:
        image = [frame.image for frame in video][1].astype(int)
    assert image.shape == (48, 64, 3)
    assert image[20:28].mean() > 190 and image[:12].mean() < 10 and image[36:].mean() < 10


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_is_copied_as_it_is(tmp_path: Path, suffix: str) -> None:
    source = write_clip(tmp_path / "in.mp4", pictures(8), rate=10, sound_s=1.5)
    path = rewritten(source, tmp_path / f"out{suffix}")
    (codec, before), (codec_after, after) = sound_of(source), sound_of(path)
    assert codec == codec_after == "aac"
    assert [content for _, content in after] == [content for _, content in before]
    offset = float(times_of_first_picture(path)) - float(times_of_first_picture(source))
    for (time_after, _), (time, _) in zip(after, before, strict=True):
        assert float(time_after - time) == pytest.approx(offset, abs=2e-3), "in time with the pictures"


def times_of_first_picture(path: Path) -> Fraction:
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return frame.pts * frame.time_base


def test_sound_that_the_format_cannot_hold_becomes_aac(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.avi", pictures(8), time_base=Fraction(1, 10), sound_s=1.0, sound_codec="pcm_u8")
    assert sound_of(source)[0] == "pcm_u8"
    codec, packets = sound_of(rewritten(source, tmp_path / "out.mp4"))
    assert codec == "aac"
    assert float(packets[-1][0]) == pytest.approx(1.0, abs=0.05)


def test_sound_ends_where_the_pictures_were_stopped(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", pictures(8), rate=10, sound_s=2.0)
    with closing(open_video(source)) as video, write_video(tmp_path / "out.mp4", video) as writer:
        for frame in video:
            writer.write(frame.image, frame.time)
            if frame.index == 3:
                writer.stop_here()
                break
    assert 0.25 < sound_of(tmp_path / "out.mp4")[1][-1][0] < 0.45


def test_two_frames_at_one_time_follow_each_other(tmp_path: Path) -> None:
    with closing(open_video(pictures(3))) as video, write_video(tmp_path / "out.mp4", video) as writer:
        for frame in video:
            writer.write(frame.image, Fraction(0))
    times = times_of(tmp_path / "out.mp4")
    assert len(times) == 3 and times == sorted(set(times))


def test_a_run_that_dies_leaves_what_was_there_and_what_it_did(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"earlier")
    with pytest.raises(KeyError), closing(open_video(pictures(3))) as video, write_video(path, video) as writer:
        for number, picture in enumerate(pictures(2)):
            writer.write(picture, Fraction(number))
        raise KeyError
    unfinished = tmp_path / "out.unfinished.mp4"
    assert path.read_bytes() == b"earlier" and set(tmp_path.iterdir()) == {path, unfinished}
    assert times_of(unfinished) == [0, 1]


def test_no_picture_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got none of images"), write_video(tmp_path / "out.mp4", open_video([])):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "said"), [("out.webm", "ending in .mp4"), ("gone/out.mp4", "can be written")])
def test_files_that_cannot_be_written(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said), write_video(tmp_path / name, open_video(pictures(1))):
        pass


def test_without_x264_it_is_said_and_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = write_clip(tmp_path / "in.mkv", pictures(8), time_base=Fraction(1, 90000), rate=30)
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    path = rewritten(source, tmp_path / "out.mp4")
    assert "no x264" in caplog.text
    assert [float(t) for t in times_of(path)] == pytest.approx([float(t) for t in times_of(source)], abs=1e-3)
