"""Lines between objects that were one until a moment ago."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sparseinst.structures import Instances
from sparseinst.video.association import Outline

_Image = NDArray[np.uint8]


class Bonds:
    """The divisions of late, each as a line from one daughter to the other.

    Args:
        length: frames for which a line is drawn.
    """

    def __init__(self, length: int = 10) -> None:
        self._length, self._frame = length, 0
        self._since: dict[int, int] = {}  # the frame in which the daughters of a track were first seen
        self._places: dict[int, list[NDArray[np.float64]]] = {}  # of these, in this frame

    def update(self, instances: Instances, parents: NDArray[np.int64]) -> None:
        """Adds a frame; parents (n,) are the tracks from whose division its instances came, 0 for none."""
        self._frame, self._places = self._frame + 1, {}
        first = [self._since.setdefault(mother, self._frame) for mother in parents.tolist()]
        late = (parents > 0) & (self._frame - np.array(first, np.int64) < self._length)
        for mother, outline in zip(parents[late].tolist(), Outline.of(instances[late]), strict=True):
            self._places.setdefault(mother, []).append(outline.centre)

    def draw(self, picture: _Image) -> _Image:
        """(H, W, 3) uint8 RGB with the lines, white on black; the picture itself is left as it is."""
        scene = picture.copy()
        thick = max(1, round(min(scene.shape[:2]) / 480))
        for places in self._places.values():
            points = [tuple(np.rint(centre).astype(int).tolist()) for centre in places]
            for width, color in ((3 * thick, (0, 0, 0)), (thick, (255, 255, 255))):
                if len(points) == 2:
                    cv2.line(scene, points[0], points[1], color, width, cv2.LINE_AA)
                for point in points:
                    cv2.circle(scene, point, thick + width, color, -1, cv2.LINE_AA)
        return scene
