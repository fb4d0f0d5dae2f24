"""One pass over image files: each read, segmented and written in its turn, one bad file never stopping it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray

from sparseinst.activation import ActivationMaps
from sparseinst.config.preprocess import RGB
from sparseinst.data.channels import read_all_channels, shown
from sparseinst.data.large.image import LargeImage, open_large
from sparseinst.data.pages import page_name, read_pages
from sparseinst.data.physical import PixelSize
from sparseinst.data.sources import ARRAY_SUFFIX, Sources
from sparseinst.data.stacks.makers.opening import MAKER_SUFFIXES
from sparseinst.data.stacks.opening import open_stack, pixel_size_of
from sparseinst.data.stacks.pages import PlacedPage, read_places
from sparseinst.data.stacks.stack import View
from sparseinst.errors import InputError
from sparseinst.inference.large import LARGE_PX, Rows, find_in_large, is_large, middle_of
from sparseinst.inference.outcome import ImageResult
from sparseinst.inference.outputs import Pictures, Written
from sparseinst.inference.pipeline import Pipeline
from sparseinst.inference.predictions_file import PredictionsFile
from sparseinst.inference.tally import UNREAD, SeenImage, Tally
from sparseinst.inference.tiles import Cut
from sparseinst.structures import Instances

OnTileRow = Callable[[Path, int, int], None]
"""Is told the path of a very large image, how many rows of tiles of it are done, and how many there are."""


class _Stopped(Exception):
    """The run is to end in the middle of an image."""


class ImageRun:
    """One pass over the files: an iterator of results that keeps the totals.

    Images that `results` already has, from a run that did not finish, are counted and passed over.
    """

    def __init__(
        self,
        sources: Sources,
        pipeline: Pipeline,
        labels: NDArray[np.int64] | None,
        pictures: Pictures | None,
        results: PredictionsFile | None,
        *,
        iam: bool,
        on_row: OnTileRow | None,
        view: View | None = None,
        pixel: PixelSize | None = None,
        stop: Event | None = None,
    ) -> None:
        self.sources, self.pipeline, self.labels = sources, pipeline, labels
        self.pictures, self.iam, self.on_row = pictures, iam, on_row
        self.view, self.pixel, self.stop = view, pixel, stop or Event()
        self.tally = Tally(sources, pipeline.classes, pictures, results)
        self.waiting: deque[SeenImage] = deque()  # read, and not yet given back
        self.is_stopped = False

    def __iter__(self) -> Iterator[ImageResult]:
        """What becomes of each image, until all are done or the stop."""
        try:
            for result in self._results():
                yield result
                if self.stop.is_set():
                    raise _Stopped
        except _Stopped:
            self.is_stopped = True

    def _results(self) -> Iterator[ImageResult]:
        for large, places in groupby(range(len(self.sources.images)), key=self._is_large):
            if large:
                for place in places:
                    yield from self._large(place)
                continue
            for instances, maps in self._found(places):
                yield from self._skipped()
                yield self._finished(self.waiting.popleft(), instances, maps)
            yield from self._skipped()

    def _skipped(self) -> Iterator[ImageResult]:
        """The images that could not be read, until one that could."""
        while self.waiting and (error := self.waiting[0].error) is not None:
            image = self.waiting.popleft()
            yield self.tally.unread(image, error)

    def _finished(self, image: SeenImage, instances: Instances, maps: ActivationMaps | None) -> ImageResult:
        written = Written()
        stem = self.tally.stem(image)
        if self.pictures is not None and stem is not None:
            written = self.pictures.write(image.file, stem, image.picture, instances, maps)
        return self.tally.found(image, instances, written)

    def _is_large(self, place: int) -> bool:
        if self.pipeline.preprocess.channels != RGB:
            return False  # only pictures in grey or colours are read by windows
        try:
            return is_large(self.sources.images[place], by_axes=self.view is not None)
        except InputError:
            return False  # reading it as any other image says what is wrong

    def _large(self, file: int) -> Iterator[ImageResult]:
        """An image that is read by windows, or each of those of a stack."""
        path, image = self.sources.images[file], SeenImage(file, None, 1, UNREAD)
        try:
            if self.iam:
                raise InputError(
                    f"activation maps: expected an image of at most {LARGE_PX:,} pixels: give a part of it"
                )
            for part, at in self._parts(image, path):
                if (earlier := self.tally.done_earlier(part)) is not None:
                    if earlier.error is not None:
                        return
                    continue
                with open_large(path, self.pipeline.preprocess.intensity, at=at) as large:
                    yield self._found_in_large(part, large, path, at)
        except InputError as error:
            if self.tally.done_earlier(image) is not None:
                return
            message = str(error)
            image = image._replace(error=message if str(path) in message else f"{path}: {message}")
            self.waiting.append(image)
            yield from self._skipped()

    def _parts(self, image: SeenImage, path: Path) -> list[tuple[SeenImage, dict[str, int] | None]]:
        """The planes of a large file, each with what `open_large` takes."""
        if self.view is None:
            pixel = pixel_size_of(path) if self.pipeline.knows_micrometres else None
            return [(image._replace(pixel=self.pixel or pixel), None)]
        with open_stack(path, self.view.series) as stack:
            places, pixel = stack.places(self.view), self.pixel or stack.pixel
            numbers = [None] if len(places) == 1 else range(len(places))
            return [
                (image._replace(page=number, pages=len(places), place=place, pixel=pixel), stack.part(place, self.view))
                for number, place in zip(numbers, places, strict=True)
            ]

    def _found_in_large(
        self, image: SeenImage, large: LargeImage, path: Path, at: Mapping[str, int] | None
    ) -> ImageResult:
        pipeline, um = self.pipeline, None if image.pixel is None else image.pixel.mean_um
        preprocess = pipeline.sized(middle_of(large) if pipeline.estimates else UNREAD, um)
        stem, rows = self.tally.stem(image), None
        if stem is not None:
            rows = Rows(self.tally.rows_folder(stem), path, pipeline, preprocess, at)
        tiling = pipeline.tiling_of(large.size_hw, preprocess)

        def tell(done: int, rows: int) -> None:
            if self.on_row is not None:
                self.on_row(path, done, rows)
            if self.stop.is_set() and done < rows:
                raise _Stopped

        instances = self._wanted(find_in_large(pipeline, large, preprocess=preprocess, rows=rows, on_row=tell))
        written = Written()
        if self.pictures is not None and stem is not None:
            written = self.pictures.write_large(stem, large, instances)
        tiles = 1 if tiling is None else len(tiling.windows(large.size_hw))
        result = self.tally.found(image._replace(tiles=tiles, preprocess=preprocess), instances, written)
        if rows is not None:
            rows.remove()
        return result

    def _cuts(self, places: Iterable[int]) -> Iterator[Cut]:
        """The images that can be read, one after the other."""
        for index in places:
            path = self.sources.images[index]
            for page, place, pixel in self._pages(path):
                image = SeenImage(index, page.number, page.pages, UNREAD, place=place, pixel=self.pixel or pixel)
                if self.tally.done_earlier(image) is not None:
                    continue
                try:
                    picture = page.read()
                    preprocess = self.pipeline.sized(picture, None if image.pixel is None else image.pixel.mean_um)
                    cut = self.pipeline.cut(picture, preprocess)
                except InputError as error:
                    name, message = page_name(str(path), page.number), str(error)
                    self.waiting.append(image._replace(error=message if name in message else f"{name}: {message}"))
                    continue
                self.waiting.append(
                    image._replace(picture=shown(picture), tiles=len(cut.windows), preprocess=preprocess)
                )
                yield cut

    def _pages(self, path: Path) -> Iterator[PlacedPage]:
        """The pictures of a file; for other networks than of RGB with all channels, without a view its pages."""
        if self.pipeline.preprocess.channels != RGB or path.suffix.lower() == ARRAY_SUFFIX:
            yield from read_all_channels(path, self.pipeline.preprocess)
            return
        if self.view is not None or path.suffix.lower() in MAKER_SUFFIXES:
            yield from read_places(path, self.pipeline.preprocess.intensity, self.view or View())
            return
        pixel = pixel_size_of(path) if self.pipeline.knows_micrometres else None
        for page in read_pages(path, self.pipeline.preprocess.intensity):
            yield PlacedPage(page, None, pixel)

    def _found(self, places: Iterable[int]) -> Iterator[tuple[Instances, ActivationMaps | None]]:
        """For each of them the instances of the classes asked for, with their maps if these are to be drawn."""
        found: Iterator[tuple[Instances, ActivationMaps | None]]
        if self.iam:
            found = self.pipeline.explained(self._cuts(places))
        else:
            found = ((instances, None) for instances in self.pipeline.found(self._cuts(places)))
        for instances, maps in found:
            yield self._wanted(instances), None if maps is None else maps[self._keep(instances)]

    def _wanted(self, instances: Instances) -> Instances:
        return instances if self.labels is None else instances[self._keep(instances)]

    def _keep(self, instances: Instances) -> slice | NDArray[np.bool_]:
        return slice(None) if self.labels is None else np.isin(instances.labels, self.labels)
