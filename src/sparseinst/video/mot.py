"""Tracks as text, in the form of MOTChallenge."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from sparseinst.files import kept
from sparseinst.structures import Instances


@contextmanager
def write_mot(path: Path) -> Iterator["MotWriter"]:
    """A file of lines "frame,id,left,top,width,height,confidence,class,visibility", its name being that of `kept`.

    Frames, ids and classes count from 1, boxes are in pixels from 0; the visibility is not known (-1).
    """
    with kept(path) as unfinished, unfinished.open("w", buffering=1, encoding="utf-8", newline="\n") as file:
        yield MotWriter(file)


class MotWriter:
    """Writes the tracks of each frame; made by `write_mot`."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def add(self, frame_number: int, instances: Instances, ids: NDArray[np.int64]) -> None:
        """Writes the tracked instances of a frame.

        Args:
            frame_number: from 1.
            instances: of that frame.
            ids: (n,), 0 is none and left out.
        """
        for track, box, score, label in zip(
            ids.tolist(), instances.boxes, instances.scores, instances.labels, strict=True
        ):
            if track:
                x0, y0, x1, y1 = box.tolist()
                self._file.write(
                    f"{frame_number},{track},{x0:g},{y0:g},{x1 - x0:g},{y1 - y0:g},{score:.4f},{label + 1},-1\n"
                )
