"""Videos of every kind, and what is wrong with them."""

import sys
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tifffile import TiffFile, TiffWriter

from clips import damage, pictures, write_clip
from sparseinst import InputError
from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import to_rgb8
from sparseinst.data.video.frame import VideoFrame
from sparseinst.data.video.source import is_video, open_video

av = pytest.importorskip("av", reason="PyAV is not installed (extra video)")


def frames_of(source: object, **options: float) -> list[VideoFrame]:
    with closing(open_video(source, **options)) as video:
        return list(video)


def close(frames: list[VideoFrame], images: list[np.ndarray]) -> bool:
    """Whether these are the pictures, as well as the codec keeps them."""
    return all(np.abs(frame.image.astype(int) - image).mean() < 6 for frame, image in zip(frames, images, strict=True))


@pytest.mark.parametrize(
    "source", ["a.mp4", "a.MKV", "0", "12", "/dev/video1", "rtsp://h/x", "http://h/x.jpg", "f/%d.png"]
)
def test_looks_like_a_video(source: str) -> None:
    assert is_video(source)


@pytest.mark.parametrize("source", ["a.png", "a.gif", "scans", "*.png", "list.txt", "c:/x.tif", "100%.png"])
def test_looks_like_images(source: str) -> None:
    assert not is_video(source)


def test_a_file_or_folder_is_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("0", "run.mp4"):
        Path(name).mkdir()
        assert not is_video(name)
    Image.new("L", (4, 4)).save("f%d.png")
    assert not is_video("f%d.png")


def test_every_frame_in_order_with_its_time(tmp_path: Path) -> None:
    images = pictures(12)
    path = write_clip(tmp_path / "clip.mp4", images, rate=10)
    with closing(open_video(path)) as video:
        assert (video.live, video.rate, video.sound) == (False, 10, None)
        assert video.duration == pytest.approx(1.2)
        frames = list(video)
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == [Fraction(number, 10) for number in range(12)]
    assert frames[0].size_hw == (48, 64) and close(frames, images)


def test_times_at_a_changing_rate(tmp_path: Path) -> None:
    times = [0, 60, 70, 200, 500, 520, 1000, 1001]
    frames = frames_of(write_clip(tmp_path / "clip.mp4", pictures(8), times=times))
    assert [frame.time for frame in frames] == [Fraction(time, 600) for time in times]


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (-90, 3), (180, 2)])
def test_a_rotation_is_applied(tmp_path: Path, rotation: int, turns: int) -> None:
    images = pictures(3)
    frames = frames_of(write_clip(tmp_path / "clip.mp4", images, rotation=rotation))
    assert close(frames, [np.rot90(image, turns) for image in images])


def test_odd_sizes(tmp_path: Path) -> None:
    images = pictures(3, size_hw=(47, 63))
    frames = frames_of(write_clip(tmp_path / "clip.mp4", images))
    assert frames[0].size_hw == (47, 63) and close(frames, images)


def test_time_begins_where_the_file_begins(tmp_path: Path) -> None:
    frames = frames_of(write_clip(tmp_path / "clip.ts", pictures(5), rate=10))
    assert [frame.seconds for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=1e-4)


def test_an_animated_gif_is_a_video_if_asked_for(tmp_path: Path) -> None:
    images = [Image.fromarray(image) for image in pictures(4)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=200)
    assert [frame.seconds for frame in frames_of(tmp_path / "a.gif")] == pytest.approx([0, 0.2, 0.4, 0.6])


@pytest.mark.parametrize("form", ["folder", "glob", "pattern", "list"])
def test_images_in_a_row(tmp_path: Path, form: str) -> None:
    images = pictures(11)
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"f{number:02}.png")
    (tmp_path / "list.txt").write_text("".join(f"f{number:02}.png\n" for number in range(11)))
    name = {"folder": "", "glob": "f*.png", "pattern": "f%02d.png", "list": "list.txt"}[form]
    frames = frames_of(str(tmp_path / name), fps=4)
    assert [frame.time for frame in frames] == [Fraction(number, 4) for number in range(11)]
    assert all((frame.image == image).all() for frame, image in zip(frames, images, strict=True))


def test_a_pattern_counts_by_number_not_by_letter(tmp_path: Path) -> None:
    for number in (8, 9, 10, 100):
        Image.new("L", (4, 4), number).save(tmp_path / f"f{number}.png")
    Image.new("L", (4, 4)).save(tmp_path / "fx.png")
    assert [frame.image[0, 0, 0] for frame in frames_of(str(tmp_path / "f%d.png"))] == [8, 9, 10, 100]


def test_the_pages_of_a_16_bit_stack(tmp_path: Path) -> None:
    ramp = np.arange(64 * 48, dtype=np.uint16).reshape(48, 64)
    pages = [Image.fromarray(ramp + 1000 * number) for number in range(5)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    with closing(open_video(tmp_path / "stack.tif", fps=2)) as video:
        assert video.duration == 2.5
        frames = list(video)
    assert len(frames) == 5
    assert all(
        frame.image.dtype == np.uint8 and frame.image.min() == 0 and frame.image.max() == 255 for frame in frames
    )


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_pages_are_read_as_images_are(tmp_path: Path, planar: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "stack.tif"
    deep = np.random.default_rng(0).integers(0, 2**16, (3, 40, 60, 3), dtype=np.uint16)
    with TiffWriter(path) as file:
        for page in deep:
            pixels = np.ascontiguousarray(page.transpose(2, 0, 1)) if planar == "separate" else page
            file.write(pixels, photometric="rgb", planarconfig=planar, compression="zlib", contiguous=False)
    with TiffFile(path) as file:
        torn = file.pages[1].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[torn : torn + 64] = bytes(64)
    path.write_bytes(content)
    with closing(open_video(path, fps=4)) as video:
        frames = list(video)
        assert (video.duration, video.broken) == (0.75, 1)
    assert "stack.tif[1]" in caplog.text and "others like it are left out" in caplog.text
    assert [(frame.index, frame.seconds) for frame in frames] == [(0, 0.0), (2, 0.5)]
    for frame in frames:
        assert (frame.image == to_rgb8(deep[frame.index], IntensityConfig())).all()


def test_arrays(tmp_path: Path) -> None:
    images = [image[:, :, 0] for image in pictures(3)]
    with closing(open_video(iter(images), fps=30000 / 1001)) as video:
        assert video.rate == Fraction(30000, 1001) and video.duration is None
        assert [frame.image.shape for frame in video] == [(48, 64, 3)] * 3


def test_a_broken_packet_is_left_out_and_the_rest_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = damage(write_clip(tmp_path / "clip.mkv", pictures(10), intra=True), {4, 6})
    with closing(open_video(path)) as video:
        indices = [frame.time * 10 for frame in video]
        assert video.broken == 2
    assert [round(index) for index in indices] == [0, 1, 2, 3, 5, 7, 8, 9]
    (record,) = caplog.records
    assert str(path) in record.getMessage() and record.left_out


def test_a_truncated_file_gives_what_is_there(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "clip.mkv", [np.random.default_rng(n).integers(0, 255, (48, 64, 3), np.uint8) for n in range(10)]
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = frames_of(path)
    assert 1 <= len(frames) < 10 and [frame.index for frame in frames] == list(range(len(frames)))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("gone.mp4", "gone.mp4: expected a video file, found none"),
        ("text.mp4", "text.mp4: expected a video file, could not open"),
        ("cut.mp4", "cut.mp4: expected a video file, could not open"),
        ("sound.mp4", "sound.mp4: expected a video, found a file without pictures"),
        ("98", "camera 98: expected a camera"),
        ("f%d.png", "f%d.png: expected a pattern"),
        ("a%d/b.png", "expected the number in the file's name"),
        ("rtsp://me:secret@127.0.0.1:9/door", "rtsp://127.0.0.1:9/door: expected a stream"),
        ("nothing", "nothing: expected an image, a folder"),
    ],
)
def test_wrong_sources_name_themselves(source: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.mp4").write_text("no video")
    Path("cut.mp4").write_bytes(write_clip(Path("whole.mp4"), pictures(5)).read_bytes()[:500])
    write_clip(Path("sound.mp4"), [], sound_s=0.2)
    with pytest.raises(InputError) as caught:
        open_video(source)
    assert said in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize("fps", [0, -1, 1001, float("nan")])
def test_no_rate(fps: float) -> None:
    with pytest.raises(InputError, match="fps"):
        open_video([], fps=fps)


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "clip.mp4", pictures(2))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"sparseinst\[video\]"):
        open_video(path)
