"""Matching of detections and instances, against COCO's AP and a plain loop."""

from pathlib import Path

import numpy as np
import pytest

from scenes import IDS, random_scene, record, scored
from sparseinst.evaluation.coco_eval import Scored
from sparseinst.evaluation.matching import FALSE, MISSED, Matches, match
from sparseinst.masks import rle


def ap50(matches: Matches, classes: int) -> float:
    """COCO's AP at IoU 0.50 of a matching: precision at 101 recalls, none lower than one further right."""
    values = []
    for label in range(classes):
        instances = np.count_nonzero(matches.truth_labels == label)
        if not instances:
            continue
        mine = matches.labels == label
        hits = matches.right[mine][np.argsort(-matches.scores[mine], kind="stable")]
        recall, precision = hits.cumsum() / instances, hits.cumsum() / (np.arange(len(hits)) + 1)
        values.append(np.mean([max(precision[recall >= r - 1e-12], default=0) for r in np.linspace(0, 1, 101)]))
    return float(np.mean(values))


def plain(of: Scored, min_score: float, by_class: bool) -> tuple[int, int, int]:
    """Right and false detections and missed instances, by loops over dense masks."""
    right = false = missed = 0
    for image in of.truth["images"]:
        size = (image["height"], image["width"])

        def dense(item, size=size):
            return rle.decode([item["segmentation"]["counts"].encode()], size)[0]

        theirs = [item for item in of.truth["annotations"] if item["image_id"] == image["id"]]
        mine = [d for d in of.detections if d["image_id"] == image["id"] and d["score"] >= min_score]
        free = [item for item in theirs if not item["iscrowd"]]
        for found in sorted(mine, key=lambda item: -item["score"]):
            mask, best = dense(found), None
            for item in free:
                other = dense(item)
                iou = (mask & other).sum() / (mask | other).sum()
                same = not by_class or item["category_id"] == found["category_id"]
                if same and iou >= 0.5 and (best is None or iou >= best[0]):
                    best = (iou, item)
            if best is not None:
                free.remove(best[1])
                right += 1
                continue
            crowds = [c for c in theirs if c["iscrowd"] and (not by_class or c["category_id"] == found["category_id"])]
            false += not any((mask & dense(c)).sum() / mask.sum() >= 0.5 for c in crowds)
        missed += len(free)
    return right, false, missed


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("by_class", "min_score"), [(True, 0.0), (True, 0.5), (False, 0.3)])
def test_equals_a_plain_loop(tmp_path: Path, seed: int, by_class: bool, min_score: float) -> None:
    of = scored(tmp_path, *random_scene(seed))
    found = match(of.truth, of.detections, max_dets=100, by_class=by_class, min_score=min_score)
    counts = (found.right.sum(), (~found.right).sum(), (found.found_at == MISSED).sum())
    assert counts == plain(of, min_score, by_class)
    assert counts[0] > 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("max_dets", [100, 1])
def test_gives_the_evaluations_ap50(tmp_path: Path, seed: int, max_dets: int) -> None:
    of = scored(tmp_path, *random_scene(seed), max_dets=max_dets)
    found = match(of.truth, of.detections, max_dets=max_dets)
    assert ap50(found, len(IDS)) == pytest.approx(of.evaluation.ap50, abs=1e-9)
    assert 0 < of.evaluation.ap50 < 1


@pytest.mark.parametrize("seed", range(4))
def test_a_score_threshold_changes_nothing_above_it(tmp_path: Path, seed: int) -> None:
    of = scored(tmp_path, *random_scene(seed))
    everything = match(of.truth, of.detections, max_dets=100)
    above = match(of.truth, of.detections, max_dets=100, min_score=0.5)
    keep = everything.scores >= 0.5
    assert np.array_equal(everything.records[keep], above.records)
    assert np.array_equal(everything.taken[keep], above.taken)
    assert np.array_equal(np.where(everything.found_at >= 0.5, everything.found_at, MISSED), above.found_at)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("crowds", [False, True])
def test_the_default_score_is_where_f1_of_all_classes_together_is_highest(
    tmp_path: Path, seed: int, crowds: bool
) -> None:
    of = scored(tmp_path, *random_scene(seed, crowds=crowds))

    def f1(min_score: float) -> float:
        right, false, missed = plain(of, min_score, by_class=True)
        return 2 * right / (2 * right + false + missed)

    best = max(f1(score) for score in {item["score"] for item in of.detections})
    assert of.evaluation.best_f1 == pytest.approx(best) and 0 < best < 1
    assert f1(of.evaluation.best_score) == pytest.approx(best)


def test_a_class_does_not_hide_another(tmp_path: Path) -> None:
    """Few rings are found surely, many discs with low scores; in a mean over classes both would count alike."""
    places = [(x, y, x + 4, y + 4) for x in range(0, 30, 5) for y in range(0, 30, 5)]
    rings, discs = [record(1, IDS[2], box) for box in places[:2]], [record(2, IDS[0], box) for box in places]
    found = [{**ring, "score": 0.9} for ring in rings] + [{**disc, "score": 0.2} for disc in discs]
    wrong = [record(3, IDS[2], box, score=0.5) for box in places[:10]]
    evaluation = scored(tmp_path, rings + discs, found + wrong).evaluation
    assert evaluation.best_f1 == pytest.approx(2 * 38 / (2 * 38 + 10))
    assert evaluation.best_score == pytest.approx(0.1)  # the middle of 0.00 .. 0.20


@pytest.mark.parametrize("found", [False, True])
def test_without_instances_there_is_no_best_score(tmp_path: Path, found: bool) -> None:
    detections = [record(1, IDS[0], (0, 0, 9, 9), score=0.5)] if found else []
    evaluation = scored(tmp_path, [record(1, IDS[0], (20, 20, 30, 30), iscrowd=1)], detections).evaluation
    assert (evaluation.best_f1, evaluation.best_score) == (-1, -1)
    assert evaluation.to_json()["best_score"] is None


def test_each_instance_is_taken_once_and_knows_its_score(tmp_path: Path) -> None:
    boxes = [record(1, IDS[0], (0, 0, 10, 10)), record(1, IDS[0], (20, 20, 30, 30))]
    of = scored(tmp_path, boxes, [record(1, IDS[0], (0, 0, 10, 10 - i), score=0.9 - i / 10) for i in range(3)])
    found = match(of.truth, of.detections, max_dets=100)
    assert found.taken.tolist() == [0, FALSE, FALSE]
    assert found.found_at.tolist() == [0.9, MISSED]
    assert found.truth_image_of.tolist() == [0, 0] and found.images == 6


@pytest.mark.parametrize("empty", ["annotations", "detections", "both"])
def test_nothing_matches_nothing(tmp_path: Path, empty: str) -> None:
    one = [record(1, IDS[0], (0, 0, 5, 5), score=0.5)]
    of = scored(tmp_path, [] if empty != "detections" else one, [] if empty != "annotations" else one)
    found = match(of.truth, of.detections, max_dets=100)
    assert (len(found.scores), len(found.found_at)) == (empty == "annotations", empty == "detections")
    assert not found.right.any()
