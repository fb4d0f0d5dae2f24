"""Precision-recall curves, thresholds, calibration, confusion and the worst images, against plain counting."""

from pathlib import Path

import numpy as np
import pytest

from scenes import IDS, NAMES, SIDE, random_scene, record, scored
from sparseinst.evaluation.calibration import calibrate, score_bins, thresholds
from sparseinst.evaluation.confusion import confusion
from sparseinst.evaluation.matching import match
from sparseinst.evaluation.report.curves import curves
from sparseinst.evaluation.report.worst import draw_outcome, worst_images

SORTED_NAMES = [name for _, name in sorted(zip(IDS, NAMES, strict=True))]
ME = (0, 0, 10, 10)
BOX = IDS[1]
"""Of the lowest id: class 0."""


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_of_a_curve_is_its_ap(tmp_path: Path, seed: int) -> None:
    of = scored(tmp_path, *random_scene(seed))
    mean, *classes = curves(of.precision, of.evaluation.per_class)
    assert np.mean(mean.mean) == pytest.approx(of.evaluation.ap, abs=1e-5)
    assert np.mean(mean.at_50) == pytest.approx(of.evaluation.ap50, abs=1e-5)
    assert np.mean(mean.at_75) == pytest.approx(of.evaluation.ap75, abs=1e-5)
    present = [item for item in of.evaluation.per_class if item.instances]
    assert [(one.name, one.instances) for one in classes] == [(item.name, item.instances) for item in present]
    assert [np.mean(one.mean) for one in classes] == pytest.approx([item.ap for item in present], abs=1e-5)
    assert mean.name == "" and len(mean.mean) == 101


def test_no_instance_gives_no_curve(tmp_path: Path) -> None:
    of = scored(tmp_path, [], [record(1, IDS[0], ME, score=0.5)])
    assert curves(of.precision, of.evaluation.per_class) == ()


@pytest.mark.parametrize("seed", range(3))
def test_thresholds_equal_counting(tmp_path: Path, seed: int) -> None:
    of = scored(tmp_path, *random_scene(seed))
    found = thresholds(match(of.truth, of.detections, max_dets=100))
    for i in (0, 25, 50, 95):
        score = found.scores[i]
        counted = match(of.truth, of.detections, max_dets=100, min_score=score)
        right, shown, instances = counted.right.sum(), len(counted.scores), len(counted.found_at)
        assert found.precision[i] == (right / shown if shown else None)
        assert found.recall[i] == right / instances
        assert found.f1[i] == pytest.approx(2 * right / (shown + instances))
    assert found.f1[found.scores.index(found.best)] == max(found.f1) > 0


def test_calibration_error_is_the_weighted_gap() -> None:
    scores = np.array([0.95, 0.95, 0.91, 0.15, 1.0, 0.0])
    right = np.array([True, False, True, True, True, False])
    bins = score_bins(scores, right)
    assert [item.detections for item in bins] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 4]
    assert bins[9].score == pytest.approx((0.95 + 0.95 + 0.91 + 1) / 4) and bins[9].precision == 0.75
    assert bins[5].score is None and bins[5].precision is None


def test_calibration_of_all_and_of_what_is_shown(tmp_path: Path) -> None:
    of = scored(tmp_path, [record(1, IDS[0], ME)], [
        record(1, IDS[0], ME, score=0.75), record(1, IDS[0], (20, 20, 30, 30), score=0.25),
    ])  # fmt: skip
    found = calibrate(match(of.truth, of.detections, max_dets=100), shown=0.5)
    assert found.error == pytest.approx(0.25) and found.error_shown == pytest.approx(0.25)
    nothing = calibrate(match(of.truth, [], max_dets=100), shown=0.5)
    assert nothing.error is None and nothing.error_shown is None


def test_confusion_counts_pairs_misses_and_false_masks(tmp_path: Path) -> None:
    disc, box, ring = IDS
    of = scored(
        tmp_path,
        [record(1, disc, ME), record(1, disc, (20, 0, 30, 10)), record(1, box, (20, 20, 30, 30)), record(2, disc, ME)],
        [
            record(1, disc, ME, score=0.9),
            record(1, box, (20, 0, 30, 10), score=0.8),  # confused
            record(1, ring, (0, 20, 10, 30), score=0.7),  # false
            record(2, disc, ME, score=0.2),  # not shown
        ],
    )
    shown = match(of.truth, of.detections, max_dets=100, by_class=False, min_score=0.3)
    found = confusion(shown, SORTED_NAMES)
    assert SORTED_NAMES == ["box", "disc", "ring"]
    assert found.counts == (
        (0, 0, 0, 1),
        (1, 1, 0, 1),
        (0, 0, 0, 0),
        (0, 0, 1, 0),
    )
    assert found.most_frequent(5) == [("disc", "box", 1, pytest.approx(1 / 3))]
    without = confusion(match(of.truth, of.detections[:2], max_dets=100, by_class=False), SORTED_NAMES).present()
    assert without.classes == ("box", "disc") and without.counts == ((0, 0, 1), (1, 1, 1), (0, 0, 0))


@pytest.mark.parametrize("seed", range(3))
def test_confusion_holds_every_instance_and_every_mask_once(tmp_path: Path, seed: int) -> None:
    of = scored(tmp_path, *random_scene(seed))
    shown = match(of.truth, of.detections, max_dets=100, by_class=False, min_score=0.3)
    counts = np.array(confusion(shown, SORTED_NAMES).counts)
    assert counts[:-1].sum() == len(shown.found_at) and counts[:, :-1].sum() == len(shown.scores)
    assert np.array_equal(counts[:-1].sum(axis=1), np.bincount(shown.truth_labels, minlength=3))


def test_the_worst_images_come_first(tmp_path: Path) -> None:
    disc = IDS[0]
    of = scored(
        tmp_path,
        [record(image, disc, ME) for image in (1, 2, 3)] + [record(3, disc, (20, 20, 30, 30))],
        [
            record(1, disc, ME, score=0.9),  # without a mistake
            record(2, disc, ME, score=0.9),
            record(2, disc, (0, 20, 10, 30), score=0.4),  # false
            record(5, disc, ME, score=0.9),  # false in an empty image
            record(6, disc, ME, score=0.1),  # not shown
        ],
    )
    matches = match(of.truth, of.detections, max_dets=100)
    found = worst_images(matches, score=0.3, limit=20)
    assert [(one.image, one.found, one.missed, one.false) for one in found] == [
        (2, 0, 2, 0),
        (4, 0, 0, 1),
        (1, 1, 0, 1),
    ]
    assert [one.f1 for one in found] == [0, 0, pytest.approx(2 / 3)]
    assert worst_images(matches, score=0.3, limit=1) == found[:1]


def test_pictures_show_found_false_and_missed_apart(tmp_path: Path) -> None:
    of = scored(
        tmp_path,
        [record(1, BOX, ME), record(1, BOX, (0, 25, 10, 35))],
        [record(1, BOX, ME, score=0.9), record(1, BOX, (25, 0, 35, 10), score=0.9)],
    )
    matches = match(of.truth, of.detections, max_dets=100)
    pixels = np.full((SIDE, SIDE, 3), 40, np.uint8)
    picture = draw_outcome(pixels, 0, matches, of.truth, of.detections, ["box"], score=0.5)
    scale = len(picture) // SIDE
    red, green, blue = (picture[..., i].astype(int) for i in range(3))
    found, false, missed = (np.s_[5 * scale, 5 * scale], np.s_[5 * scale, 30 * scale], np.s_[30 * scale, 5 * scale])
    assert blue[found] > red[found] and green[found] > red[found]
    assert red[false] > green[false] and red[false] > blue[false]
    assert min(red[missed], green[missed]) > blue[missed]
    assert picture[30 * scale, 30 * scale].tolist() == [40, 40, 40]
