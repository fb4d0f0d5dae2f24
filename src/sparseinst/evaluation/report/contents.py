"""All that the report of an evaluation says."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sparseinst.config.preprocess import NativeConfig, PreprocessConfig
from sparseinst.data.coco import CocoDataset
from sparseinst.evaluation.boundary import BoundaryEvaluator
from sparseinst.evaluation.calibration import Calibration, Thresholds, calibrate, thresholds
from sparseinst.evaluation.coco_eval import Scored
from sparseinst.evaluation.confusion import Confusion, confusion
from sparseinst.evaluation.figures import Evaluation, Figures, nulled
from sparseinst.evaluation.matching import match
from sparseinst.evaluation.report.curves import Curve, curves
from sparseinst.evaluation.report.worst import Outcome
from sparseinst.files import file_hash
from sparseinst.inference.pipeline import Pipeline
from sparseinst.runtime.origin import origin

_COUNTS = ((1, 10), (11, 30), (31, 100), (101, None))
"""Bins of images by their annotated instances."""


@dataclass(frozen=True)
class EvaluationFacts:
    """What was evaluated, and where.

    Args:
        model: as it was given.
        backend: what ran it, and where that is known its device and precision.
        frame: how images were brought to it.
        images: folder of the images.
        annotations: the annotation file.
        annotations_sha256: of its content; of other formats than COCO, of all that was read from them.
        score: default lowest score that prediction shows.
        preprocess: how the images were read.
        origin: machine, versions and commit (see `inference.origin`).
    """

    model: str
    backend: str
    frame: str
    images: str
    annotations: str
    annotations_sha256: str
    score: float
    preprocess: PreprocessConfig
    origin: Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """The figures of some of the images."""

    name: str
    images: int
    instances: int
    figures: Figures


@dataclass(frozen=True)
class WorstImage:
    """One of the worst images, with the picture drawn of it, relative to the page."""

    file_name: str
    image_id: int
    picture: str
    outcome: Outcome


@dataclass(frozen=True)
class Report:
    """All that the page shows.

    Args:
        about: what was evaluated.
        evaluation: the figures.
        boundary: the figures by boundary IoU.
        by_count: by the number of annotated instances in an image.
        by_group: by the groups given.
        curves: precision over recall: the mean over classes, then each class; empty without instances.
        confusion: of the masks at the default score.
        calibration: of the scores of all masks.
        thresholds: what each score threshold shows.
        worst: the images of lowest F1 at the default score.
    """

    about: EvaluationFacts
    evaluation: Evaluation
    boundary: Figures
    by_count: tuple[Part, ...]
    by_group: tuple[Part, ...]
    curves: tuple[Curve, ...]
    confusion: Confusion
    calibration: Calibration
    thresholds: Thresholds
    worst: tuple[WorstImage, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values; figures that do not exist are null."""
        content = asdict(self)
        content["about"]["preprocess"] = self.about.preprocess.model_dump(mode="json")
        return {"report": "sparseinst evaluate", **nulled(content)}


def evaluation_facts(pipeline: Pipeline, dataset: CocoDataset, *, model: str, half: bool = False) -> EvaluationFacts:
    """What a report says of a model (named `model`, `half` if told to compute in 16 bits) on a data set."""
    backend, preprocess = pipeline.backend, pipeline.preprocess
    exported = getattr(backend, "exported", None)
    details = [type(backend).__name__.removesuffix("Backend")]
    details += [str(backend.device)] if hasattr(backend, "device") else []
    details += [exported.precision] if exported is not None else []
    details += ["16 bits"] if half else []
    frame = preprocess.frame_hw
    padded = "multiples of 32" if frame is None else f"{frame[0]} x {frame[1]} (height x width)"
    resized = (
        f"{preprocess.scale:g} network pixels for each pixel of the image"
        if isinstance(preprocess, NativeConfig)
        else f"{preprocess.short_px} px on the short side, at most {preprocess.long_px} on the long"
    )
    tiling = pipeline.tiling
    cut = "" if tiling is None else f"tiles of {tiling.tile} px with {tiling.overlap} px overlap, "
    if tiling is None and pipeline.cuts_itself and isinstance(preprocess, NativeConfig) and frame is None:
        cut = f"tiles of what is larger than {preprocess.one_pass_px} x {preprocess.one_pass_px} network pixels, "
    return EvaluationFacts(
        model=model,
        backend=", ".join(details),
        frame=f"{cut}{resized}, padded to {padded}",
        images=str(dataset.images_dir),
        annotations=str(dataset.annotations),
        annotations_sha256=_digest(dataset),
        score=backend.config.postprocess.score,
        preprocess=preprocess,
        origin=origin(),
    )


def _digest(dataset: CocoDataset) -> str:
    """Of the annotation file, or where there are many of all that was read."""
    alone = dataset.annotations.suffix.lower() == ".json" and dataset.annotations.is_file()
    return file_hash(dataset.annotations) if alone else dataset.records.digest()


def make_report(
    scored: Scored, about: EvaluationFacts, worst: Sequence[WorstImage], *, groups: Mapping[int, str]
) -> Report:
    """Computes all that a report shows, but for the pictures."""
    evaluation, image_ids = scored.evaluation, [image["id"] for image in scored.truth["images"]]
    instances = Counter(dict.fromkeys(image_ids, 0))
    instances.update(item["image_id"] for item in scored.truth["annotations"] if not item["iscrowd"])
    shown = match(
        scored.truth, scored.detections, max_dets=evaluation.max_dets, by_class=False, min_score=about.score
    )  # fmt: skip
    by_count = []
    for low, high in _COUNTS:
        members = [key for key in image_ids if low <= instances[key] and (high is None or instances[key] <= high)]
        if members:
            name = f"{low} or more instances" if high is None else f"{low} to {high} instances"
            by_count.append(_part(name, members, instances, scored.figures(members)))
    return Report(
        about=about,
        evaluation=evaluation,
        boundary=scored.figures(image_ids, evaluator=BoundaryEvaluator),
        by_count=tuple(by_count),
        by_group=tuple(
            _part(name, [key for key, group in groups.items() if group == name], instances, figures)
            for name, figures in evaluation.per_group.items()
        ),
        curves=curves(scored.precision, evaluation.per_class),
        confusion=confusion(shown, [item.name for item in evaluation.per_class]),
        calibration=calibrate(scored.matches, shown=about.score),
        thresholds=thresholds(scored.matches),
        worst=tuple(worst),
    )


def _part(name: str, members: Sequence[int], instances: Mapping[int, int], figures: Figures) -> Part:
    return Part(name, len(members), sum(instances[key] for key in members), figures)
