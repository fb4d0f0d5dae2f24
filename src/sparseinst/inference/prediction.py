"""The job of `sparseinst predict`: files in, overlays, results and label images out, one bad file never stopping it."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from sparseinst.config.preprocess import RGB
from sparseinst.data.physical import PixelSize
from sparseinst.data.sources import Sources, find_sources
from sparseinst.data.stacks.stack import View
from sparseinst.errors import InputError
from sparseinst.inference.fingerprint import of_files, of_pipeline
from sparseinst.inference.image_run import ImageRun, OnTileRow
from sparseinst.inference.options import PipelineOptions, labels_of
from sparseinst.inference.outcome import ImageResult, RunSummary
from sparseinst.inference.outputs import Pictures
from sparseinst.inference.pipeline import Pipeline
from sparseinst.inference.predictions_file import PredictionsFile
from sparseinst.modeling.model import SparseInst
from sparseinst.runtime.backends import Backend
from sparseinst.version import __version__
from sparseinst.zoo.names import DEFAULT_MODEL

RESULTS_NAME = "predictions.json"


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
    recursive: bool = False,
    view: View | None = None,
    pixel_um: float | None = None,
    on_image: Callable[[ImageResult], None] | None = None,
    on_row: OnTileRow | None = None,
    resume: bool = False,
    stop: Event | None = None,
    **options: Unpack[PipelineOptions],
) -> RunSummary:
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
        save_json: write predictions.json there: a COCO dataset with running ids, whose annotations carry `score`. Until
            the run is done it is kept line by line (see `PredictionsFile`).
        save_masks: write STEM_labels.png there: 16 bits, 0 background, i + 1 where instance i is. From 65,536 instances
            on it is STEM_labels.tif, of 32 bits.
        iam: write STEM_iam.png there: the best instances beside their activation maps (see `draw_activation`).
        recursive: take the images of a folder's subfolders, too, but for those in `out`. Results then name images by
            their paths in the folder, and files about them begin with the names of their subfolders: sub_STEM.
        view: opens files by their axes (OME-TIFF, ImageJ's TIFF, OME-Zarr): one channel of each plane of each time
            point, or a projection of the planes, is an image of its own, numbered in this order. None takes pages as
            they come.
        pixel_um: micrometres of a pixel of all images; None is what the files say. A network that states its own sees
            images at the scale that follows.
        on_image: called after each file or page, in order, with what became of it.
        on_row: called after each row of tiles of a very large image, with its path, the rows done and their number.
        resume: go on with a run that did not finish (`save_json`), after the images that it did; where there is none,
            begin. Images and settings have to be the same.
        stop: once set (by a signal handler, say), no further image is gone through; predictions.json then holds those
            that were, and `resume` goes on.
        **options: how images are looked at, as `PipelineOptions` describes: device, batch, tile, scale and so on.

    Returns:
        The totals; a file or page that cannot be read is skipped and named in `failures`, and what else a folder holds
        in `unread`.

    Raises:
        InputError: no such source, model, device, class or folder, tiles out of range, or a model that gives no
            activation maps for `iam`; a run to go on with that had other settings. Nothing has been written then.
    """
    folder = None if out is None else Path(out)
    sources = find_sources(source, recursive=recursive, out=folder, stacks=True)
    if folder is None and (save_json or save_masks or iam):
        raise InputError("save_json, save_masks and iam need a folder to write to, got none: give out")
    if resume and not save_json:
        raise InputError("resume: expected save_json, whose lines say what was done: give it, too")
    if pixel_um is not None and not pixel_um > 0:
        raise InputError(f"pixel_um must be above 0, got {pixel_um}: give the micrometres of a pixel")
    pipeline = Pipeline(model, score=score, **options)
    _check_view(view, pipeline)
    labels = labels_of(classes, pipeline.classes)
    pictures = None if folder is None else Pictures(folder, sources, pipeline.classes, masks=save_masks)
    pixel = None if pixel_um is None else PixelSize(pixel_um, pixel_um)
    marks = {} if folder is None else _marks(sources, pipeline, labels, view, pixel_um, masks=save_masks, iam=iam)
    start, stop = time.perf_counter(), stop or Event()
    with ExitStack() as opened:
        kept, results = None, None
        if folder is not None and save_json:
            results = folder / RESULTS_NAME
            kept = opened.enter_context(PredictionsFile(results, pipeline.classes, marks, resume=resume))
        run = ImageRun(
            sources, pipeline, labels, pictures, kept, iam=iam, on_row=on_row, view=view, pixel=pixel, stop=stop
        )  # fmt: skip
        for result in run:
            if on_image is not None:
                on_image(result)
        if kept is not None:
            kept.complete = not run.is_stopped
    return run.tally.report(out=folder, results=results, seconds=time.perf_counter() - start)


def _marks(
    sources: Sources, pipeline: Pipeline, labels: NDArray[np.int64] | None, view: View | None, pixel_um: float | None,
    *, masks: bool, iam: bool,
) -> dict[str, Any]:  # fmt: skip
    """All that the results of a run depend on, and which files it writes."""
    return of_pipeline(pipeline) | {
        "images": of_files(sources.images), "classes": None if labels is None else labels.tolist(),
        "channel and project": None if view is None else repr(view), "pixel size": pixel_um,
        "save_masks": masks, "iam": iam, "version": __version__,
    }  # fmt: skip


def _check_view(view: View | None, pipeline: Pipeline) -> None:
    """Raises InputError where one channel or a projection is to be looked at by a network that takes all channels."""
    channels = pipeline.preprocess.channels
    if channels != RGB and view not in (None, View()):
        raise InputError(
            f"expected all {channels} channels of each plane, which is what the network takes, got one channel or a "
            "projection to look at: leave --channel and --project out"
        )
