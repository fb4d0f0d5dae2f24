"""What a video is made of, wherever it comes from."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)  # arrays have no truth value to compare by
class VideoFrame:
    """One picture of a video.

    Args:
        image: (H, W, 3) uint8 RGB, upright: a rotation that the file asks for is applied.
        index: its number in the video, from 0; where frames are dropped, numbers are left out.
        time: exact seconds from the start of the video to its presentation.
    """

    image: NDArray[np.uint8]
    index: int
    time: Fraction

    @property
    def seconds(self) -> float:
        """Seconds from the start of the video to its presentation."""
        return float(self.time)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]


class VideoSource(Protocol):
    """A video that is open: its frames, once, in order of presentation."""

    name: str
    """What the user calls it."""
    live: bool
    """Whether frames come at their own pace, and are lost unless they are taken."""
    duration: float | None
    """Seconds that it lasts, as far as the file says; None where nobody knows."""
    rate: Fraction
    """Nominal frames a second."""
    time_base: Fraction
    """Seconds; every frame's time is a whole multiple of it."""
    aspect: Fraction | None
    """Width of a pixel over its height, where they differ."""
    sound: str | None
    """File or URL with the sound to this video, in the same time; None without."""
    start: Fraction
    """Seconds on the clock of that file at which the video starts."""
    broken: int
    """Packets that could not be decoded so far."""

    def __iter__(self) -> Iterator[VideoFrame]:
        """The frames."""

    def close(self) -> None:
        """Lets go of file, connection or camera."""
