"""Tracks as label images, in the form of the Cell Tracking Challenge."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparseinst.errors import InputError
from sparseinst.files import atomic_folder
from sparseinst.inference.writers import label_image, write_image
from sparseinst.structures import Instances

TRACKS_NAME = "res_track.txt"
_LARGEST = 2**16 - 1


@contextmanager
def write_ctc(folder: Path) -> Iterator["CtcWriter"]:
    """A folder with an image mask000.tif a frame, whose 16-bit values are track ids, and res_track.txt.

    That file has a line "id first last 0" a track: its frames, from 0, and no parent. A track that was lost for a while
    has no pixel in the frames between. The folder has its name once all went well.

    Raises:
        InputError: the folder is there already.
    """
    with atomic_folder(folder) as temporary:
        writer = CtcWriter(temporary)
        yield writer
        writer.finish()


class CtcWriter:
    """Writes the label image of each frame; made by `write_ctc`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spans: dict[int, tuple[int, int]] = {}

    def add(self, frame_index: int, instances: Instances, ids: NDArray[np.int64]) -> None:
        """Writes the tracked instances of a frame.

        Args:
            frame_index: from 0.
            instances: of that frame; where masks overlap, the higher score is on top.
            ids: (n,), 0 is none and left out.

        Raises:
            InputError: an id that 16 bits do not hold.
        """
        if ids.max(initial=0) > _LARGEST:
            raise InputError(f"label images: expected up to {_LARGEST} tracks, got more: write MOT or JSON instead")
        known = ids > 0
        values = np.concatenate([[0], ids[known]]).astype(np.uint16)
        write_image(self._folder / f"mask{frame_index:03d}.tif", values[label_image(instances[known])])
        for track in ids[known].tolist():
            self._spans[track] = self._spans.get(track, (frame_index, 0))[0], frame_index

    def finish(self) -> None:
        """Writes the tracks."""
        lines = [f"{track} {first} {last} 0\n" for track, (first, last) in sorted(self._spans.items())]
        (self._folder / TRACKS_NAME).write_text("".join(lines), encoding="utf-8")
