"""A camera on the network, for tests: RTSP on this machine, H.264 within its connection."""

import base64
import re
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Semaphore, Thread
from types import TracebackType
from typing import Self

import av

_CLOCK, _FIRST = 90_000, 123_456
_LONG_S = 30
_SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=camera
c=IN IP4 0.0.0.0
t=0 0
a=control:*
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets}
a=control:track0
"""


class Camera(Thread):
    """Sends the pictures of a clip to everyone who asks, one after the other; then it hangs up.

    Args:
        clip: H.264 in .mp4, without B-frames.
        fps: pictures a second, by their times and as they are sent.
        silent: say nothing after the last picture, in place of hanging up.
        permits: acquired before each picture, whatever the time; it hangs up where it has waited for long.
    """

    def __init__(self, clip: Path, *, fps: float, silent: bool = False, permits: Semaphore | None = None) -> None:
        super().__init__(daemon=True)
        self.fps, self.silent, self.permits = fps, silent, permits
        with av.open(str(clip)) as container:
            stream = container.streams.video[0]
            self.sets = list(_sets(stream.codec_context.extradata))
            packets = [bytes(packet) for packet in container.demux(stream) if packet.dts is not None]
            self.pictures = [list(_parts(packet)) for packet in packets]
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rtsp://127.0.0.1:{self.listener.getsockname()[1]}/door"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.listener.close()

    def run(self) -> None:
        """Serves one viewer after the other."""
        while True:
            try:
                viewer, _ = self.listener.accept()
            except OSError:
                return
            with viewer:
                try:
                    self._serve(viewer)
                except (ConnectionError, TimeoutError):
                    continue

    def _serve(self, viewer: socket.socket) -> None:
        asked = b""
        while True:
            more = viewer.recv(4096)
            if not more:
                return
            asked += more
            while b"\r\n\r\n" in asked:
                request, _, asked = asked.partition(b"\r\n\r\n")
                method = request.split()[0].decode()
                viewer.sendall(self._answer(method, request.decode()))
                if method == "PLAY":
                    self._send(viewer)
                    if self.silent:
                        viewer.recv(1)  # until the viewer hangs up
                    return

    def _answer(self, method: str, request: str) -> bytes:
        number = re.search(r"CSeq: *(\d+)", request)
        assert number is not None
        head, body = f"RTSP/1.0 200 OK\r\nCSeq: {number[1]}\r\n", ""
        if method == "OPTIONS":
            head += "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        elif method == "DESCRIBE":
            sets = ",".join(base64.b64encode(one).decode() for one in self.sets)
            body = _SDP.format(sets=sets).replace("\n", "\r\n")
            head += f"Content-Base: {self.url}/\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        else:
            head += "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        return f"{head}\r\n{body}".encode()

    def _send(self, viewer: socket.socket) -> None:
        count = 0
        for number, parts in enumerate(self.pictures):
            begun = time.perf_counter()
            if self.permits is not None and not self.permits.acquire(timeout=_LONG_S):
                return
            stamp = _FIRST + int(number * _CLOCK / self.fps)
            for place, part in enumerate(parts):
                mark = 0x80 if place == len(parts) - 1 else 0  # the last of a picture
                header = struct.pack(">BBHII", 0x80, mark | 96, count & 0xFFFF, stamp, 7)
                viewer.sendall(struct.pack(">cBH", b"$", 0, len(header) + len(part)) + header + part)
                count += 1
            if self.permits is None:
                time.sleep(max(0.0, 1 / self.fps - (time.perf_counter() - begun)))


def _parts(packet: bytes) -> Iterator[bytes]:
    """The units of a picture, each of which begins with its length in .mp4."""
    while packet:
        length = int.from_bytes(packet[:4])
        yield packet[4 : 4 + length]
        packet = packet[4 + length :]


def _sets(extradata: bytes) -> Iterator[bytes]:
    """What a decoder has to know before the first picture: sequences, then pictures, with their lengths."""
    place = 5
    for mask in (0x1F, 0xFF):
        number, place = extradata[place] & mask, place + 1
        for _ in range(number):
            length = int.from_bytes(extradata[place : place + 2])
            yield extradata[place + 2 : place + 2 + length]
            place += 2 + length
