"""Tracks as label images, in the form of the Cell Tracking Challenge."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseinst.errors import InputError
from sparseinst.files import atomic_folder
from sparseinst.inference.writers import label_image, write_image
from sparseinst.structures import Instances

TRACKS_NAME = "res_track.txt"
_LARGEST = 60_000
"""Of 16 bits some are left: py-ctcmetrics, for one, adds to them the largest annotated value within 16 bits."""


@contextmanager
def write_ctc(folder: Path) -> Iterator["CtcWriter"]:
    """A folder with an image mask000.tif a frame, whose 16-bit values are track ids, and res_track.txt.

    That file has a line "id first last parent" a track: its frames, from 0, all of which have pixels, and the track
    from whose division it came, or 0.
    An object that was out of sight for a while continues, as the form asks, under a new number (from 60000 down) whose
    parent is the one it had before. The folder has its name once all went well.

    Raises:
        InputError: the folder is there already.
    """
    with atomic_folder(folder) as temporary:
        writer = CtcWriter(temporary)
        yield writer
        writer.finish()


class _Span(NamedTuple):
    """Frames in a row in which a number has pixels."""

    first: int
    last: int
    parent: int


class CtcWriter:
    """Writes the label image of each frame; made by `write_ctc`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spans: dict[int, _Span] = {}
        self._numbers: dict[int, int] = {}  # of each id, where it is not the id itself
        self._free, self._highest = _LARGEST, 0

    def add(
        self,
        frame_index: int,
        instances: Instances,
        ids: NDArray[np.int64],
        parents: NDArray[np.int64] | None = None,
    ) -> None:
        """Writes the tracked instances of a frame.

        Args:
            frame_index: from 0.
            instances: of that frame; where masks overlap, the higher score is on top.
            ids: (n,), 0 is none and left out.
            parents: (n,) ids of the tracks from whose division they came, 0 for none; None where nothing divides.

        Raises:
            InputError: more ids and interruptions than 16 bits hold.
        """
        known = ids > 0
        shown = label_image(instances[known])
        values = np.zeros(np.count_nonzero(known) + 1, np.uint16)
        origins = np.zeros_like(ids) if parents is None else parents
        for place in np.unique(shown[shown > 0]).tolist():  # what others hide has no pixel
            track, origin = int(ids[known][place - 1]), int(origins[known][place - 1])
            values[place] = self._number(track, frame_index, origin)
        write_image(self._folder / f"mask{frame_index:03d}.tif", values[shown])

    def _number(self, track: int, frame_index: int, origin: int) -> int:
        """The number of a track in a frame; `origin` is the track that it came from."""
        number, parent = self._numbers.get(track, track), self._numbers.get(origin, origin)
        new = _Span(frame_index, frame_index, parent if parent in self._spans else 0)  # or it never had a pixel
        span = self._spans.get(number, new)
        if span.last < frame_index - 1:
            span = _Span(frame_index, frame_index, number)
            number = self._numbers[track] = self._free
            self._free -= 1
        self._highest = max(self._highest, track)
        if self._highest > self._free:
            raise InputError(
                f"label images: expected up to {_LARGEST} tracks and interruptions, got more: write MOT or JSON instead"
            )
        self._spans[number] = span._replace(last=frame_index)
        return number

    def finish(self) -> None:
        """Writes the tracks."""
        lines = [f"{number} {span.first} {span.last} {span.parent}\n" for number, span in sorted(self._spans.items())]
        (self._folder / TRACKS_NAME).write_text("".join(lines), encoding="utf-8")
