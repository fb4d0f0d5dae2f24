"""COCO figures against pycocotools, on real annotations with perturbed ground truth as predictions."""

import contextlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as oracle_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from perturbed import perturbed
from real import NUCLEI, PHOTOGRAPHS
from scenes import random_scene, write_truth
from sparseinst import InputError
from sparseinst.evaluation.coco_eval import evaluate_results
from sparseinst.evaluation.figures import Evaluation

NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar")


def oracle(annotations: Path, results: list[dict[str, Any]], *, cap: int = 100) -> tuple[dict[str, float], list[float]]:
    """pycocotools' figures, and its AP of each class."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluator = COCOeval(truth, truth.loadRes(json.loads(json.dumps(results))), "segm")
        evaluator.params.maxDets = [1, 10, cap]
        evaluator.evaluate()
        evaluator.accumulate()

    def mean(values: np.ndarray) -> float:
        return float(values[values > -1].mean()) if (values > -1).any() else -1.0

    precision, recall = evaluator.eval["precision"], evaluator.eval["recall"]
    at = precision[..., 2]
    values = (at[..., 0], at[0, :, :, 0], at[5, :, :, 0], at[..., 1], at[..., 2], at[..., 3], recall[:, :, 0, 2])
    classes = [mean(at[:, :, k, 0]) for k in range(at.shape[2])]
    return dict(zip(NAMES, map(mean, values), strict=True)), classes


@pytest.fixture(scope="module", params=[NUCLEI / "train.json", PHOTOGRAPHS / "val.json"], ids=["nuclei", "photographs"])
def annotated(request: pytest.FixtureRequest) -> tuple[Path, list[dict[str, Any]]]:
    """Annotations of real images, and results that are nearly them."""
    return request.param, perturbed(request.param)


def assert_equals_pycocotools(found: Evaluation, annotations: Path, results: list[dict[str, Any]]) -> None:
    expected, classes = oracle(annotations, results)
    assert {name: getattr(found, name) for name in NAMES} == pytest.approx(expected, abs=1e-6)
    assert [one.ap for one in found.per_class] == pytest.approx(classes, abs=1e-6)


def test_equals_pycocotools(annotated: tuple[Path, list[dict[str, Any]]]) -> None:
    annotations, results = annotated
    found = evaluate_results(annotations, results)
    assert 0.2 < found.ap < 0.7
    assert_equals_pycocotools(found, annotations, results)
    assert found.covering is None and found.detections == len(results)


@pytest.mark.parametrize("seed", (0, 2, 3, 4, 5))
def test_equals_pycocotools_where_there_are_crowds(tmp_path: Path, seed: int) -> None:
    annotations, results = random_scene(seed)
    assert any(item["iscrowd"] for item in annotations)
    path = write_truth(tmp_path / "truth.json", annotations, images=6)
    content = json.loads(path.read_text())
    for number, item in enumerate(content["annotations"], start=1):  # pycocotools takes no 0 and asks for areas
        item |= {"id": number, "area": int(oracle_mask.area(item["segmentation"]))}
    path.write_text(json.dumps(content))
    found = evaluate_results(path, results)
    assert 0 < found.ap < 1
    assert_equals_pycocotools(found, path, results)


@pytest.mark.data
def test_equals_pycocotools_on_photographs_of_many_classes(shared: Path) -> None:
    annotations = shared / "data/coco_mini/val.json"
    results = perturbed(annotations)
    assert any(item["iscrowd"] for item in json.loads(annotations.read_text())["annotations"])
    found = evaluate_results(annotations, results)
    assert 0.3 < found.ap < 0.6
    assert_equals_pycocotools(found, annotations, results)
    assert sum(one.ap >= 0 for one in found.per_class) > 40
    assert any(one.ap == -1 for one in found.per_class)


def test_results_may_come_from_a_file(annotated: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    annotations, results = annotated
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert evaluate_results(annotations, tmp_path / "results.json") == evaluate_results(annotations, results)


def test_says_when_an_image_holds_more_than_the_cap() -> None:
    annotations = NUCLEI / "val.json"
    truth = json.loads(annotations.read_text())["annotations"]
    keys = ("image_id", "category_id", "segmentation")
    results = [{**{key: item[key] for key in keys}, "score": 1.0} for item in truth]
    found = evaluate_results(annotations, results)
    assert found.most_instances > 100 and found.covering is not None
    assert found.covering.max_dets % 100 == 0 and found.covering.max_dets >= found.most_instances
    assert found.covering.ap == pytest.approx(1, abs=1e-6) and found.covering.ar == 1
    counts = Counter(item["image_id"] for item in truth)
    reachable = sum(min(count, 100) for count in counts.values()) / len(truth)
    assert found.ar == pytest.approx(reachable, abs=1e-6) and reachable < 0.7
    assert_equals_pycocotools(found, annotations, results)
    wide = evaluate_results(annotations, results, max_dets=found.covering.max_dets)
    assert wide.covering is None and wide.ap == found.covering.ap


def test_groups_are_evaluated_by_themselves(annotated: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    annotations, results = annotated
    truth = json.loads(annotations.read_text())
    half = {image["id"] for image in truth["images"][::2]}
    groups = {image["id"]: "even" if image["id"] in half else "odd" for image in truth["images"]}
    found = evaluate_results(annotations, results, groups=groups)
    truth["images"] = [image for image in truth["images"] if image["id"] in half]
    truth["annotations"] = [item for item in truth["annotations"] if item["image_id"] in half]
    (tmp_path / "half.json").write_text(json.dumps(truth))
    expected, _ = oracle(tmp_path / "half.json", [item for item in results if item["image_id"] in half])
    assert list(found.per_group) == ["even", "odd"]
    assert {name: getattr(found.per_group["even"], name) for name in NAMES} == pytest.approx(expected, abs=1e-6)
    with pytest.raises(InputError, match=r"groups: .* 123456"):
        evaluate_results(annotations, results, groups={123456: "even"})


def written(folder: Path, **changes: Any) -> Path:
    """An annotation file with two classes and one instance of the first, whose id is 0."""
    content = {
        "images": [{"id": 7, "file_name": "a.png", "height": 4, "width": 4}],
        "categories": [{"id": 3, "name": "disc"}, {"id": 9, "name": "box"}],
        "annotations": [{"id": 0, "image_id": 7, "category_id": 3, "bbox": [0, 0, 2, 2], "area": 4, "iscrowd": 0,
                         "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]}],
    }  # fmt: skip
    path = folder / "annotations.json"
    path.write_text(json.dumps(content | changes))
    return path


def result(**changes: Any) -> dict[str, Any]:
    counts = oracle_mask.frPyObjects([[0, 0, 2, 0, 2, 2, 0, 2]], 4, 4)[0]["counts"].decode()
    return {"image_id": 7, "category_id": 3, "score": 0.5, "segmentation": {"size": [4, 4], "counts": counts}} | changes


def test_an_annotation_with_id_0_can_be_found(tmp_path: Path) -> None:
    assert evaluate_results(written(tmp_path), [result()]).ap == pytest.approx(1)


def test_no_result_is_an_ap_of_0(tmp_path: Path) -> None:
    found = evaluate_results(written(tmp_path), [])
    assert (found.ap, found.ar, found.detections, found.instances) == (0, 0, 0, 1)
    assert dict(found.table())["AP"] == "0.0000" and dict(found.table())["APl"] == "-"
    assert [one.ap for one in found.per_class] == [0, -1]


def test_no_instance_is_no_ap(tmp_path: Path) -> None:
    found = evaluate_results(written(tmp_path, annotations=[]), [result()])
    assert found.ap == -1 and found.to_json()["ap"] is None and json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (result(image_id=8), "result number 0: expected image_id .* got 8"),
        (result(category_id=4), "result number 0: expected category_id .* got 4"),
        (result(score=float("nan")), "result number 0: expected score"),
        ({"image_id": 7, "category_id": 3, "score": 1.0}, "result number 0: expected the field 'segmentation'"),
        (result(segmentation={"size": [5, 4], "counts": "04"}), r"result number 0: expected segmentation.size"),
        (result(segmentation={"size": [4, 4], "counts": "~~"}), "result number 0: segmentation"),
        (result(segmentation={"size": [4, 4], "counts": "02"}), "result number 0: .* add up to .* 16 pixels"),
    ],
)
def test_results_that_do_not_fit_are_named(tmp_path: Path, record: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_results(written(tmp_path), [record])


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    annotations = written(tmp_path)
    with pytest.raises(InputError, match=r"annotations\.json: expected a COCO results list, got"):
        evaluate_results(annotations, annotations)
    with pytest.raises(InputError, match=r"none\.json: expected a COCO results file, found none"):
        evaluate_results(annotations, tmp_path / "none.json")
    with pytest.raises(InputError, match="max_dets must be at least 1"):
        evaluate_results(annotations, [], max_dets=0)
    with pytest.raises(InputError, match="image_id to be that of one of the 1 image records, got 5"):
        evaluate_results(written(tmp_path, annotations=[{"id": 1, "image_id": 5, "category_id": 3}]), [])


def test_an_evaluation_is_json(tmp_path: Path) -> None:
    found = evaluate_results(written(tmp_path), [result()])
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["ap"] == found.ap
    assert [one["ap"] for one in content["per_class"]] == [pytest.approx(1), None]
