"""What a prediction run tells about its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sparseinst.structures import Instances


class Table(NamedTuple):
    """Text of a table."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


class Failure(NamedTuple):
    """A file that was skipped."""

    path: Path
    message: str


@dataclass(frozen=True)
class ImageResult:
    """What became of one file.

    Args:
        path: the image file.
        position: its number, from 1.
        total: how many files there are.
        classes: class names by label.
        instances: what was found; None if the file was skipped.
        error: why it was skipped.
        overlay: picture written, if any.
        labels: label image written, if any.
        iam: picture of the activation maps written, if any.
    """

    path: Path
    position: int
    total: int
    classes: tuple[str, ...]
    instances: Instances | None = None
    error: str | None = None
    overlay: Path | None = None
    labels: Path | None = None
    iam: Path | None = None

    def table(self, limit: int = 20) -> Table:
        """One row an instance, best first, numbered as in the label image; above `limit`, one row a class."""
        if self.instances is None:
            return Table(("class",), [])
        if len(self.instances) <= limit:
            return self._one_by_one(self.instances)
        return self._by_class(self.instances)

    def _one_by_one(self, instances: Instances) -> Table:
        rows: list[tuple[str, ...]] = []
        for i in np.argsort(-instances.scores, kind="stable"):
            name, box = self.classes[instances.labels[i]], " ".join(f"{x:.0f}" for x in instances.boxes[i])
            rows.append((str(i + 1), name, f"{instances.scores[i]:.3f}", box, f"{instances.areas[i]:.0f}"))
        return Table(("#", "class", "score", "box (x0 y0 x1 y1)", "area"), rows)

    def _by_class(self, instances: Instances) -> Table:
        rows: list[tuple[str, ...]] = []
        labels, counts = np.unique(instances.labels, return_counts=True)
        for i in np.argsort(-counts, kind="stable"):
            of_class = instances[instances.labels == labels[i]]
            scores = f"{of_class.scores.min():.3f} .. {of_class.scores.max():.3f}"
            median = f"{np.median(of_class.areas):.0f}"
            rows.append((self.classes[labels[i]], str(counts[i]), scores, median))
        return Table(("class", "count", "scores", "median area"), rows)


@dataclass(frozen=True)
class Report:
    """What a whole run did.

    Args:
        images: files predicted.
        instances: instances found in them.
        per_class: instances of each class that was found, most first.
        failures: files skipped.
        out: folder written to, if any.
        results: COCO file written, if any.
        seconds: wall time, loading the network not counted.
    """

    images: int
    instances: int
    per_class: dict[str, int]
    failures: tuple[Failure, ...]
    out: Path | None
    results: Path | None
    seconds: float
