"""`sparseinst predict` on a video."""

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack
from urllib.parse import urlsplit

import typer

from sparseinst.cli.options import output_file
from sparseinst.cli.telling import console, count, say, say_error, tells_each
from sparseinst.cli.video_options import VideoOptions
from sparseinst.files import fitting

if TYPE_CHECKING:
    from sparseinst.data.video.frame import VideoSource
    from sparseinst.inference.options import PipelineOptions
    from sparseinst.runtime.backends import Backend
    from sparseinst.video.outcome import VideoResult, VideoSummary

_RECENT = 50
"""Frames whose times say how fast it goes."""


def predict_on_video(
    source: str,
    video: VideoOptions,
    *,
    network: "Backend",
    out: Path,
    save_json: bool,
    save_masks: bool,
    score: float | None,
    classes: Sequence[str] | None,
    **options: "Unpack[PipelineOptions]",
) -> None:
    """Goes through the video, shows how it is going, and tells what was found."""
    from sparseinst.training.interruption import Signals
    from sparseinst.video.prediction import predict_video

    stem = f"{out / stem_of(source)}"
    files: dict[str, Any] = {
        "save": video.save or Path(f"{stem}_overlay.mp4") if video.draw or video.save else None,
        "save_json": Path(f"{stem}.jsonl") if save_json else None,
        "save_mot": Path(f"{stem}_mot.txt") if video.save_mot else None,
        "save_masks": Path(f"{stem}_tracks") if save_masks else None,
    }
    for name in ("save", "save_json", "save_mot"):
        output_file(f"--{name.replace('_', '-')}", files[name])
    stop = Event()
    with Signals(tell="ending the files", then=stop.set) as signals, _Progress() as progress:
        report = predict_video(
            source, model=network, show=video.show, skip=video.skip, track=video.algorithm,
            divisions=video.divisions, trails=video.trails, zones=video.zones, fps=video.fps,
            on_frame=progress.step, stop=stop, score=score, classes=classes, **files, **options,
        )  # fmt: skip
    _close(report)
    if signals.number:
        say_error(f"{signals.name}: stopped; the files hold what was gone through")
        raise typer.Exit(128 + signals.number)


def stem_of(source: str) -> str:
    """What files about a video are called.

    Example:
        >>> stem_of("a/clip.mp4"), stem_of("0"), stem_of("rtsp://me@host:554/door"), stem_of("scans/frame_%04d.png")
        ('clip', 'camera0', 'door', 'scans')
    """
    if source.isdecimal():
        return f"camera{source}"
    path = Path(urlsplit(source).path if "://" in source else source)
    if any(character in path.name for character in "%*?["):
        path = path.parent
    return fitting(path.resolve().stem) or (urlsplit(source).hostname if "://" in source else None) or "video"


class _Progress:
    """A bar over the seconds of the video, where they are known, with frames a second of late; nothing into a file."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        shown = console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(), console=shown, transient=True, disable=not shown.is_terminal,
        )  # fmt: skip
        self._task = self._bars.add_task("video", total=None, state="")
        self._times: deque[float] = deque(maxlen=_RECENT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def step(self, result: "VideoResult", video: "VideoSource") -> None:
        """Shows that a frame is done."""
        self._bars.start()
        self._times.append(time.perf_counter())
        state = [f"frame {result.frame.index + 1}"]
        if len(self._times) > 1:
            state.append(f"{(len(self._times) - 1) / max(self._times[-1] - self._times[0], 1e-9):.1f} frames/s")
        if result.dropped:
            state.append(f"{result.dropped} dropped")
        if tells_each():
            say(f"frame {result.frame.index}, {result.frame.seconds:.2f} s: {count(len(result.instances), 'instance')}")
        self._bars.update(self._task, total=video.duration, completed=result.frame.seconds, state=", ".join(state))


def _close(report: "VideoSummary") -> None:
    """Tells what was done in all, and where to look."""
    found = _by_class(report.per_class)
    parts = [
        count(report.frames, "frame") + (f" ({report.dropped} dropped)" if report.dropped else ""),
        count(report.instances, "instance") + (f" ({found})" if found else ""),
        f"{report.fps:.1f} frames/s (the network alone {report.network_fps:.1f})",
    ]
    if report.tracks is not None:
        divided = "" if report.divisions is None else f" ({count(report.divisions, 'division')})"
        parts.insert(2, count(report.tracks, "track") + divided)
    if report.broken:
        parts.insert(1, f"{count(report.broken, 'broken packet')}")
    for zone in report.zones:
        say(_counted(zone))
    files = ", ".join(map(str, report.files.values()))
    say(", ".join(parts) + (f"; look at {files}" if files else ""), style="bold")


def _counted(zone: dict[str, Any]) -> str:
    """What one zone has counted.

    Example:
        >>> _counted({"zone": "gate", "kind": "line", "in": {"cell": 2, "debris": 1}, "out": {}})
        'gate: in 3 (cell 2, debris 1), out 0'
    """
    counts = []
    for key in ("in", "out", "now", "total"):
        if isinstance(number := zone.get(key), dict):
            counts.append(f"{key} {sum(number.values())}" + (f" ({_by_class(number)})" if number else ""))
        elif number is not None:
            counts.append(f"{key} {number}")
    return f"{zone['zone']}: {', '.join(counts)}"


def _by_class(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in numbers.items())
