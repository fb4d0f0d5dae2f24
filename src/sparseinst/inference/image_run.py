"""One pass over image files: each read, segmented and written in its turn, one bad file never stopping it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseinst.activation import ActivationMaps
from sparseinst.config import PreprocessConfig
from sparseinst.data.large.image import LargeImage, open_large
from sparseinst.data.pages import page_name, read_pages
from sparseinst.data.physical import PixelSize
from sparseinst.data.sources import Sources
from sparseinst.data.stacks.opening import open_stack, pixel_size_of
from sparseinst.data.stacks.pages import PlacedPage, read_places
from sparseinst.data.stacks.stack import Place, View
from sparseinst.errors import InputError
from sparseinst.inference.large import LARGE_PX, Rows, find_in_large, is_large, middle_of
from sparseinst.inference.outcome import Failure, ImageResult, RunSummary
from sparseinst.inference.outputs import CocoFile, Pictures, Written
from sparseinst.inference.pipeline import Pipeline
from sparseinst.inference.tiles import Cut
from sparseinst.structures import Instances

OnTileRow = Callable[[Path, int, int], None]
"""Is told the path of a very large image, how many rows of tiles of it are done, and how many there are."""

_UNREAD = np.empty((0, 0, 3), np.uint8)


class _Image(NamedTuple):
    """One image, from when it is read until its instances are known."""

    file: int
    """Its file's place among all."""
    page: int | None
    pages: int
    picture: NDArray[np.uint8]
    """(0, 0, 3) where it could not be read."""
    error: str | None = None
    tiles: int = 1
    place: Place | None = None
    pixel: PixelSize | None = None
    preprocess: PreprocessConfig | None = None
    """How it was brought to the network."""


class Run:
    """One pass over the files: an iterator of results that keeps the totals."""

    def __init__(
        self,
        sources: Sources,
        pipeline: Pipeline,
        labels: NDArray[np.int64] | None,
        pictures: Pictures | None,
        coco: CocoFile | None,
        *,
        iam: bool,
        on_row: OnTileRow | None,
        view: View | None = None,
        pixel: PixelSize | None = None,
    ) -> None:
        self.sources, self.pipeline, self.labels = sources, pipeline, labels
        self.pictures, self.coco, self.iam, self.on_row = pictures, coco, iam, on_row
        self.view, self.pixel = view, pixel
        self.names = sources.names
        self.waiting: deque[_Image] = deque()  # read, and not yet given back
        self.done = 0
        self.failures: list[Failure] = []
        self.counts = np.zeros(len(pipeline.classes), np.int64)

    def __iter__(self) -> Iterator[ImageResult]:
        for large, places in groupby(range(len(self.sources.images)), key=self._is_large):
            if large:
                for place in places:
                    yield from self._large(place)
                continue
            for instances, maps in self._found(places):
                yield from self._skipped()
                yield self._finished(self.waiting.popleft(), instances, maps)
            yield from self._skipped()

    def report(self, *, out: Path | None, results: Path | None, seconds: float) -> RunSummary:
        """The totals."""
        found = [(self.pipeline.classes[i], int(self.counts[i])) for i in np.argsort(-self.counts, kind="stable")]
        return RunSummary(
            images=self.done - len(self.failures),
            instances=int(self.counts.sum()),
            per_class={name: count for name, count in found if count},
            failures=tuple(self.failures),
            unread=self.sources.unread,
            out=out,
            results=results,
            seconds=seconds,
        )

    def _skipped(self) -> Iterator[ImageResult]:
        """The images that could not be read, until one that could."""
        while self.waiting and (error := self.waiting[0].error) is not None:
            image = self.waiting.popleft()
            self.done += 1
            self.failures.append(Failure(self.sources.images[image.file], error, image.page))
            yield self._result(image, error=error)

    def _finished(self, image: _Image, instances: Instances, maps: ActivationMaps | None) -> ImageResult:
        self._count(image, instances)
        written = Written()
        if self.pictures is not None:
            stem = self.pictures.stem(image.file, image.page, image.pages)
            written = self.pictures.write(image.file, stem, image.picture, instances, maps)
        return self._result(image, instances=instances, **written._asdict())

    def _count(self, image: _Image, instances: Instances) -> None:
        self.done += 1
        self.counts += np.bincount(instances.labels, minlength=len(self.counts))
        if self.coco is not None:
            self.coco.add(self.done, page_name(self.names[image.file], image.page), instances)

    def _result(self, image: _Image, **became: Any) -> ImageResult:
        paths = self.sources.images
        return ImageResult(
            paths[image.file], image.file + 1, len(paths), self.pipeline.classes, page=image.page,
            pages=image.pages, tiles=image.tiles, place=image.place, pixel=image.pixel, preprocess=image.preprocess,
            stem=None if self.pictures is None else self.pictures.own_stem(image.file), **became,
        )  # fmt: skip

    def _is_large(self, place: int) -> bool:
        try:
            return is_large(self.sources.images[place], by_axes=self.view is not None)
        except InputError:
            return False  # reading it as any other image says what is wrong

    def _large(self, file: int) -> Iterator[ImageResult]:
        """An image that is read by windows, or each of those of a stack."""
        path, image = self.sources.images[file], _Image(file, None, 1, _UNREAD)
        try:
            if self.iam:
                raise InputError(
                    f"activation maps: expected an image of at most {LARGE_PX:,} pixels: give a part of it"
                )
            for part, at in self._parts(image, path):
                with open_large(path, self.pipeline.preprocess.intensity, at=at) as large:
                    yield self._found_in_large(part, large, path, at)
        except InputError as error:
            message = str(error)
            image = image._replace(error=message if str(path) in message else f"{path}: {message}")
            self.waiting.append(image)
            yield from self._skipped()

    def _parts(self, image: _Image, path: Path) -> list[tuple[_Image, dict[str, int] | None]]:
        """The planes of a large file, each with what `open_large` takes."""
        if self.view is None:
            pixel = pixel_size_of(path) if self.pipeline.knows_micrometres else None
            return [(image._replace(pixel=self.pixel or pixel), None)]
        with open_stack(path) as stack:
            places, pixel = stack.places(self.view), self.pixel or stack.pixel
            numbers = [None] if len(places) == 1 else range(len(places))
            return [
                (image._replace(page=number, pages=len(places), place=place, pixel=pixel), stack.part(place, self.view))
                for number, place in zip(numbers, places, strict=True)
            ]

    def _found_in_large(
        self, image: _Image, large: LargeImage, path: Path, at: Mapping[str, int] | None
    ) -> ImageResult:
        pipeline, um = self.pipeline, None if image.pixel is None else image.pixel.mean_um
        preprocess = pipeline.sized(middle_of(large) if pipeline.estimates else _UNREAD, um)
        pictures, stem, rows = self.pictures, None, None
        if pictures is not None:
            stem = pictures.stem(image.file, image.page, image.pages)
            rows = Rows(pictures.folder / f".{stem}.rows", path, pipeline, preprocess, at)
        tiling = pipeline.tiling_of(large.size_hw, preprocess)

        def tell(done: int, rows: int) -> None:
            if self.on_row is not None:
                self.on_row(path, done, rows)

        instances = self._wanted(find_in_large(pipeline, large, preprocess=preprocess, rows=rows, on_row=tell))
        self._count(image, instances)
        written = Written()
        if pictures is not None and stem is not None:
            written = pictures.write_large(stem, large, instances)
        if rows is not None:
            rows.remove()
        tiles = 1 if tiling is None else len(tiling.windows(large.size_hw))
        seen = image._replace(tiles=tiles, preprocess=preprocess)
        return self._result(seen, instances=instances, **written._asdict())

    def _cuts(self, places: Iterable[int]) -> Iterator[Cut]:
        """The images that can be read, one after the other."""
        for index in places:
            path = self.sources.images[index]
            for page, place, pixel in self._pages(path):
                image = _Image(index, page.number, page.pages, _UNREAD, place=place, pixel=self.pixel or pixel)
                try:
                    picture = page.read()
                    preprocess = self.pipeline.sized(picture, None if image.pixel is None else image.pixel.mean_um)
                    cut = self.pipeline.cut(picture, preprocess)
                except InputError as error:
                    name, message = page_name(str(path), page.number), str(error)
                    self.waiting.append(image._replace(error=message if name in message else f"{name}: {message}"))
                    continue
                self.waiting.append(image._replace(picture=picture, tiles=len(cut.windows), preprocess=preprocess))
                yield cut

    def _pages(self, path: Path) -> Iterator[PlacedPage]:
        """The pictures of a file; without a view its pages as they come."""
        if self.view is not None:
            yield from read_places(path, self.pipeline.preprocess.intensity, self.view)
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
