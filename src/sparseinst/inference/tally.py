"""What became of the images of a run: counted, kept for the files about all of them, and told."""

import shutil
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseinst.config.preprocess import RGB, PreprocessConfig
from sparseinst.data.pages import page_name
from sparseinst.data.physical import PixelSize
from sparseinst.data.sources import Sources
from sparseinst.data.stacks.stack import Place
from sparseinst.inference.outcome import Failure, ImageResult, RunSummary
from sparseinst.inference.outputs import Pictures, Written
from sparseinst.inference.predictions_file import Earlier, PredictionsFile
from sparseinst.structures import Instances

UNREAD = np.empty((0, 0, RGB), np.uint8)
"""The picture of an image that could not be read, or is read by windows."""


class SeenImage(NamedTuple):
    """One image, from when it is read until its instances are known."""

    file: int
    """Its file's place among all."""
    page: int | None
    pages: int
    picture: NDArray[np.uint8]
    """(H, W, 3) to be drawn on; (0, 0, 3) where it could not be read."""
    error: str | None = None
    tiles: int = 1
    place: Place | None = None
    pixel: PixelSize | None = None
    preprocess: PreprocessConfig | None = None
    """How it was brought to the network."""


class Tally:
    """The totals of a run, those of an earlier run that it goes on with included.

    Args:
        sources: the images.
        classes: class names by label.
        pictures: writes pictures about each image; None writes none.
        results: keeps what is found for the file about all images; None keeps nothing.
    """

    def __init__(
        self, sources: Sources, classes: tuple[str, ...], pictures: Pictures | None, results: PredictionsFile | None
    ) -> None:
        self._sources, self._classes = sources, classes
        self._pictures, self._results = pictures, results
        self._names = sources.names
        self._done = 0
        self._failures: list[Failure] = []
        self._counts = np.zeros(len(classes), np.int64)
        self._earlier = deque(() if results is None else results.earlier)
        for one in self._earlier:
            self._done += 1
            self._counts += np.bincount(one.labels or [], minlength=len(classes))
            if one.error is not None:
                self._failures.append(Failure(sources.images[one.file], one.error, one.page))
        self._resumed = self._done

    def stem(self, image: SeenImage) -> str | None:
        """What names of pictures about it begin with; None where none are written."""
        return None if self._pictures is None else self._pictures.stem(image.file, image.page, image.pages)

    def rows_folder(self, stem: str) -> Path:
        """Where the rows of tiles of a large image are kept until it is done."""
        assert self._pictures is not None
        return self._pictures.folder / f".{stem}.rows"

    def done_earlier(self, image: SeenImage) -> Earlier | None:
        """What became of an image in an earlier run, if it was done; the pictures about it keep their names."""
        if not self._earlier:
            return None
        one = self._earlier.popleft()
        stem = self.stem(image) if one.error is None else None
        if stem is not None:
            shutil.rmtree(self.rows_folder(stem), ignore_errors=True)
        return one

    def unread(self, image: SeenImage, error: str) -> ImageResult:
        """Counts an image that could not be read."""
        self._done += 1
        self._failures.append(Failure(self._sources.images[image.file], error, image.page))
        if self._results is not None:
            self._results.add_unread(image.file, image.page, error)
        return self._result(image, error=error)

    def found(self, image: SeenImage, instances: Instances, written: Written) -> ImageResult:
        """Counts an image once all about it is written: what is counted is not done again."""
        self._done += 1
        self._counts += np.bincount(instances.labels, minlength=len(self._counts))
        if self._results is not None:
            name = page_name(self._names[image.file], image.page)
            self._results.add(image.file, image.page, image_id=self._done, name=name, instances=instances)
        return self._result(image, instances=instances, **written._asdict())

    def _result(self, image: SeenImage, **became: Any) -> ImageResult:
        paths = self._sources.images
        return ImageResult(
            paths[image.file], image.file + 1, len(paths), self._classes, page=image.page,
            pages=image.pages, tiles=image.tiles, place=image.place, pixel=image.pixel, preprocess=image.preprocess,
            stem=None if self._pictures is None else self._pictures.own_stem(image.file), **became,
        )  # fmt: skip

    def report(self, *, out: Path | None, results: Path | None, seconds: float) -> RunSummary:
        """The totals."""
        found = [(self._classes[i], int(self._counts[i])) for i in np.argsort(-self._counts, kind="stable")]
        return RunSummary(
            images=self._done - len(self._failures),
            instances=int(self._counts.sum()),
            per_class={name: count for name, count in found if count},
            failures=tuple(self._failures),
            unread=self._sources.unread,
            out=out,
            results=results,
            seconds=seconds,
            resumed=self._resumed,
        )
