"""A video through everything: what is written, what is counted, and how it ends."""

import json
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

from ahead import Ahead, Behind
from clips import damage, pictures, write_clip
from inference.standins import ColorBackend
from sparseinst import InputError, Predictor
from sparseinst.data.video.source import open_video
from sparseinst.video.outcome import VideoResult
from sparseinst.video.prediction import predict_video

pytest.importorskip("av", reason="PyAV is not installed (extra video)")


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_file_becomes_a_drawn_video_and_lines(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", pictures(9), times=[0, 60, 70, 200, 500, 520, 700, 800, 801], sound_s=1)
    save, lines = tmp_path / "new" / "out.mp4", tmp_path / "new" / "out.jsonl"
    seen: list[VideoResult] = []
    report = predict_video(
        source, model=ColorBackend(), save=save, save_json=lines, on_frame=lambda result, _: seen.append(result)
    )
    assert (report.frames, report.dropped, report.broken, report.instances) == (9, 0, 0, 9)
    assert report.per_class == {"red": 9} and report.tracks is None
    assert report.files == {"video": save, "json": lines}
    assert 0 < report.network_seconds < report.seconds and report.fps < report.network_fps
    with closing(open_video(source)) as before, closing(open_video(save)) as after:
        assert after.sound is not None
        for first, second, result in zip(before, after, seen, strict=True):
            assert first.time == second.time == result.frame.time
            difference = np.abs(second.image.astype(int) - first.image).sum(2)
            box = result.instances.boxes[0].astype(int)
            inside = difference[box[1] : box[3], box[0] : box[2]]
            assert inside.mean() > 5 * difference[40:].mean(), "the mask is drawn where it was found"
    for number, line in enumerate(lines_of(lines)):
        assert line["frame"] == number and line["seconds"] == pytest.approx(seen[number].frame.seconds, abs=1e-6)
        assert (line["width"], line["height"]) == (64, 48)
        (found,) = line["instances"]
        assert (found["class"], found["label"]) == ("red", 0) and "track_id" not in found
        mask = coco_mask.decode(found["segmentation"]).astype(bool)
        np.testing.assert_array_equal(mask, seen[number].instances.masks[0])
        x, y, width, height = found["bbox"]
        np.testing.assert_array_equal([x, y, x + width, y + height], seen[number].instances.boxes[0])
        assert found["area"] == mask.sum()


def test_the_instances_are_those_of_the_frames_alone(tmp_path: Path) -> None:
    images = pictures(7)
    lines = tmp_path / "out.jsonl"
    predict_video(images, model=ColorBackend(), save_json=lines, batch=2)
    alone = Predictor(ColorBackend())(images)
    for line, instances in zip(lines_of(lines), alone, strict=True):
        counts = [item["segmentation"]["counts"].encode() for item in line["instances"]]
        assert counts == list(instances.rles)


def test_classes_and_score() -> None:
    both = [
        np.ascontiguousarray(image[:, :, ::-1]) if number % 2 else image for number, image in enumerate(pictures(6))
    ]
    assert predict_video(both, model=ColorBackend()).per_class == {"red": 3, "blue": 3}
    assert predict_video(both, model=ColorBackend(), classes=["blue"]).per_class == {"blue": 3}
    assert predict_video(both, model=ColorBackend(), score=1).instances == 0
    with pytest.raises(InputError, match="'violet'"):
        predict_video(both, model=ColorBackend(), classes=["violet"])


def test_a_stop_ends_the_files_well(tmp_path: Path) -> None:
    def endless() -> Iterator[NDArray[np.uint8]]:
        while True:
            yield from pictures(5)

    stop = threading.Event()

    def look(result: VideoResult, _: object) -> None:
        if result.frame.index == 4:
            stop.set()

    save, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    report = predict_video(endless(), model=ColorBackend(), save=save, save_json=lines, on_frame=look, stop=stop)
    with closing(open_video(save)) as video:
        indices = [frame.index for frame in video]
    assert 5 <= report.frames < 30
    assert indices == [line["frame"] for line in lines_of(lines)] == list(range(report.frames))


@pytest.mark.parametrize("where", ["source", "network", "caller"])
def test_an_error_in_the_middle_is_raised_and_leaves_no_file(tmp_path: Path, where: str) -> None:
    def source() -> Iterator[NDArray[np.uint8]]:
        yield from pictures(5)
        if where == "source":
            raise ZeroDivisionError
        yield from pictures(50)

    class Failing(ColorBackend):
        def __call__(self, *inputs):
            if where == "network" and len(self.calls) == 5:
                raise ZeroDivisionError
            return super().__call__(*inputs)

    def look(result: VideoResult, _: object) -> None:
        if where == "caller" and result.frame.index == 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        predict_video(source(), model=Failing(), save=tmp_path / "o.mp4", save_json=tmp_path / "o.jsonl", on_frame=look)
    assert {path.name for path in tmp_path.iterdir()} <= {"o.unfinished.mp4", "o.unfinished.jsonl"}


def test_no_frame_is_an_error_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a video with frames"):
        predict_video([], model=ColorBackend(), save_json=tmp_path / "out.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_the_source_is_never_written_over(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", pictures(2))
    content = source.read_bytes()
    with pytest.raises(InputError, match="the video itself"):
        predict_video(source, model=ColorBackend(), save=tmp_path / "." / "in.mp4")
    assert source.read_bytes() == content


def test_broken_packets_are_counted(tmp_path: Path) -> None:
    source = damage(write_clip(tmp_path / "in.mkv", pictures(10), intra=True), {3})
    report = predict_video(source, model=ColorBackend(), save=tmp_path / "out.mp4")
    assert (report.frames, report.broken) == (9, 1)


def test_what_is_skipped_is_counted(tmp_path: Path) -> None:
    ahead = Ahead(40)
    lines = tmp_path / "out.jsonl"
    seen: list[int] = []
    report = predict_video(
        ahead.source(pictures(40)), model=Behind(ahead), skip=True, fps=1000, save_json=lines,
        on_frame=lambda result, _: seen.append(result.dropped),
    )  # fmt: skip
    assert report.frames + report.dropped == 40 and report.dropped > 20
    assert seen == sorted(seen) and seen[-1] == report.dropped
    assert [line["frame"] for line in lines_of(lines)][-1] == 39


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    image = pictures(1, size_hw=(480, 640))[0]

    def peak(count: int) -> int:
        images = (image.copy() for _ in range(count))
        tracemalloc.reset_peak()
        predict_video(images, model=ColorBackend(), save=tmp_path / "out.mp4", save_json=tmp_path / "out.jsonl")
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        short, longer = peak(40), peak(200)
    finally:
        tracemalloc.stop()
    assert longer < short + 5 * image.nbytes, "160 frames more, and not five of them are held"


def test_tracked_objects_keep_their_ids_in_every_file(tmp_path: Path) -> None:
    images = pictures(10, size_hw=(48, 96))
    seen: list[VideoResult] = []
    report = predict_video(
        images, model=ColorBackend(), track="mask", save=tmp_path / "o.mp4", save_json=tmp_path / "o.jsonl",
        save_mot=tmp_path / "o.txt", save_masks=tmp_path / "tracks", zones=["gate=line:40,0,40,48"],
        on_frame=lambda result, _: seen.append(result),
    )  # fmt: skip
    assert report.tracks == 1 and set(report.files) == {"video", "json", "mot", "masks"}
    (zone,) = report.zones
    assert zone["zone"] == "gate" and sum([*zone["in"].values(), *zone["out"].values()]) == 1
    assert [result.ids.tolist() for result in seen] == [[1]] * 10
    assert [line["instances"][0]["track_id"] for line in lines_of(tmp_path / "o.jsonl")] == [1] * 10
    rows = [line.split(",")[:2] for line in (tmp_path / "o.txt").read_text().splitlines()]
    assert rows == [[str(number), "1"] for number in range(1, 11)]
    label = cv2.imread(str(tmp_path / "tracks" / "mask004.tif"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(label == 1, seen[4].instances.masks[0])


def test_what_needs_ids_gets_them(tmp_path: Path) -> None:
    assert predict_video(pictures(3), model=ColorBackend()).tracks is None
    assert predict_video(pictures(3), model=ColorBackend(), save_mot=tmp_path / "o.txt").tracks == 1
    assert predict_video(pictures(3), model=ColorBackend(), zones=["line:0,0,9,9"]).tracks == 1


@pytest.mark.parametrize("options", [{"track": "hope"}, {"zones": ["circle:1,2,3"]}])
def test_a_tracker_or_zone_that_is_none(options: dict) -> None:
    with pytest.raises(InputError, match=r"hope|circle"):
        predict_video(pictures(2), model=ColorBackend(), **options)


def test_trails_lead_to_where_objects_are_and_can_be_left_out(tmp_path: Path) -> None:
    def last(trails: bool) -> NDArray[np.int64]:
        seen: list[VideoResult] = []
        predict_video(
            pictures(10), model=ColorBackend(), track="mask", save=tmp_path / "o.mp4", trails=trails,
            on_frame=lambda result, _: seen.append(result),
        )  # fmt: skip
        return seen[-1].picture.astype(int)

    rows, columns = np.abs(last(True) - last(False)).any(2).nonzero()
    assert rows.min() > 15 and rows.max() < 25, "along the middle of the block"
    assert columns.min() < 12 and columns.max() > 36, "from where it was first to where it is"
