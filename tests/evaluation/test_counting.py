"""Figures of counting, against cases worked out by hand and the matching at IoU 0.5."""

from pathlib import Path

import pytest

from scenes import IDS, random_scene, record, scored
from sparseinst.evaluation.count_figures import IOUS, Counts
from sparseinst.evaluation.counting import count_objects, summary_of, table_of
from sparseinst.evaluation.figures import NOTHING, nulled
from sparseinst.evaluation.matching import MISSED, match


def counted(
    tmp_path: Path, annotations: list, detections: list, *, images: int = 6, score: float = 0.5, **more
) -> Counts:
    of = scored(tmp_path, annotations, detections, images=images)
    return count_objects(of.truth, of.detections, score=score, max_dets=100, **more)


def test_one_image_by_hand(tmp_path: Path) -> None:
    disc = IDS[0]
    truth = [record(1, disc, (0, 0, 10, 10)), record(1, disc, (20, 0, 30, 10)), record(1, disc, (0, 20, 10, 30))]
    found = [
        record(1, disc, (0, 0, 10, 8), score=0.9),  # IoU 0.8, 20 % smaller
        record(1, disc, (20, 0, 30, 6), score=0.8),  # IoU 0.6, 40 % smaller
        record(1, disc, (30, 30, 36, 36), score=0.7),  # false
        record(1, disc, (0, 20, 10, 30), score=0.4),  # right, but not shown
    ]
    figures = counted(tmp_path, truth, found, images=1).pooled
    assert (figures.objects, figures.found) == (3, 3)
    at = dict(zip(IOUS, zip(figures.precision, figures.recall, figures.tp_of_tp_fp_fn, strict=True), strict=True))
    assert at[0.5] == at[0.6] == pytest.approx((2 / 3, 2 / 3, 2 / 4))
    assert at[0.65] == at[0.8] == pytest.approx((1 / 3, 1 / 3, 1 / 5))
    assert at[0.85] == (0, 0, 0)
    assert figures.f1[0] == pytest.approx(2 / 3)
    assert figures.panoptic_quality == pytest.approx((0.8 + 0.6) / 3)
    assert figures.dsb_ap == pytest.approx((3 * 2 / 4 + 4 * 1 / 5) / 10)
    assert figures.area_bias == pytest.approx(0.7 - 1)
    assert (figures.count_error, figures.count_ratio) == (0, 1)


def test_errors_of_counts_do_not_cancel_out_and_images_are_told_apart(tmp_path: Path) -> None:
    box = (0, 0, 10, 10)
    truth = [record(1, IDS[0], box), record(1, IDS[0], (20, 20, 30, 30))]
    found = [record(1, IDS[0], box, score=0.9), record(2, IDS[0], box, score=0.9)]
    counts = counted(tmp_path, truth, found, images=3, groups={1: "a", 2: "b", 3: "b"})
    assert counts.pooled.count_error == 1.0 and counts.pooled.count_ratio == 1.0
    assert [item.figures.dsb_ap for item in counts.per_image] == [0.5, 0.0, 1.0]
    assert counts.pooled.dsb_ap == 0.5
    assert counts.per_image[2].figures.precision[0] == NOTHING == counts.per_image[2].figures.f1[0]
    assert counts.per_group["a"] == counts.per_image[0].figures
    assert nulled({"error": counts.per_group["b"].count_error}) == {"error": None}


@pytest.mark.parametrize("seed", range(4))
def test_pooled_figures_are_those_of_the_matching(tmp_path: Path, seed: int) -> None:
    annotations, detections = random_scene(seed)
    of = scored(tmp_path, annotations, detections)
    matches = match(of.truth, of.detections, max_dets=100, min_score=0.3)
    figures = counted(tmp_path, annotations, detections, score=0.3).pooled
    assert figures.precision[0] == pytest.approx(matches.right.mean())
    assert figures.recall[0] == pytest.approx((matches.found_at != MISSED).mean())
    assert figures.found == len(matches.records) and figures.objects == len(matches.truth_records)
    assert list(figures.recall) == sorted(figures.recall, reverse=True)
    assert 0 < figures.panoptic_quality <= figures.f1[0]


def test_nothing_is_told_as_nothing(tmp_path: Path) -> None:
    figures = counted(tmp_path, [], [], images=1).pooled
    columns, rows = table_of(figures)
    assert [row[0] for row in rows] == ["0.50", "0.60", "0.70", "0.80", "0.90"] and len(columns) == 5
    assert rows[0][1:] == ("-", "-", "-", "-")
    assert "0 found of 0" in summary_of(figures)
