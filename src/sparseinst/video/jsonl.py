"""What was found in a video, one line of JSON a frame."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.data.video.frame import VideoFrame
from sparseinst.files import kept
from sparseinst.structures import Instances


@contextmanager
def write_jsonl(path: str | Path, classes: Sequence[str]) -> Iterator["JsonlWriter"]:
    """A writer of one line a frame, each in the file at once: under the name `kept` gives until all went well.

    Args:
        path: the file.
        classes: class names by label.

    Example:
        Read it with `[json.loads(line) for line in open("frames.jsonl", encoding="utf-8")]`; a mask is
        `faster_coco_eval.core.mask.decode(frame["instances"][0]["segmentation"])`.
    """
    with kept(Path(path)) as unfinished, unfinished.open("w", buffering=1, encoding="utf-8", newline="\n") as file:
        yield JsonlWriter(file, classes)


class JsonlWriter:
    """Writes lines; made by `write_jsonl`."""

    def __init__(self, file: IO[str], classes: Sequence[str]) -> None:
        self._file, self._classes = file, classes

    def add(
        self,
        frame: VideoFrame,
        instances: Instances,
        ids: NDArray[np.int64] | None = None,
        parents: NDArray[np.int64] | None = None,
    ) -> None:
        """Writes the line of a frame.

        With track ids (n,), every instance has a `track_id`, which is 0 before one; with parents (n,) a `parent_id`,
        the track from whose division it came, or 0.
        """
        records = self._records(instances)
        for key, numbers in (("track_id", ids), ("parent_id", parents)):
            for record, number in zip(records, [] if numbers is None else numbers.tolist(), strict=False):
                record[key] = number
        height, width = frame.size_hw
        line = {"frame": frame.index, "seconds": round(frame.seconds, 6), "width": width, "height": height}
        json.dump({**line, "instances": records}, self._file, ensure_ascii=False, allow_nan=False)
        self._file.write("\n")

    def _records(self, instances: Instances) -> list[dict[str, Any]]:
        """One a instance; `bbox` is x, y, width, height in pixels, `segmentation` a compressed COCO RLE."""
        corners, sizes = instances.boxes[:, :2], instances.boxes[:, 2:] - instances.boxes[:, :2]
        size = list(instances.size_hw)
        return [
            {
                "class": self._classes[label],
                "label": label,
                "score": round(score, 6),
                "bbox": box,
                "area": area,
                "segmentation": {"size": size, "counts": counts.decode("ascii")},
            }
            for label, score, box, area, counts in zip(
                instances.labels.tolist(),
                instances.scores.tolist(),
                np.hstack([corners, sizes]).tolist(),
                instances.areas.tolist(),
                instances.rles,
                strict=True,
            )
        ]
