"""Video through the network: frames are decoded and prepared in threads while it works on those before."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing

from sparseinst.data.video.frame import VideoFrame, VideoSource
from sparseinst.data.video.source import Source, open_video
from sparseinst.inference.options import colours_only
from sparseinst.inference.pipeline import Pipeline
from sparseinst.inference.stages import Stages, is_soon
from sparseinst.inference.tiles import Cut
from sparseinst.structures import Instances

_PATIENCE_S = 0.05
"""How long a frame waits for another to go through the network with it, in seconds."""
Found = tuple[VideoFrame, Instances]
"""A frame and what was found in it."""


def stream(pipeline: Pipeline, source: Source, *, skip: bool, fps: float) -> Iterator[Found]:
    """The job of `Predictor.stream`."""
    with closing(open_video(source, fps=fps, intensity=pipeline.preprocess.intensity)) as video:
        network = Network(pipeline)
        with Stages[Found](paced(video, skip=skip), network.prepared, network.found, newest=skip) as results:
            yield from results


def paced(video: VideoSource, *, skip: bool) -> Iterator[VideoFrame]:
    """The frames of a video; where they may be skipped, those of a file come at its own pace, as from a camera."""
    begun = time.perf_counter()
    for frame in video:
        if skip and not video.live:
            time.sleep(max(0.0, begun + frame.seconds - time.perf_counter()))
        yield frame


class Network:
    """The two stages of `stages.Stages` that find instances in the frames of a video.

    Args:
        pipeline: finds them.

    Attributes:
        seconds: time spent in `found`, not counting that spent waiting for frames or for what comes after.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        colours_only(pipeline.backend.config, "video")
        self._pipeline = pipeline
        self._since: float | None = None
        self.seconds = 0.0

    def prepared(self, frames: Iterator[VideoFrame]) -> Generator[tuple[VideoFrame, Cut]]:
        """First stage: each frame as the network takes it."""
        for frame in frames:
            yield frame, self._pipeline.cut(frame.image)

    def found(self, prepared: Iterator[tuple[VideoFrame, Cut]]) -> Generator[Found]:
        """Second stage: what is found in each."""
        for frames, cuts in self._together(prepared):
            self._start()
            for frame, instances in zip(frames, self._pipeline.found(cuts), strict=True):
                self._stop()
                yield frame, instances
                self._start()
            self._stop()

    def _together(self, prepared: Iterator[tuple[VideoFrame, Cut]]) -> Iterator[tuple[list[VideoFrame], list[Cut]]]:
        """Frames to go through the network together: as many as it likes, but none waits for those of a slow source."""
        for first in prepared:
            items = [first]
            while len(items) < self._pipeline.lookahead and is_soon(prepared, _PATIENCE_S):
                more = next(prepared, None)
                if more is None:
                    break
                items.append(more)
            yield [frame for frame, _ in items], [cut for _, cut in items]

    def _start(self) -> None:
        if self._since is None:
            self._since = time.perf_counter()

    def _stop(self) -> None:
        if self._since is not None:
            self.seconds += time.perf_counter() - self._since
            self._since = None
