"""Frames of files, cameras and network streams, by PyAV."""

import errno
import logging
import sys
from collections.abc import Iterator
from fractions import Fraction
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sparseinst.data.video.frame import VideoFrame
from sparseinst.errors import InputError

_LOG = logging.getLogger(__name__)

_CAMERAS = {"linux": "v4l2", "darwin": "avfoundation"}
"""Platform -> how PyAV reads a camera there."""
_TIMEOUT_S = 10.0
_RTSP = {"rtsp_transport": "tcp", "probesize": "32"}
"""Options of a camera on the network: nothing is lost on the way, and opening it does not wait for many pictures."""
_UNSPECIFIED, _BT709, _BT601 = 2, 1, 5
"""Matrices between RGB and what video stores, as FFmpeg numbers them."""
_HD_PX = 720
"""Videos that do not say which matrix they use have, by convention, BT.709 from this height on, else BT.601."""
_TURNS = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE, -90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, -180: cv2.ROTATE_180,
}  # fmt: skip
_DEFAULT_RATE = Fraction(25)


def load_av() -> ModuleType:
    """PyAV.

    Raises:
        InputError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise InputError(
            f"expected PyAV for video, found none ({error}): install it with `pip install 'sparseinst[video]'`"
        ) from error
    module: ModuleType = av
    return module


def matrix_of(height: int) -> int:
    """The matrix of a video of this height that names none."""
    return _BT709 if height >= _HD_PX else _BT601


class DecodedVideo:
    """A `VideoSource` that PyAV reads. What cannot be decoded is left out, counted, and warned of once.

    Args:
        url: a file, a URL, or a camera's device.
        camera: whether it is a camera.
        remote: whether it is a URL.
        name: what the user calls it.

    Raises:
        InputError: it cannot be opened, or has no video that can be decoded.
    """

    def __init__(self, url: str, *, camera: bool, remote: bool, name: str) -> None:
        self._av = load_av()
        self.name, self.broken = name, 0
        self._container = self._open(url, camera=camera, remote=remote)
        try:
            self._stream = self._video_stream()
        except InputError:
            self._container.close()
            raise
        microseconds = self._container.duration
        self.live = camera or (remote and not microseconds)
        self.duration = None if self.live or not microseconds else microseconds / self._av.time_base
        # Decoding several frames at once costs a camera's viewer as many frames of delay.
        self._stream.thread_type = "SLICE" if self.live else "AUTO"
        self.rate = self._stream.average_rate or self._stream.guessed_rate or _DEFAULT_RATE
        self.time_base = self._stream.time_base or 1 / self.rate
        aspect = self._stream.sample_aspect_ratio
        self.aspect: Fraction | None = None if aspect in (None, 0, 1) else aspect
        self.sound = None if self.live or self._container.streams.best("audio") is None else url
        self.start = self._start()

    def __iter__(self) -> Iterator[VideoFrame]:
        """The frames, once."""
        first = next_time = None
        for index, frame in enumerate(self._frames()):
            time = next_time if frame.pts is None else frame.pts * Fraction(frame.time_base)
            time = self.start if time is None else time
            next_time = time + 1 / self.rate
            if first is None:
                first = time if self.live else self.start  # a camera's clock starts anywhere
            image, turned = self._upright(frame)
            if turned and index == 0 and self.aspect is not None:
                self.aspect = 1 / self.aspect
            yield VideoFrame(image, index, time - first)

    def close(self) -> None:
        """Lets go of file, connection or camera."""
        self._container.close()

    def _frames(self) -> Iterator[Any]:
        """What can be decoded of all packets."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (self._av.error.FFmpegError, OSError, ValueError) as error:
                self._break(f"the rest of it cannot be read ({error})")
                return
            try:
                frames = packet.decode()
            except (self._av.error.FFmpegError, OSError, ValueError) as error:
                self._break(f"a packet cannot be decoded ({error}): it and others like it are left out")
                continue
            if packet.is_corrupt:
                self._break("a packet is damaged: it and others like it are shown as well as can be")
            yield from frames

    def _break(self, what: str) -> None:
        if not self.broken:
            _LOG.warning("%s: %s", self.name, what, extra={"left_out": True})
        self.broken += 1

    def _upright(self, frame: Any) -> tuple[NDArray[np.uint8], bool]:
        """(H, W, 3) uint8 RGB, and whether height and width have changed places."""
        matrix = matrix_of(frame.height) if frame.colorspace == _UNSPECIFIED else None
        image = frame.to_ndarray(format="rgb24", src_colorspace=matrix, threads=1)
        angle = round(frame.rotation / 90) * 90
        return (cv2.rotate(image, _TURNS[angle]), angle in (90, -90)) if angle in _TURNS else (image, False)

    def _start(self) -> Fraction:
        """When the file starts, on its own clock: a whole multiple of the time base."""
        microseconds = self._container.start_time
        ticks = 0 if microseconds is None else round(Fraction(microseconds, self._av.time_base) / self.time_base)
        return ticks * self.time_base

    def _open(self, url: str, *, camera: bool, remote: bool) -> Any:
        options = _RTSP if url.startswith("rtsp") else {}
        try:
            return self._av.open(
                url, format=self._camera_format() if camera else None, options=options,
                timeout=_TIMEOUT_S if remote else None,
            )  # fmt: skip
        except (self._av.error.FFmpegError, OSError, ValueError) as error:
            raise InputError(
                f"{self.name}: {_why(error, camera=camera, remote=remote)} "
                f"({getattr(error, 'strerror', None) or error})"  # the rest of the message may have a password in it
            ) from error

    def _camera_format(self) -> str:
        known = {name for names in self._av.formats_available for name in names.split(",")}
        name = _CAMERAS.get(sys.platform)
        if name is None or name not in known:
            raise InputError(
                f"{self.name}: expected a camera that PyAV can read here ({sys.platform}), got a PyAV without: "
                "give a file or the URL of a stream"
            )
        return name

    def _video_stream(self) -> Any:
        stream = self._container.streams.best("video")
        if stream is None or stream.disposition & self._av.stream.Disposition.attached_pic:
            raise InputError(f"{self.name}: expected a video, found a file without pictures: give another file")
        if stream.codec_context is None:
            raise InputError(
                f"{self.name}: expected a video that this PyAV can decode, got one of an unknown codec: convert it to "
                "H.264"
            )
        return stream


def _why(error: Exception, *, camera: bool, remote: bool) -> str:
    """What is wrong, and what to do."""
    number = getattr(error, "errno", None)
    if camera:
        if number == errno.EBUSY:
            return "expected a free camera, but another program uses it: close that first"
        if number == errno.EACCES:
            return "expected a camera that may be used, got no permission: on Linux join the group video"
        return "expected a camera, found none: check its number and its plug"
    if remote:
        return "expected a stream that answers, got none: check the address, and that it plays elsewhere"
    return "expected a video file, could not open it: check it, or convert it to H.264"
