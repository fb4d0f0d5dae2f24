"""Small videos, made with PyAV, for tests that read them."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pictures(count: int, *, size_hw: tuple[int, int] = (48, 64)) -> list[NDArray[np.uint8]]:
    """Pictures of a red block, 24 x 16 pixels, on dark grey that moves to the right by 4 pixels each."""
    found = []
    for number in range(count):
        picture = np.full((*size_hw, 3), 20, np.uint8)
        left = 4 * number % (size_hw[1] - 16)
        picture[8:32, left : left + 16, 0] = 230
        found.append(picture)
    return found


def write_clip(
    path: Path,
    images: Iterable[NDArray[np.uint8]],
    *,
    times: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 600),
    rate: int = 10,
    rotation: int = 0,
    sound_s: float = 0.0,
    sound_codec: str = "aac",
    intra: bool = False,
) -> Path:
    """Writes a video in H.264.

    Args:
        path: its suffix is the format.
        images: RGB; with none of them there is no track of pictures.
        times: of each image, in units of `time_base`; None is at `rate`.
        time_base: seconds.
        rate: pictures a second.
        rotation: degrees, counterclockwise, that players are asked to turn it by.
        sound_s: seconds of a tone.
        sound_codec: of the tone.
        intra: no picture needs another.
    """
    import av

    images = list(images)
    with av.open(str(path), "w") as container:
        tone = container.add_stream(sound_codec, rate=48000, layout="mono") if sound_s else None
        if images:
            _write_pictures(container, images, times, time_base, rate, rotation, intra)
        if tone is not None:
            wave = (8000 * np.sin(np.arange(int(48000 * sound_s)) / 10)).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
            container.mux(tone.encode(frame))
            container.mux(tone.encode(None))
    return path


def _write_pictures(
    container: Any,
    images: Sequence[NDArray[np.uint8]],
    times: Sequence[int] | None,
    time_base: Fraction,
    rate: int,
    rotation: int,
    intra: bool,
) -> None:
    import av

    height, width = images[0].shape[:2]
    stream = container.add_stream("libx264", rate=rate, options={"g": "1"} if intra else {})
    stream.codec_context.time_base = time_base
    stream.height, stream.width = height, width
    stream.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
    if rotation:
        stream.set_display_rotation(rotation)
    for number, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
        frame.pts = round(number / rate / time_base) if times is None else times[number]
        frame.time_base = time_base
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def damage(path: Path, numbers: set[int]) -> Path:
    """The same video, in which the packets of these numbers hold nothing that can be decoded."""
    import av

    damaged = path.with_stem(f"{path.stem}_damaged")
    with av.open(str(path)) as source, av.open(str(damaged), "w") as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.dts is None:
                continue
            written = av.Packet(b"\xff" * 16) if number in numbers else packet
            if written is not packet:
                written.pts, written.dts, written.time_base = packet.pts, packet.dts, packet.time_base
            written.stream = stream
            sink.mux(written)
    return damaged
