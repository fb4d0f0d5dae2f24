"""The job of `sparseinst predict`: files in, overlays, results and label images out, one bad file never stopping it."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sparseinst.activation import ActivationMaps
from sparseinst.activation_sheet import draw_activation
from sparseinst.errors import InputError
from sparseinst.inference.backends import Backend
from sparseinst.inference.predictor import Predictor
from sparseinst.inference.results import Failure, ImageResult, Report
from sparseinst.inference.sources import list_sources
from sparseinst.inference.tiles import Cut
from sparseinst.inference.writers import output_stems, to_coco, write_image, write_json, write_labels
from sparseinst.modeling import SparseInst
from sparseinst.structures import Instances
from sparseinst.visualisation import draw, legible_scale
from sparseinst.zoo import DEFAULT_MODEL

RESULTS_NAME = "predictions.json"
_OVERLAY, _LABELS, _IAM = "_overlay", "_labels.png", "_iam.png"


class _Outputs(NamedTuple):
    """What is asked for: where to write, and which files besides the overlays."""

    folder: Path | None
    json: bool
    masks: bool
    iam: bool


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
    on_image: Callable[[ImageResult], None] | None = None,
) -> Report:
    """Finds instances in image files and writes what was found.

    Args:
        source: an image, a folder, a glob or a list file (see `list_sources`).
        model: a network, a backend, or the name or checkpoint file of a network.
        score: lowest score to keep; None takes the checkpoint's.
        classes: names of the classes to keep; None keeps all.
        out: folder for an overlay of each image (STEM_overlay.png, or .jpg for JPEG files) and what follows; None
            writes nothing.
        save_json: write predictions.json there: a COCO dataset with running ids, whose annotations carry `score`.
        save_masks: write STEM_labels.png there: 16 bits, 0 background, i + 1 where instance i is.
        iam: write STEM_iam.png there: the best instances beside their activation maps (see `draw_activation`).
        device: where to run.
        batch: images at once.
        half: compute in 16 bits.
        tile: cut larger images into tiles of this side, in pixels (see `Predictor`).
        overlap: pixels that neighbouring tiles share.
        scale: network pixels for each pixel of the image, in place of that of a network at native scale.
        diameter: or that of most objects in pixels of the image, from which the scale follows (see `at_scale`).
        max_instances: most instances in an image (see `Predictor`); None is what the network's settings say.
        on_image: called after each file, in order, with what became of it.

    Returns:
        The totals; a file that cannot be read is skipped and named in `failures`.

    Raises:
        InputError: no such source, model, device, class or folder, tiles out of range, or a model that gives no
            activation maps for `iam`: nothing has been written then.
    """
    paths = list_sources(source)
    if out is None and (save_json or save_masks or iam):
        raise InputError("save_json, save_masks and iam need a folder to write to, got none: give out")
    predictor = Predictor(
        model, device=device, half=half, batch=batch, score=score, tile=tile, overlap=overlap, scale=scale,
        diameter=diameter, max_instances=max_instances,
    )  # fmt: skip
    outputs = _Outputs(_folder(out), save_json, save_masks, iam)
    run = _Run(paths, predictor, labels_of(classes, predictor.classes), outputs)
    start = time.perf_counter()
    for result in run:
        if on_image is not None:
            on_image(result)
    return run.report(time.perf_counter() - start)


class _Written(NamedTuple):
    """The pictures of one image."""

    overlay: Path | None = None
    labels: Path | None = None
    iam: Path | None = None


class _Run:
    """One pass over the files: an iterator of results that keeps the totals."""

    def __init__(
        self,
        paths: Sequence[Path],
        predictor: Predictor,
        labels: NDArray[np.int64] | None,
        outputs: _Outputs,
    ) -> None:
        self.paths, self.predictor, self.labels, self.outputs = paths, predictor, labels, outputs
        endings = [f"{_OVERLAY}.png", f"{_OVERLAY}.jpg", _LABELS, _IAM]
        self.stems = [] if outputs.folder is None else output_stems(paths, outputs.folder, endings)
        self.one_folder = len({path.parent for path in paths}) == 1
        self.pictures: dict[int, NDArray[np.uint8]] = {}  # read, and not yet given back
        self.errors: dict[int, str] = {}
        self.failures: list[Failure] = []
        self.counts = np.zeros(len(predictor.classes), np.int64)
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def __iter__(self) -> Iterator[ImageResult]:
        done = 0
        for instances, maps in self._found():
            index = next(iter(self.pictures))
            yield from self._skipped(range(done, index))
            done = index + 1
            self._count(index, instances)
            written = self._write(index, self.pictures.pop(index), instances, maps)
            yield self._result(index, instances=instances, **written._asdict())
        yield from self._skipped(range(done, len(self.paths)))

    def report(self, seconds: float) -> Report:
        """The totals; writes the COCO file."""
        results = None
        if self.outputs.folder is not None and self.outputs.json:
            results = self.outputs.folder / RESULTS_NAME
            categories = [{"id": i + 1, "name": name} for i, name in enumerate(self.predictor.classes)]
            write_json(results, {"images": self.images, "annotations": self.annotations, "categories": categories})
        found = [(self.predictor.classes[i], int(self.counts[i])) for i in np.argsort(-self.counts, kind="stable")]
        return Report(
            images=len(self.paths) - len(self.failures),
            instances=int(self.counts.sum()),
            per_class={name: count for name, count in found if count},
            failures=tuple(self.failures),
            out=self.outputs.folder,
            results=results,
            seconds=seconds,
        )

    def _skipped(self, indices: range) -> Iterator[ImageResult]:
        """The files that could not be read."""
        for index in indices:
            self.failures.append(Failure(self.paths[index], self.errors[index]))
            yield self._result(index, error=self.errors[index])

    def _result(self, index: int, **became: Any) -> ImageResult:
        return ImageResult(self.paths[index], index + 1, len(self.paths), self.predictor.classes, **became)

    def _cuts(self) -> Iterator[Cut]:
        """The images that can be read."""
        for index, path in enumerate(self.paths):
            try:
                picture = self.predictor.read(path)
                cut = self.predictor.cut(picture)
            except InputError as error:
                message = str(error)
                self.errors[index] = message if str(path) in message else f"{path}: {message}"
                continue
            self.pictures[index] = picture
            yield cut

    def _found(self) -> Iterator[tuple[Instances, ActivationMaps | None]]:
        """For each of them the instances of the classes asked for, with their maps if these are to be drawn."""
        found: Iterator[tuple[Instances, ActivationMaps | None]]
        if self.outputs.iam:
            found = self.predictor.results_with_maps(self._cuts())
        else:
            found = ((instances, None) for instances in self.predictor.results(self._cuts()))
        for instances, maps in found:
            keep = slice(None) if self.labels is None else np.isin(instances.labels, self.labels)
            yield instances[keep], None if maps is None else maps[keep]

    def _count(self, index: int, instances: Instances) -> None:
        self.counts += np.bincount(instances.labels, minlength=len(self.counts))
        if not self.outputs.json:
            return
        height, width = instances.size_hw
        path = self.paths[index]
        name = path.name if self.one_folder else path.as_posix()
        self.images.append({"id": index + 1, "file_name": name, "width": width, "height": height})
        records = to_coco(instances, index + 1, range(1, len(self.counts) + 1))
        for record, box, area in zip(records, instances.boxes, instances.areas, strict=True):
            x0, y0, x1, y1 = box.tolist()
            record |= {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": float(area), "iscrowd": 0}
            self.annotations.append({"id": len(self.annotations) + 1, **record})

    def _write(
        self, index: int, picture: NDArray[np.uint8], instances: Instances, maps: ActivationMaps | None
    ) -> _Written:
        if self.outputs.folder is None:
            return _Written()
        stem, classes = f"{self.outputs.folder / self.stems[index]}", self.predictor.classes
        suffix = ".jpg" if self.paths[index].suffix.lower() in (".jpg", ".jpeg") else ".png"
        overlay = Path(f"{stem}{_OVERLAY}{suffix}")
        write_image(overlay, draw(picture, instances, classes, scale=legible_scale(instances.size_hw)))
        labels = iam = None
        if self.outputs.masks:
            labels = Path(f"{stem}{_LABELS}")
            write_labels(labels, instances)
        if maps is not None:
            iam = Path(f"{stem}{_IAM}")
            write_image(iam, draw_activation(picture, instances, maps, classes))
        return _Written(overlay, labels, iam)


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


def _folder(out: str | Path | None) -> Path | None:
    if out is None:
        return None
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"out {folder}: expected a folder that can be written to: {error}") from error
    return folder
