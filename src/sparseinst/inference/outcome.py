"""What a prediction run tells about its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sparseinst.config.preprocess import PreprocessConfig
from sparseinst.data.pages import page_name
from sparseinst.data.physical import PixelSize
from sparseinst.data.sources import is_foreign_image
from sparseinst.data.stacks.stack import Place
from sparseinst.structures import Instances


class Table(NamedTuple):
    """Text of a table."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


class Failure(NamedTuple):
    """A file that was skipped, or a page of one."""

    path: Path
    message: str
    page: int | None = None


@dataclass(frozen=True)
class ImageResult:
    """What became of one file, or of one page of a file with several.

    Args:
        path: the image file.
        position: the file's number, from 1.
        total: how many files there are.
        classes: class names by label.
        instances: what was found; None if the image was skipped.
        error: why it was skipped.
        overlay: picture written, if any.
        labels: label image written, if any.
        iam: picture of the activation maps written, if any.
        page: the page's place in the file, from 0; None if it is the only one.
        pages: how many pages of the file are gone through.
        tiles: how many tiles it was seen in; 1 in one pass.
        place: time point and plane, where the file was opened by its axes (see `data.stacks`).
        pixel: how large a pixel is, as the file or the caller says.
        preprocess: how it was brought to the network.
        stem: what names of files about the whole file begin with, where any are written.
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
    page: int | None = None
    pages: int = 1
    tiles: int = 1
    place: Place | None = None
    pixel: PixelSize | None = None
    preprocess: PreprocessConfig | None = None
    stem: str | None = None

    @property
    def name(self) -> str:
        """The file with the page: stack.tif[3], or cells.png."""
        return page_name(str(self.path), self.page)

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
class RunSummary:
    """What a whole run did.

    Args:
        images: images predicted: files, or their pages.
        instances: instances found in them.
        per_class: instances of each class that was found, most first.
        failures: files and pages skipped.
        unread: other files of the folder, or that the pattern matches (see `find_sources`).
        out: folder written to, if any.
        results: COCO file written, if any.
        seconds: wall time, loading the network not counted.
        resumed: of the images, skipped ones counted, how many an earlier run had done.
    """

    images: int
    instances: int
    per_class: dict[str, int]
    failures: tuple[Failure, ...]
    unread: tuple[Path, ...]
    out: Path | None
    results: Path | None
    seconds: float
    resumed: int = 0

    @property
    def unread_images(self) -> tuple[Path, ...]:
        """Of `unread` those that are images by their names; a run that leaves some out has not done all it should."""
        return tuple(path for path in self.unread if is_foreign_image(path))
