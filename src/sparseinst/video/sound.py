"""The sound of a video, from its file into another."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from sparseinst.data.video.decoding import load_av
from sparseinst.data.video.frame import VideoSource

_LOG = logging.getLogger(__name__)

_CODEC = "aac"
"""For sound that the new file's format cannot hold as it is."""
_LAYOUTS = {1: "mono", 2: "stereo"}
"""By channels, for files that do not say where the speakers stand."""


class Sound:
    """Sound on its way from a video's file into another: as it is where that file's format allows, else as AAC.

    It is read from the file a second time, side by side with the pictures, so that no more than a moment of it is held.

    Args:
        video: where it comes from.
        output: PyAV's container that it goes to, nothing written yet.
    """

    def __init__(self, video: VideoSource, output: Any) -> None:
        self._av = load_av()
        self._output, self._start, self._name = output, video.start, video.name
        self._container = self._av.open(video.sound)
        self._source = self._container.streams.best("audio")
        for stream in self._container.streams:
            if stream is not self._source:
                stream.discard = self._av.stream.Discard.all  # pictures need not be read again
        self._copied = self._source.codec_context is not None and self._fits()
        self._packets = self._read()
        self._next = next(self._packets, None)

    def until(self, time: Fraction | None) -> None:
        """Writes the sound that begins before this time (in seconds from the start of the video), or all there is."""
        while self._next is not None and (time is None or self._next.pts * self._next.time_base < time):
            self._output.mux(self._next)
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Lets go of the file."""
        self._container.close()

    def _fits(self) -> bool:
        try:
            self._sink = self._output.add_stream_from_template(self._source)
        except ValueError:
            layout = _LAYOUTS.get(self._source.layout.nb_channels, self._source.layout)
            self._sink = self._output.add_stream(_CODEC, rate=self._source.rate, layout=layout)
            return False
        return True

    def _read(self) -> Iterator[Any]:
        """Packets for the output, on the clock of the pictures."""
        try:
            yield from self._copies() if self._copied else self._encoded()
        except self._av.error.FFmpegError as error:
            _LOG.warning("%s: the sound ends early: %s", self._name, error, extra={"left_out": True})

    def _copies(self) -> Iterator[Any]:
        for packet in self._container.demux(self._source):
            if packet.dts is None:  # the end
                continue
            shift = round(self._start / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = self._sink
            yield packet

    def _encoded(self) -> Iterator[Any]:
        for frame in self._container.decode(self._source):
            frame.pts -= round(self._start / frame.time_base)
            yield from self._sink.encode(frame)
        yield from self._sink.encode(None)
