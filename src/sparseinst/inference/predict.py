"""The job of `sparseinst predict`: files in, overlays, results and label images out, one bad file never stopping it."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sparseinst.activation import ActivationMaps
from sparseinst.data.pages import page_name, read_pages
from sparseinst.errors import InputError
from sparseinst.inference.backends import Backend
from sparseinst.inference.outputs import CocoFile, Pictures, Written
from sparseinst.inference.predictor import Predictor
from sparseinst.inference.results import Failure, ImageResult, Report
from sparseinst.inference.sources import Sources, find_sources
from sparseinst.inference.tiles import Cut
from sparseinst.modeling import SparseInst
from sparseinst.structures import Instances
from sparseinst.zoo import DEFAULT_MODEL

RESULTS_NAME = "predictions.json"
_UNREAD = np.empty((0, 0, 3), np.uint8)


def predict_files(
    source: str | Path,
    *,
    model: SparseInst | Backend | str | Path = DEFAULT_MODEL,
    score: float | None = None,
    classes: Sequence[str] | None = None,
    out: str | Path | None = None,
    save_json: bool = False,
    save_masks: bool = False,
    iam: bool = False,
    device: str | torch.device = "cpu",
    batch: int = 1,
    half: bool = False,
    tile: int | None = None,
    overlap: int | None = None,
    scale: float | None = None,
    diameter: float | None = None,
    max_instances: int | None = None,
    recursive: bool = False,
    on_image: Callable[[ImageResult], None] | None = None,
) -> Report:
    """Finds instances in image files and writes what was found.

    Each page of a TIFF file and each frame of a GIF, WebP or PNG file is an image of its own (see `read_pages`): page 3
    of stack.tif, counted from 0, is stack.tif[3] in results, and its files are STEM_3_overlay.png and so on, with zeros
    before the number so that they sort. A file with one page is called by its name alone.

    Args:
        source: an image, a folder, a glob or a list file (see `find_sources`).
        model: a network, a backend, or the name or checkpoint file of a network.
        score: lowest score to keep; None takes the checkpoint's.
        classes: names of the classes to keep; None keeps all.
        out: folder for an overlay of each image (STEM_overlay.png, or .jpg for JPEG files) and what follows; None
            writes nothing.
        save_json: write predictions.json there: a COCO dataset with running ids, whose annotations carry `score`.
        save_masks: write STEM_labels.png there: 16 bits, 0 background, i + 1 where instance i is. From 65,536 instances
            on it is STEM_labels.tif, of 32 bits.
        iam: write STEM_iam.png there: the best instances beside their activation maps (see `draw_activation`).
        device: where to run.
        batch: images at once.
        half: compute in 16 bits.
        tile: cut larger images into tiles of this side, in pixels (see `Predictor`).
        overlap: pixels that neighbouring tiles share.
        scale: network pixels for each pixel of the image, in place of that of a network at native scale.
        diameter: or that of most objects in pixels of the image, from which the scale follows (see `at_scale`).
        max_instances: most instances in an image (see `Predictor`); None is what the network's settings say.
        recursive: take the images of a folder's subfolders, too, but for those in `out`. Results then name images by
            their paths in the folder, and files about them begin with the names of their subfolders: sub_STEM.
        on_image: called after each file or page, in order, with what became of it.

    Returns:
        The totals; a file or page that cannot be read is skipped and named in `failures`, and what else a folder holds
        in `unread`.

    Raises:
        InputError: no such source, model, device, class or folder, tiles out of range, or a model that gives no
            activation maps for `iam`: nothing has been written then.
    """
    folder = None if out is None else Path(out)
    sources = find_sources(source, recursive=recursive, out=folder)
    if folder is None and (save_json or save_masks or iam):
        raise InputError("save_json, save_masks and iam need a folder to write to, got none: give out")
    predictor = Predictor(
        model, device=device, half=half, batch=batch, score=score, tile=tile, overlap=overlap, scale=scale,
        diameter=diameter, max_instances=max_instances,
    )  # fmt: skip
    labels = labels_of(classes, predictor.classes)
    pictures = None if folder is None else Pictures(folder, sources, predictor.classes, masks=save_masks)
    coco = CocoFile(predictor.classes) if save_json else None
    run = _Run(sources, predictor, labels, pictures, coco, iam=iam)
    start = time.perf_counter()
    for result in run:
        if on_image is not None:
            on_image(result)
    results = None
    if folder is not None and coco is not None:
        results = folder / RESULTS_NAME
        coco.write(results)
    return run.report(out=folder, results=results, seconds=time.perf_counter() - start)


class _Image(NamedTuple):
    """One image, from when it is read until its instances are known."""

    place: int
    """Of its file among all."""
    page: int | None
    pages: int
    picture: NDArray[np.uint8]
    """(0, 0, 3) where it could not be read."""
    error: str | None = None
    tiles: int = 1


class _Run:
    """One pass over the files: an iterator of results that keeps the totals."""

    def __init__(
        self,
        sources: Sources,
        predictor: Predictor,
        labels: NDArray[np.int64] | None,
        pictures: Pictures | None,
        coco: CocoFile | None,
        *,
        iam: bool,
    ) -> None:
        self.sources, self.predictor, self.labels = sources, predictor, labels
        self.pictures, self.coco, self.iam = pictures, coco, iam
        self.names = sources.names
        self.waiting: deque[_Image] = deque()  # read, and not yet given back
        self.done = 0
        self.failures: list[Failure] = []
        self.counts = np.zeros(len(predictor.classes), np.int64)

    def __iter__(self) -> Iterator[ImageResult]:
        for instances, maps in self._found():
            yield from self._skipped()
            yield self._finished(self.waiting.popleft(), instances, maps)
        yield from self._skipped()

    def report(self, *, out: Path | None, results: Path | None, seconds: float) -> Report:
        """The totals."""
        found = [(self.predictor.classes[i], int(self.counts[i])) for i in np.argsort(-self.counts, kind="stable")]
        return Report(
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
            self.failures.append(Failure(self.sources.images[image.place], error, image.page))
            yield self._result(image, error=error)

    def _finished(self, image: _Image, instances: Instances, maps: ActivationMaps | None) -> ImageResult:
        self.done += 1
        self.counts += np.bincount(instances.labels, minlength=len(self.counts))
        if self.coco is not None:
            self.coco.add(self.done, page_name(self.names[image.place], image.page), instances)
        written = Written()
        if self.pictures is not None:
            stem = self.pictures.stem(image.place, image.page, image.pages)
            written = self.pictures.write(image.place, stem, image.picture, instances, maps)
        return self._result(image, instances=instances, **written._asdict())

    def _result(self, image: _Image, **became: Any) -> ImageResult:
        paths = self.sources.images
        return ImageResult(
            paths[image.place], image.place + 1, len(paths), self.predictor.classes, page=image.page,
            pages=image.pages, tiles=image.tiles, **became,
        )  # fmt: skip

    def _cuts(self) -> Iterator[Cut]:
        """The images that can be read, one after the other."""
        for index, path in enumerate(self.sources.images):
            for page in read_pages(path, self.predictor.preprocess.intensity):
                image = _Image(index, page.number, page.pages, _UNREAD)
                try:
                    picture = page.read()
                    cut = self.predictor.cut(picture)
                except InputError as error:
                    name, message = page_name(str(path), page.number), str(error)
                    self.waiting.append(image._replace(error=message if name in message else f"{name}: {message}"))
                    continue
                self.waiting.append(image._replace(picture=picture, tiles=len(cut.windows)))
                yield cut

    def _found(self) -> Iterator[tuple[Instances, ActivationMaps | None]]:
        """For each of them the instances of the classes asked for, with their maps if these are to be drawn."""
        found: Iterator[tuple[Instances, ActivationMaps | None]]
        if self.iam:
            found = self.predictor.results_with_maps(self._cuts())
        else:
            found = ((instances, None) for instances in self.predictor.results(self._cuts()))
        for instances, maps in found:
            keep = slice(None) if self.labels is None else np.isin(instances.labels, self.labels)
            yield instances[keep], None if maps is None else maps[keep]


def labels_of(names: Sequence[str] | None, known: Sequence[str]) -> NDArray[np.int64] | None:
    """(k,) labels of class names; None of None.

    Raises:
        InputError: a name that is not known, or none at all.
    """
    if names is None:
        return None
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise InputError(
            f"classes: expected names that the model knows, got {', '.join(map(repr, unknown)) or 'none'}; "
            f"it knows: {', '.join(known)}"
        )
    return np.array([known.index(name) for name in names], np.int64)
