"""Where objects came from, drawn as lines that fade."""

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from sparseinst.drawing.palette import color_of
from sparseinst.structures import Instances
from sparseinst.video.association import Outline

_Image = NDArray[np.uint8]


class Trails:
    """The last places of each object.

    Args:
        length: frames that a trail goes back.
    """

    def __init__(self, length: int = 30) -> None:
        self._length, self._frame = length, 0
        self._places: dict[int, deque[tuple[int, NDArray[np.float64]]]] = {}

    def update(self, instances: Instances, ids: NDArray[np.int64], parents: NDArray[np.int64] | None = None) -> None:
        """Adds the centres of the masks of a frame; ids (n,) and parents (n,), 0 is none: trails fork at divisions."""
        self._frame += 1
        known = ids > 0
        origins = np.zeros_like(ids) if parents is None else parents
        for track, origin, outline in zip(
            ids[known].tolist(), origins[known].tolist(), Outline.of(instances[known]), strict=True
        ):
            if track not in self._places:
                self._places[track] = deque(list(self._places.get(origin, ()))[-1:])
            self._places[track].append((self._frame, outline.centre))
        for track, places in list(self._places.items()):
            while places and places[0][0] <= self._frame - self._length:
                places.popleft()
            if not places:
                del self._places[track]

    def draw(self, picture: _Image) -> _Image:
        """(H, W, 3) uint8 RGB with the trails, older parts thinner; the picture itself is left as it is."""
        scene = picture.copy()
        thick = max(2, round(min(scene.shape[:2]) / 320))
        for track, places in self._places.items():
            points = [tuple(np.rint(centre).astype(int).tolist()) for _, centre in places]
            ages = [self._frame - frame for frame, _ in places]
            for start, end, age in zip(points, points[1:], ages, strict=False):
                width = max(1, round(thick * (1 - age / self._length)))
                cv2.line(scene, start, end, color_of(track), width, cv2.LINE_AA)
        return scene
