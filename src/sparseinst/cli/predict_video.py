"""`sparseinst predict` on a video."""

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self, Unpack
from urllib.parse import urlsplit

import typer

from sparseinst.cli.common import console, count, output_file, say, say_error, tells_each
from sparseinst.errors import InputError

if TYPE_CHECKING:
    from sparseinst.data.video.frame import VideoSource
    from sparseinst.inference.options import PipelineOptions
    from sparseinst.runtime.backends import Backend
    from sparseinst.video.outcome import VideoResult, VideoSummary

_PANEL = "Video"
_RECENT = 50
"""Frames whose times say how fast it goes."""

Save = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", rich_help_panel=_PANEL,
        help="Video to write (.mp4, .m4v, .mov, .mkv); without it, STEM_overlay.mp4 in --out. Makes a folder a video.",
    ),
]  # fmt: skip
Draw = Annotated[
    bool, typer.Option("--draw/--no-draw", rich_help_panel=_PANEL, help="Write the video with what was found drawn.")
]
Show = Annotated[
    bool, typer.Option("--show", rich_help_panel=_PANEL, help="Show it in a window meanwhile; q or Esc ends the run.")
]
Skip = Annotated[
    bool,
    typer.Option(
        "--skip", rich_help_panel=_PANEL,
        help="Drop what comes while the network is busy, but for the newest; a file then runs at its own pace.",
    ),
]  # fmt: skip
Track = Annotated[
    bool, typer.Option("--track", rich_help_panel=_PANEL, help="Follow objects: each keeps its number and colour.")
]
Algorithm = Annotated[
    str | None,
    typer.Option("--tracker", metavar="NAME", rich_help_panel=_PANEL, help="How to follow them; without it, mask."),
]
Divisions = Annotated[
    bool,
    typer.Option(
        "--divisions", rich_help_panel=_PANEL,
        help="Follow cells through their divisions: the track ends, two new ones name it as their parent.",
    ),
]  # fmt: skip
Trails = Annotated[
    bool, typer.Option("--trails/--no-trails", rich_help_panel=_PANEL, help="Draw where a followed object has been.")
]
Zones = Annotated[
    list[str] | None,
    typer.Option(
        "--zone", metavar="ZONE", rich_help_panel=_PANEL,
        help="Count followed objects over line:x0,y0,x1,y1 or in polygon:x0,y0,x1,y1,...; may be given again.",
    ),
]  # fmt: skip
SaveMot = Annotated[
    bool, typer.Option("--save-mot", rich_help_panel=_PANEL, help="Write STEM_mot.txt: tracks as in MOTChallenge.")
]
Fps = Annotated[
    float, typer.Option("--fps", min=0.001, max=1000, rich_help_panel=_PANEL, help="Of images in a row.")
]  # fmt: skip


class VideoOptions(NamedTuple):
    """What a command was told about video."""

    save: Path | None
    draw: bool
    show: bool
    skip: bool
    fps: float
    track: bool
    tracker: str | None
    divisions: bool
    trails: bool
    zones: Sequence[str]
    save_mot: bool

    @property
    def ask_for_video(self) -> bool:
        """Whether they make even a folder of images a video."""
        return bool(self.save or self.show or self.skip or self.tracks or self.save_mot)

    @property
    def tracks(self) -> bool:
        """Whether objects are to be followed."""
        return bool(self.track or self.tracker or self.divisions or self.zones or self.save_mot)

    @property
    def algorithm(self) -> str | None:
        """By what, if so."""
        from sparseinst.video.tracking import MASK

        return (self.tracker or MASK) if self.tracks else None

    def check(self, *, iam: bool, recursive: bool) -> None:
        """Checks what can be known without a video.

        Raises:
            InputError: something that videos do not have, no such tracker or zone, or no video file.
        """
        from sparseinst.video.tracking import Tracker
        from sparseinst.video.writer import check_video_name
        from sparseinst.video.zones import parse_zone

        if iam:
            raise InputError("iam: expected images, got a video: take single frames for their activation maps")
        if recursive:
            raise InputError("recursive: expected images, got a video: name one folder, or a pattern with **")
        if self.algorithm is not None:
            Tracker(algorithm=self.algorithm, divisions=self.divisions)
        for zone in self.zones:
            parse_zone(zone)
        if self.save is not None:
            check_video_name(self.save)


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
    return path.resolve().stem or (urlsplit(source).hostname if "://" in source else None) or "video"


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
