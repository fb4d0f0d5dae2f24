"""The job of `sparseinst predict` on a video: frames through the network and into files, all stages at once."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Event
from typing import Unpack

import numpy as np

from sparseinst.data.video.frame import VideoFrame, VideoSource
from sparseinst.data.video.source import RATE, Source, open_video
from sparseinst.errors import InputError
from sparseinst.files import real
from sparseinst.inference.options import PipelineOptions, labels_of
from sparseinst.inference.pipeline import Pipeline
from sparseinst.inference.stages import Stage, Stages
from sparseinst.inference.streaming import Found, Network, paced
from sparseinst.modeling.model import SparseInst
from sparseinst.runtime.backends import Backend
from sparseinst.video.display import Screen
from sparseinst.video.marks import Marks
from sparseinst.video.outcome import VideoResult, VideoSummary
from sparseinst.video.outputs import Outputs, open_outputs
from sparseinst.video.tracking import MASK
from sparseinst.zoo.names import DEFAULT_MODEL


def predict_video(
    source: Source,
    *,
    model: SparseInst | Backend | str | Path = DEFAULT_MODEL,
    score: float | None = None,
    classes: Sequence[str] | None = None,
    save: str | Path | None = None,
    save_json: str | Path | None = None,
    save_mot: str | Path | None = None,
    save_masks: str | Path | None = None,
    show: bool = False,
    skip: bool = False,
    track: str | None = None,
    divisions: bool = False,
    trails: bool = True,
    zones: Sequence[str] = (),
    fps: float = RATE,
    on_frame: Callable[[VideoResult, VideoSource], None] | None = None,
    stop: Event | None = None,
    **options: Unpack[PipelineOptions],
) -> VideoSummary:
    """Finds instances in a video and writes what was found.

    Decoding, preparing, the network, tracking, drawing and encoding run at once, with a few frames between them: memory
    does not grow with the length of the video. Frames stay in order, and none is lost unless `skip` says so.

    Args:
        source: a file, a camera, the URL of a stream, images in a row, or arrays (see `open_video`).
        model: a network, a backend, or the name or checkpoint file of a network.
        score: lowest score to keep; None takes the checkpoint's.
        classes: names of the classes to keep; None keeps all.
        save: video to write (.mp4, .m4v, .mov, .mkv): every frame with its instances, at its time, with the sound.
        save_json: file to write with one line of JSON a frame (see `write_jsonl`).
        save_mot: file to write with the boxes of all tracks in MOTChallenge's form.
        save_masks: folder to write with a label image a frame whose values are track ids, and the file of tracks, in
            the form of the Cell Tracking Challenge.
        show: show the video in a window while it is made; closing it, or q, ends the run.
        skip: keep up with time: what comes while the network is busy is dropped, but for the newest. A file is then
            gone through at its own pace.
        track: algorithm that gives instances ids (see `Tracker`); None gives none, unless something here needs them.
        divisions: objects can become two, as cells do: two new tracks then name that which ended as their parent.
        trails: draw where each tracked object has been.
        zones: lines and polygons to count tracked objects in (see `parse_zone`).
        fps: frames a second of images in a row.
        on_frame: called after each frame, in order, with what became of it and the video it is from.
        stop: once set (by a signal handler, say), no further frame is taken; all that was taken is finished.
        **options: how frames are looked at, as `PipelineOptions` describes: device, batch, tile, scale and so on.

    Raises:
        InputError: no such video, model, class, tracker or zone; a file cannot be written; no frame; no screen.
    """
    pipeline = Pipeline(model, score=score, **options)
    outputs = {"video": save, "json": save_json, "mot": save_mot, "masks": save_masks}
    files = {kind: Path(path) for kind, path in outputs.items() if path is not None}
    for path in files.values():
        if path.exists() and isinstance(source, str | Path) and real(path) == real(source):
            raise InputError(f"{path}: expected another file than the video itself: name another")
    needs_ids = zones or divisions or "mot" in files or "masks" in files
    marks = Marks(
        pipeline.classes, labels=labels_of(classes, pipeline.classes), divisions=divisions, trails=trails, zones=zones,
        track=track or (MASK if needs_ids else None), draw=show or "video" in files,
    )  # fmt: skip
    with closing(open_video(source, fps=fps, intensity=pipeline.preprocess.intensity)) as video:
        start = time.perf_counter()
        current = _Pass(video, pipeline, marks, stop or Event())
        with ExitStack() as opened:
            window = opened.enter_context(Screen(f"sparseinst: {video.name}")) if show else None
            written = opened.enter_context(open_outputs(files, video, pipeline.classes))
            for result in current.results(written, skip=skip):
                if on_frame is not None:
                    on_frame(result, video)
                if window is not None and result.picture is not None and not window.show(result.picture):
                    current.stop.set()
        return current.report(time.perf_counter() - start, files)


class _Pass:
    """One pass over a video, and its totals."""

    def __init__(self, video: VideoSource, pipeline: Pipeline, marks: Marks, stop: Event) -> None:
        self.video, self.pipeline, self.marks, self.stop = video, pipeline, marks, stop
        self.network = Network(pipeline)
        self.frames = self.dropped = 0
        self.counts = np.zeros(len(pipeline.classes), np.int64)

    def results(self, written: Outputs, *, skip: bool) -> Iterator[VideoResult]:
        """What becomes of each frame, once it is written.

        Raises:
            InputError: there is no frame.
        """
        stages: list[Stage] = [self.marks.tracked, self.marks.drawn, written.written]
        stages[:0] = [self._fresh] if skip else [self.network.prepared, self.network.found]
        with Stages[VideoResult](self._taken(paced(self.video, skip=skip)), *stages, newest=skip) as results:
            for result in results:
                self.frames += 1
                self.counts += np.bincount(result.instances.labels, minlength=len(self.counts))
                self.dropped = results.dropped
                yield result._replace(dropped=self.dropped)
        if self.stop.is_set():
            written.stop_here()
        if not self.frames:
            raise InputError(f"{self.video.name}: expected a video with frames, got none: check it")

    def report(self, seconds: float, files: dict[str, Path]) -> VideoSummary:
        """The totals."""
        order = np.argsort(-self.counts, kind="stable")
        found = {self.pipeline.classes[i]: int(self.counts[i]) for i in order if self.counts[i]}
        return VideoSummary(
            frames=self.frames, dropped=self.dropped, broken=self.video.broken, instances=int(self.counts.sum()),
            per_class=found, tracks=self.marks.tracks, divisions=self.marks.divisions, zones=self.marks.counts,
            seconds=seconds, network_seconds=self.network.seconds, files=files,
        )  # fmt: skip

    def _taken(self, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        """The frames until the stop."""
        for frame in frames:
            if self.stop.is_set():
                return
            yield frame

    def _fresh(self, frames: Iterator[VideoFrame]) -> Generator[Found]:
        """Both stages of the network as one, so that no frame grows old between them."""
        return self.network.found(self.network.prepared(frames))
