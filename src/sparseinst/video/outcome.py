"""What a run over a video tells."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.video.frame import VideoFrame
from sparseinst.structures import Instances


class VideoResult(NamedTuple):
    """What became of one frame."""

    frame: VideoFrame
    instances: Instances
    ids: NDArray[np.int64] | None = None
    """(n,) track ids from 1, 0 where none is confirmed; None without tracking."""
    parents: NDArray[np.int64] | None = None
    """(n,) ids of the tracks from whose division these came, 0 for none; None where nothing divides."""
    picture: NDArray[np.uint8] | None = None
    """(H, W, 3) uint8 RGB, where one is drawn."""
    dropped: int = 0
    """Frames left out so far because newer ones had come."""


@dataclass(frozen=True)
class VideoSummary:
    """What a whole run did.

    Args:
        frames: frames that went through the network.
        dropped: frames left out because newer ones had come.
        broken: packets of the source that could not be decoded.
        instances: instances found, summed over the frames.
        per_class: of each class that was found, most first.
        tracks: objects followed; None without tracking.
        divisions: of these, those that became two; None where nothing divides.
        zones: counts of the zones (see `ZoneCounter.counts`).
        seconds: wall time, loading the network not counted.
        network_seconds: of these, the time that the network and the making of its masks were busy.
        files: what was written, by kind: "video", "json", "mot", "masks".
    """

    frames: int
    dropped: int
    broken: int
    instances: int
    per_class: dict[str, int]
    tracks: int | None
    divisions: int | None
    zones: list[dict[str, Any]]
    seconds: float
    network_seconds: float
    files: dict[str, Path]

    @property
    def fps(self) -> float:
        """Frames a second of the whole."""
        return self.frames / max(self.seconds, 1e-9)

    @property
    def network_fps(self) -> float:
        """Frames a second of the network alone."""
        return self.frames / max(self.network_seconds, 1e-9)
