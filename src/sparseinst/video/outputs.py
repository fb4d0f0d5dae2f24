"""The files that a run over a video writes, all of them frame by frame."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sparseinst.data.video.frame import VideoSource
from sparseinst.disk import check_room
from sparseinst.video.jsonl import write_jsonl
from sparseinst.video.outcome import VideoResult
from sparseinst.video.writer import VideoWriter, write_video


@contextmanager
def open_outputs(files: Mapping[str, Path], video: VideoSource, classes: Sequence[str]) -> Iterator["Outputs"]:
    """The writers of files, by kind; each file has its name once all went well.

    Args:
        files: "video", "json", "mot" and "masks" (a folder), as `VideoSummary.files`.
        video: what they are about.
        classes: class names by label.

    Raises:
        InputError: a file cannot be written.
    """
    with ExitStack() as opened:
        for path in files.values():
            check_room(path.parent, option="out")
        yield Outputs({kind: opened.enter_context(_writer(kind, path, video, classes)) for kind, path in files.items()})


def _writer(kind: str, path: Path, video: VideoSource, classes: Sequence[str]) -> Any:
    if kind == "video":
        return write_video(path, video)
    if kind == "json":
        return write_jsonl(path, classes)
    if kind == "mot":
        from sparseinst.video.mot import write_mot

        return write_mot(path)
    from sparseinst.video.ctc import write_ctc

    return write_ctc(path)


class Outputs:
    """The stage that writes; made by `open_outputs`."""

    def __init__(self, writers: Mapping[str, Any]) -> None:
        self._writers = writers

    def written(self, results: Iterator[VideoResult]) -> Generator[VideoResult]:
        """Writes each result, and hands it on."""
        for result in results:
            frame, instances, ids, parents = result.frame, result.instances, result.ids, result.parents
            for kind, writer in self._writers.items():
                if kind == "video":
                    writer.write(result.picture, frame.time)
                elif kind == "json":
                    writer.add(frame, instances, ids, parents)
                elif kind == "mot":
                    writer.add(frame.index + 1, instances, ids)  # MOTChallenge counts frames from 1
                else:
                    writer.add(frame.index, instances, ids, parents)
            yield result

    def stop_here(self) -> None:
        """The source goes on, but no more of it is wanted."""
        video: VideoWriter | None = self._writers.get("video")
        if video is not None:
            video.stop_here()
