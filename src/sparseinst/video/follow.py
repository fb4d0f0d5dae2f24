"""Objects of a video, followed from frame to frame."""

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

from sparseinst.data.video.source import Source
from sparseinst.inference.options import PipelineOptions
from sparseinst.inference.predictor import Predictor
from sparseinst.modeling.model import SparseInst
from sparseinst.runtime.backends import Backend
from sparseinst.video.outcome import VideoResult
from sparseinst.video.tracking import MASK, Tracker
from sparseinst.zoo.names import DEFAULT_MODEL


def track(
    source: Source,
    *,
    model: SparseInst | Backend | str | Path = DEFAULT_MODEL,
    algorithm: str = MASK,
    max_lost: int = 30,
    divisions: bool = False,
    score: float | None = None,
    **options: Unpack[PipelineOptions],
) -> Iterator[VideoResult]:
    """The frames of a video, in order, each with its instances and the ids of the objects that they are.

    Args:
        source: a video file, a camera (0), the URL of a stream, images in a row, or arrays (see `open_video`).
        model: a network, a backend, the name or checkpoint file of a network, or an exported file.
        algorithm: how objects are followed, one of `tracking.ALGORITHMS`.
        max_lost: frames for which an object that is not seen is waited for.
        divisions: objects can become two (see `Tracker`); `VideoResult.parents` then says what came from what.
        score: lowest score to keep; None takes the one that comes with the checkpoint.
        **options: how frames are looked at, as `PipelineOptions` describes: device, batch, tile, scale and so on.

    Raises:
        InputError: the video cannot be read, no such model or algorithm, or an option is out of range.

    Example:
        `for frame, instances, ids, *_ in track("cells.mp4"):`
    """
    tracker = Tracker(algorithm=algorithm, max_lost=max_lost, divisions=divisions)
    for frame, instances in Predictor(model, score=score, **options).stream(source):
        ids = tracker.update(instances)
        yield VideoResult(frame, instances, ids, tracker.parents(ids) if divisions else None)
