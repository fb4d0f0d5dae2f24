"""From a network and annotated images to COCO's figures."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from sparseinst.data.coco import CocoDataset, read_told
from sparseinst.data.formats.content import Content
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.formats.source import Split
from sparseinst.errors import InputError
from sparseinst.evaluation.coco_eval import Scored, check_max_dets, score_results
from sparseinst.evaluation.counting import count_objects
from sparseinst.evaluation.figures import Evaluation
from sparseinst.evaluation.oddities import oddities
from sparseinst.evaluation.report.contents import evaluation_facts
from sparseinst.evaluation.report.files import write_report
from sparseinst.evaluation.report.folder import check_report_folder
from sparseinst.inference.options import PipelineOptions
from sparseinst.inference.pipeline import Pipeline
from sparseinst.inference.tiles import Cut
from sparseinst.inference.writers import to_coco, write_json
from sparseinst.modeling.model import SparseInst
from sparseinst.runtime.backends import Backend
from sparseinst.structures import Instances

_LOGGER = logging.getLogger(__name__)


def evaluate(
    model: SparseInst | Backend | str | Path,
    images: str | Path | Split | None = None,
    annotations: str | Path | None = None,
    *,
    data: str | Path | None = None,
    part: str | None = None,
    workers: int = 2,
    max_dets: int = 100,
    save: str | Path | None = None,
    groups: Mapping[int, str] | None = None,
    report: str | Path | None = None,
    model_name: str | None = None,
    on_image: Callable[[Path, Instances], None] | None = None,
    **options: Unpack[PipelineOptions],
) -> Evaluation:
    """Mask AP of a network on annotated images; everything above its gate counts.

    Args:
        model: a network, a backend, or the name or checkpoint of a network.
        images: folder of the images; or a part of a data set of any format (`resolve_data(...).val`).
        annotations: COCO file, unless that part brings its own; its categories and the model's classes meet by name.
        data: or what `train` takes: a folder or file of a data set in any format that `resolve_data` knows.
        part: of `data`: "train", "val" or "test"; None for its validation images, or the only part that it has.
        workers: threads that read and resize images; 0 reads them in between.
        max_dets: highest-scored detections of a class in an image that count.
        save: where to write the detections as a COCO results list.
        groups: image id -> name of a group; AP is then also given for each group.
        report: folder for a page of figures, charts and the worst images, and all numbers as JSON (see `write_report`).
        model_name: what the report calls the model; None takes the name given, or the kind of what was given.
        on_image: called after each image, in order, with its file and what was found in it.
        **options: how images are looked at, as `PipelineOptions` describes: device, batch, tile, scale and so on.

    Raises:
        InputError: the files do not fit each other or the model, or the report's folder holds something else.
    """
    if workers < 0:
        raise InputError(f"workers must be at least 0, got {workers}: give the number of reading threads")
    check_max_dets(max_dets)
    if report is not None:
        check_report_folder(Path(report))
    split = _split(images, annotations, data, part)
    pipeline = Pipeline(model, score=0.0, **options)
    content = read_told(split)
    dataset = CocoDataset.of(split, content).remap(pipeline.classes)
    results = detect(pipeline, dataset, workers=workers, on_image=on_image)
    if save is not None:
        write_json(Path(save), results)
        _LOGGER.info("%s: %d detections", save, len(results))
    score = pipeline.backend.config.postprocess.score
    scored = score_found(split, results, score=score, max_dets=max_dets, groups=groups, content=content)
    if report is not None:
        name = model_name or (str(model) if isinstance(model, str | Path) else type(model).__name__)
        facts = evaluation_facts(pipeline, dataset, model=name, half=options.get("half", False))
        write_report(Path(report), scored, dataset, facts, groups=groups)
    return scored.evaluation


def score_found(
    split: Split,
    results: Sequence[Mapping[str, Any]],
    *,
    score: float,
    max_dets: int,
    groups: Mapping[int, str] | None = None,
    content: Content | None = None,
) -> Scored:
    """All figures of a network's detections: COCO's, counts, and what is odd about them.

    Args:
        split: the annotated images.
        results: COCO results of all of them, from `detect`.
        score: lowest score that the network shows by itself; objects are counted there.
        max_dets: highest-scored detections of a class in an image that count.
        groups: image id -> name of a group; AP is then also given for each group.
        content: what was read of the split already.
    """
    content = read_told(split) if content is None else content
    scored = score_results(split.annotations, results, max_dets=max_dets, groups=groups, content=content)
    odd = oddities(scored.detections, score=score)
    counts = count_objects(scored.truth, scored.detections, score=score, max_dets=max_dets, groups=groups)
    return scored._replace(evaluation=replace(scored.evaluation, twins=odd.twins, pieces=odd.pieces, counts=counts))


def detect(
    pipeline: Pipeline,
    dataset: CocoDataset,
    *,
    workers: int,
    images: Sequence[int] | None = None,
    on_image: Callable[[Path, Instances], None] | None = None,
) -> list[dict[str, Any]]:
    """COCO results of images of a data set; what is of a class that it does not know is left out.

    Args:
        pipeline: what finds them.
        dataset: its labels are the network's (see `CocoDataset.remap`).
        workers: threads that read and resize images; 0 reads them in between.
        images: which of them; None for all.
        on_image: called after each image, in order, with its file and what was found in it.
    """
    images = range(len(dataset)) if images is None else images
    results: list[dict[str, Any]] = []
    for index, instances in zip(images, pipeline.found(_cuts(dataset, images, pipeline, workers)), strict=True):
        results += to_coco(instances, int(dataset.image_ids[index]), dataset.category_ids)
        if on_image is not None:
            on_image(dataset.path(index), instances)
    return [item for item in results if item["category_id"] != -1]


def _split(
    images: str | Path | Split | None, annotations: str | Path | None, data: str | Path | None, part: str | None
) -> Split:
    if data is None and images is None:
        raise InputError("expected images with annotations, or data, got neither: name what to measure on")
    if data is not None:
        if images is not None or annotations is not None:
            raise InputError("expected data, or images with annotations, got both: leave one out")
        return resolve_data(data).part(part)
    if part is not None:
        raise InputError(f"part {part!r}: expected data with it, got images: leave part out")
    if isinstance(images, Split):
        return images
    if annotations is None:
        raise InputError(f"{images}: expected the annotations of these images, got none: name their COCO file")
    assert images is not None
    return Split(images=Path(images), annotations=Path(annotations))


def _cuts(dataset: CocoDataset, images: Sequence[int], pipeline: Pipeline, workers: int) -> Iterator[Cut]:
    """Images as the network takes them, read ahead by `workers` threads."""

    def read(index: int) -> Cut:
        return pipeline.cut(dataset.image(index, pipeline.preprocess))

    if not workers or pipeline.estimates:  # the network itself would run in those threads
        yield from map(read, images)
        return
    # images to be cut are large, and each fills batches by itself
    ahead = 2 * workers + (pipeline.lookahead if pipeline.tiling is None else 1)
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(read, index) for index in images[:ahead]]
        for place in range(len(images)):
            yield futures.pop(0).result()
            if place + ahead < len(images):
                futures.append(pool.submit(read, images[place + ahead]))
