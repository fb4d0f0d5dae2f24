"""COCO's mask AP of a results list, through faster-coco-eval."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from sparseinst.collection import collection_paused
from sparseinst.data.formats.reading import read_content
from sparseinst.data.formats.source import Split
from sparseinst.data.records import parse_records
from sparseinst.errors import InputError
from sparseinst.evaluation.calibration import thresholds
from sparseinst.evaluation.figures import NOTHING, ClassFigures, Evaluation, Figures, figures, mean
from sparseinst.evaluation.inputs import detections, ground_truth, groups_of
from sparseinst.evaluation.matching import Matches, match

Accumulated = tuple[NDArray[np.float64], NDArray[np.float64]]
"""COCO's precision (IoUs, recalls, classes, areas, caps) and recall (the same without recalls)."""

_ROUND = 100
"""The covering cap is the next multiple of this."""


def evaluate_results(
    annotations: str | Path,
    results: str | Path | Sequence[Mapping[str, Any]],
    *,
    max_dets: int = 100,
    groups: Mapping[int, str] | None = None,
) -> Evaluation:
    """Mask AP of detections against annotations, equal to pycocotools.

    Args:
        annotations: COCO file; crowds are ignored, as COCO does.
        results: COCO results [{"image_id", "category_id", "score", "segmentation": RLE}], or their file. Where the
            records carry a bbox, COCO sorts them into small, medium and large by its area.
        max_dets: highest-scored detections of a class in an image that count.
        groups: image id -> name of a group; AP is then also given for each group.

    Raises:
        InputError: a file is not of its form, or a result names an image or category that is not in the annotations.
    """
    path = Path(annotations)
    with collection_paused():
        content = read_content(Split(images=path.parent, annotations=path))
        parse_records(path, content)  # checks every record
        return score_results(path, results, max_dets=max_dets, groups=groups, content=content).evaluation


class Scored(NamedTuple):
    """An evaluation with what it was made of, for a closer look."""

    evaluation: Evaluation
    truth: dict[str, Any]
    """COCO annotations as `inputs.ground_truth` gives them; annotation i has id i + 1."""
    detections: list[dict[str, Any]]
    """COCO results, checked."""
    matches: Matches
    """Of all of them, by class."""
    precision: NDArray[np.float64]
    """(IoUs, recalls, classes), of all areas at the evaluation's `max_dets`; -1 for a class without instances."""
    gt: Any
    dt: Any

    def figures(self, image_ids: Sequence[int], *, evaluator: type[COCOeval_faster] = COCOeval_faster) -> Figures:
        """The figures of some of the images, or those of another evaluator."""
        max_dets = self.evaluation.max_dets
        precision, recall = _accumulate(self.gt, self.dt, [max_dets], image_ids, evaluator)
        return Figures(**figures(precision, recall, cap=0, max_dets=max_dets))


@collection_paused()
def score_results(
    annotations: str | Path,
    results: str | Path | Sequence[Mapping[str, Any]],
    *,
    max_dets: int,
    groups: Mapping[int, str] | None,
    content: Mapping[str, Any] | None = None,
) -> Scored:
    """`evaluate_results` of annotations that have been checked already; `content` where they have been read, too."""
    check_max_dets(max_dets)
    path = Path(annotations)
    content = read_content(Split(images=path.parent, annotations=path)) if content is None else content
    truth = ground_truth(content, path)
    found = detections(results, truth, path)
    counted = [item for item in truth["annotations"] if not item["iscrowd"]]
    most = max(Counter((item["image_id"], item["category_id"]) for item in counted).values(), default=0)
    caps = [max_dets] if most <= max_dets else [max_dets, -(-most // _ROUND) * _ROUND]
    gt = COCO(truth)
    dt = _loaded(gt, truth, found)
    precision, recall = _accumulate(gt, dt, caps, [image["id"] for image in truth["images"]])
    matches = match(truth, found, max_dets=max_dets)
    by_score = thresholds(matches)
    evaluation = Evaluation(
        **figures(precision, recall, cap=0, max_dets=max_dets),
        images=len(truth["images"]),
        instances=len(counted),
        detections=len(found),
        most_instances=most,
        best_f1=max(by_score.f1) if counted else NOTHING,
        best_score=by_score.best if counted else NOTHING,
        covering=Figures(**figures(precision, recall, cap=1, max_dets=caps[1])) if len(caps) > 1 else None,
        per_class=_per_class(precision, truth["categories"], Counter(item["category_id"] for item in counted)),
        per_group={
            name: Figures(**figures(*_accumulate(gt, dt, caps[:1], members), cap=0, max_dets=max_dets))
            for name, members in groups_of(groups or {}, truth, path)
        },
    )
    return Scored(evaluation, truth, found, matches, precision[:, :, :, 0, 0], gt, dt)


def _loaded(gt: Any, truth: Mapping[str, Any], found: list[dict[str, Any]]) -> Any:
    """Results as COCO's own loader gives them, without its pass over all masks: their areas are known."""
    if not found or found[0].get("bbox"):
        return gt.loadRes(found)
    for number, item in enumerate(found, 1):
        item["id"], item["iscrowd"] = number, 0
    return COCO({**truth, "annotations": found})


def check_max_dets(max_dets: int) -> None:
    """Raises InputError if no detection would count."""
    if max_dets < 1:
        raise InputError(f"max_dets must be at least 1, got {max_dets}: give the detections of an image that count")


def _accumulate(
    gt: Any, dt: Any, caps: Sequence[int], image_ids: Sequence[int], kind: type[COCOeval_faster] = COCOeval_faster
) -> Accumulated:
    evaluator = kind(gt, dt, iouType="segm")
    evaluator.params.imgIds = sorted(image_ids)
    evaluator.params.maxDets = list(caps)
    evaluator.evaluate()
    evaluator.accumulate()
    shape = (len(evaluator.params.iouThrs), -1, len(evaluator.params.catIds), len(evaluator.params.areaRng), len(caps))
    precision = np.asarray(evaluator.eval["precision"], np.float64).reshape(shape)
    recall = np.asarray(evaluator.eval["recall"], np.float64).reshape(shape[0], *shape[2:])
    return precision, recall


def _per_class(
    precision: NDArray[np.float64], categories: Sequence[Mapping[str, Any]], instances: Mapping[int, int]
) -> tuple[ClassFigures, ...]:
    ordered = sorted(categories, key=lambda item: int(item["id"]))
    return tuple(
        ClassFigures(
            item["name"], instances[item["id"]], mean(precision[:, :, k, 0, 0]), mean(precision[0, :, k, 0, 0])
        )
        for k, item in enumerate(ordered)
    )
