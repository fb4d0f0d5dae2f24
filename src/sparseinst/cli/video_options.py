"""Options of `sparseinst predict` on a video."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from sparseinst.errors import InputError

_PANEL = "Video"

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
