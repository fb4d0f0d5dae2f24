"""Video files: H.264 with the exact times of the source, and its sound."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sparseinst.data.video.decoding import load_av, matrix_of
from sparseinst.data.video.frame import VideoSource
from sparseinst.errors import InputError
from sparseinst.files import kept
from sparseinst.video.sound import Sound

_LOG = logging.getLogger(__name__)

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
"""Files that hold H.264 with times of any kind."""

_ENCODERS = {
    "libx264": {"preset": "superfast", "crf": "20", "bf": "0"},
    "mpeg4": {"qmin": "3", "qmax": "5"},
}
"""Encoder -> its options, best first; MPEG-4 part 2 for builds of PyAV without x264.

x264 at this preset takes a quarter of the processor time of its default, for files a seventh larger.

Without B-frames, as .mp4 sums durations in the order of decoding, and at a changing rate would end too early with them.
"""
_FINEST_MPEG4 = 65535
"""MPEG-4 part 2 counts time in parts of a second of at most this number."""
_COARSER = Fraction(1, 60000)
_TAGS = {1: 1, 5: 6}
"""Matrix as for swscale -> how the file calls it and the colours that go with it."""
_TV_RANGE = 1
_FRAGMENT_US = "1000000"
_KNOWS_HYBRID = (61, 7, 0)
"""Version of libavformat from which on fragments become an ordinary file at the end (FFmpeg 7.1)."""


def check_video_name(path: Path) -> None:
    """Checks that a file can hold what is written.

    Raises:
        InputError: another suffix.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: expected a video ending in {', '.join(SUFFIXES)}: rename it")


@contextmanager
def write_video(path: str | Path, video: VideoSource) -> Iterator["VideoWriter"]:
    """A writer of pictures that belong to the frames of a video: under the name `kept` gives until all went well.

    The file plays at any time, up to its last second or two: what is written of an .mp4 or .mov is in fragments, which
    become one ordinary file at the end.

    Args:
        path: the file, .mp4, .m4v, .mov or .mkv.
        video: gives times, the shape of pixels, and sound.

    Raises:
        InputError: another suffix, a folder that is not there, or no picture was written.

    Example:
        `with closing(open_video("in.mp4")) as video, write_video("out.mp4", video) as writer:`, then for each frame
        `writer.write(255 - frame.image, frame.time)`.
    """
    path = Path(path)
    check_video_name(path)
    av = load_av()
    with kept(path) as unfinished:
        try:
            unfinished.touch()
        except OSError as error:
            raise InputError(f"{path}: expected a file that can be written ({error}): choose another place") from error
        container = av.open(str(unfinished), "w", container_options=_lasting(path.suffix.lower()))
        writer = VideoWriter(path, video, container)
        try:
            yield writer
            writer.finish()
            container.close()
        except BaseException:
            with suppress(av.error.FFmpegError):  # no room, say, which is what was raised
                writer.end()
                container.close()
            raise
        finally:
            writer.close()


def _lasting(suffix: str) -> dict[str, str]:
    """Options of a file that plays at any time until it is done."""
    options = {"flush_packets": "1", "max_interleave_delta": _FRAGMENT_US}
    if suffix == ".mkv":
        return options | {"cluster_time_limit": "1000"}
    if load_av().library_versions["libavformat"] < _KNOWS_HYBRID:
        return options
    return options | {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": _FRAGMENT_US}


class VideoWriter:
    """Writes pictures as a video; made by `write_video`.

    The size is that of the first picture, made even (H.264 stores colours at half the size); a later one of another
    size is fitted in.

    Attributes:
        encoder: the one in use, from the first picture on.
    """

    def __init__(self, path: Path, video: VideoSource, container: Any) -> None:
        self._path, self._video, self._container = path, video, container
        self._av = load_av()
        self._stream: Any = None
        self._sound: Sound | None = None
        self._time_base = video.time_base
        self._last = -1
        self._goes_on = False
        self.encoder = ""

    def write(self, picture: NDArray[np.uint8], time: Fraction) -> None:
        """Adds an (H, W, 3) uint8 RGB picture, shown at this time (exact seconds from the start of the video)."""
        if self._stream is None:
            self._begin(picture)
        frame = self._av.VideoFrame.from_ndarray(self._fitted(picture), "rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=self._matrix, threads=1)
        # Files with two frames at one time exist; no format takes them so.
        self._last = max(self._last + 1, round(time / self._time_base))
        frame.pts, frame.time_base = self._last, self._time_base
        frame.duration = max(1, round(1 / (self._video.rate * self._time_base)))
        if self._sound is not None:
            self._sound.until(time)
        self._container.mux(self._stream.encode(frame))

    def stop_here(self) -> None:
        """The source goes on, but no more of it is wanted: its sound ends with the last picture."""
        self._goes_on = True

    def finish(self) -> None:
        """Writes what the encoder still holds, and the rest of the sound.

        Raises:
            InputError: there was no picture.
        """
        if self._stream is None:
            raise InputError(f"{self._path}: expected a video with frames, got none of {self._video.name}: check it")
        self.end()
        if self._sound is not None:
            self._sound.until((self._last + 1) * self._time_base if self._goes_on else None)

    def end(self) -> None:
        """Writes what the encoder still holds."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))

    def close(self) -> None:
        """Lets go of the file that the sound came from."""
        if self._sound is not None:
            self._sound.close()

    def _begin(self, picture: NDArray[np.uint8]) -> None:
        """Sets the file up for pictures of this size."""
        height, width = (side + side % 2 for side in picture.shape[:2])
        self.encoder = next(name for name in _ENCODERS if name in self._av.codecs_available)
        if self.encoder == "mpeg4":
            _LOG.warning("%s: this PyAV has no x264: written as MPEG-4 part 2, larger and less sharp", self._path)
            if self._time_base.denominator > _FINEST_MPEG4:
                self._time_base = _COARSER
        self._stream = self._container.add_stream(self.encoder, rate=self._video.rate, options=_ENCODERS[self.encoder])
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        context, self._matrix = self._stream.codec_context, matrix_of(height)
        context.time_base = self._time_base
        context.color_range = _TV_RANGE
        context.colorspace = context.color_primaries = context.color_trc = _TAGS[self._matrix]
        if self._video.aspect is not None:
            context.sample_aspect_ratio = self._video.aspect
        if self._video.sound is not None:
            self._sound = Sound(self._video, self._container)

    def _fitted(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture at the size of the file: a row or column doubled, or, where that is not enough, fitted in."""
        height, width = self._stream.height, self._stream.width
        rows, columns = height - picture.shape[0], width - picture.shape[1]
        if not rows and not columns:
            return picture
        border = cv2.BORDER_REPLICATE
        if rows not in (0, 1) or columns not in (0, 1):
            scale = min(height / picture.shape[0], width / picture.shape[1])
            size_wh = (max(1, int(picture.shape[1] * scale)), max(1, int(picture.shape[0] * scale)))
            picture = np.asarray(cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
            rows, columns, border = height - picture.shape[0], width - picture.shape[1], cv2.BORDER_CONSTANT
        top, left = rows // 2, columns // 2
        return np.asarray(cv2.copyMakeBorder(picture, top, rows - top, left, columns - left, border), np.uint8)
