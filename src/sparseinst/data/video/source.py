"""What a source means when it is a video: a file, a camera, a stream, or images in a row."""

import sys
from collections.abc import Iterable, Sized
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from numpy.typing import NDArray

from sparseinst.config.preprocess import IntensityConfig
from sparseinst.data.images import to_rgb8
from sparseinst.data.sources import IMAGE_SUFFIXES
from sparseinst.data.video.decoding import DecodedVideo
from sparseinst.data.video.frame import VideoSource
from sparseinst.data.video.image_sequence import ImageFrames, is_pattern, open_images
from sparseinst.errors import InputError, shown
from sparseinst.files import is_file, is_folder

VIDEO_SUFFIXES = frozenset({
    ".264", ".265", ".3gp", ".avi", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mkv", ".mov",
    ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
})  # fmt: skip
"""Suffixes (in lower case) of files that are videos without being told so."""

_SCHEMES = ("http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp")
_DEVICE = "/dev/video"
Source = str | Path | int | Iterable[NDArray[Any]]
"""A file, a camera's number, the URL of a stream, images in a row, or arrays."""

RATE = 25.0
"""Frames a second of images in a row, unless said otherwise."""


def is_video(source: str | Path) -> bool:
    """Whether a source is a video by its looks: a video file, a camera, the URL of a stream, or a printf pattern.

    A folder, a glob or a list of images is not, and neither is an animated GIF or a file of several pages:
    `open_video` takes them all the same.

    Example:
        >>> [is_video(source) for source in ("clip.MP4", "rtsp://host/door", "frames/%04d.png", "cells.png", "scans")]
        [True, True, True, False, False]
    """
    text, path = str(source), Path(source)
    if is_folder(path) or (is_file(path) and path.suffix.lower() in IMAGE_SUFFIXES):
        return False
    return path.suffix.lower() in VIDEO_SUFFIXES or _is_remote(text) or _is_camera(text) or is_pattern(text)


def open_video(source: Source, *, fps: float = RATE, intensity: IntensityConfig | None = None) -> VideoSource:
    """Opens a video; close it after use (`contextlib.closing`).

    Args:
        source: a video file; a camera (0, or /dev/video0); the URL of a stream (rtsp://, http://, ...); images in a
            row: a folder, a glob, a list file, a printf pattern (frames/%04d.png), a TIFF of several pages; or arrays
            as `Predictor` takes them.
        fps: frames a second of images in a row; what brings its own time ignores it.
        intensity: what to do with images of more than 8 bits; None is the default policy.

    Raises:
        InputError: there is no such video, it cannot be read, or fps is no rate.
    """
    if not 0 < fps <= 1000:
        raise InputError(f"fps must be above 0 and at most 1000, got {fps}: give frames a second")
    rate = Fraction(fps).limit_denominator(1001)
    policy = IntensityConfig() if intensity is None else intensity
    if not isinstance(source, str | Path | int):
        length = len(source) if isinstance(source, Sized) else None
        return ImageFrames(source, name="images", length=length, rate=rate, read=partial(to_rgb8, intensity=policy))
    text, path = str(source), Path(str(source))
    if is_file(path) and path.suffix.lower() not in (IMAGE_SUFFIXES - {".apng", ".gif"}) | {".txt"}:
        return DecodedVideo(str(path), camera=False, remote=False, name=text)
    if is_folder(path) or is_file(path):
        return open_images(text, rate=rate, intensity=policy)
    if _is_camera(text):
        return DecodedVideo(_device(text), camera=True, remote=False, name=f"camera {text}")
    if _is_remote(text):
        return DecodedVideo(text, camera=False, remote=True, name=_without_password(text))
    if path.suffix.lower() in VIDEO_SUFFIXES:
        raise InputError(f"{shown(text)}: expected a video file, found none: check the path")
    return open_images(text, rate=rate, intensity=policy)


def _is_remote(source: str) -> bool:
    scheme, separator, _ = source.partition("://")
    return bool(separator) and scheme.lower() in _SCHEMES


def _is_camera(source: str) -> bool:
    return (source.isdecimal() and not (is_file(source) or is_folder(source))) or source.startswith(_DEVICE)


def _device(source: str) -> str:
    return f"{_DEVICE}{source}" if source.isdecimal() and sys.platform == "linux" else source


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
