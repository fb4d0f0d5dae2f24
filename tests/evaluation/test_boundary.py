"""Boundary AP, against distances measured pixel by pixel and against the library's own."""

import json
from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval import COCOeval_faster
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dense import dense_masks
from perturbed import perturbed
from real import NUCLEI, PHOTOGRAPHS
from scenes import random_scene, scored
from sparseinst.evaluation.boundary import BoundaryEvaluator, boundary_iou
from sparseinst.evaluation.coco_eval import Scored, score_results
from sparseinst.masks import rle


def naive_boundary(mask: np.ndarray, width_px: int) -> np.ndarray:
    """Pixels of the mask with a pixel outside it, or outside the image, within a square of that reach."""
    height, width = mask.shape
    boundary = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        reach = range(-width_px, width_px + 1)
        inside = all(
            0 <= y + dy < height and 0 <= x + dx < width and mask[y + dy, x + dx] for dy in reach for dx in reach
        )
        boundary[y, x] = not inside
    return boundary


@given(dense_masks(most=2, side=60), st.integers(0, 3))
@settings(max_examples=40)
def test_equals_distances_pixel_by_pixel(masks: np.ndarray, shift: int) -> None:
    assume(len(masks) and masks[0].any())
    one, other = masks[0], np.roll(masks[-1], shift, axis=1)
    assume(other.any())
    width_px = max(1, round(0.02 * np.hypot(*one.shape)))
    a, b = naive_boundary(one, width_px), naive_boundary(other, width_px)
    found = boundary_iou((rle.encode(one[None])[0], rle.encode(other[None])[0]), one.shape)
    assert found == pytest.approx((a & b).sum() / (a | b).sum())


def library_ap(of: Scored) -> float:
    evaluator = COCOeval_faster(of.gt, of.dt, iouType="boundary")
    evaluator.params.maxDets = [of.evaluation.max_dets]
    evaluator.evaluate()
    evaluator.accumulate()
    shape = (10, 101, len(evaluator.params.catIds), 4, 1)
    precision = np.asarray(evaluator.eval["precision"]).reshape(shape)[..., 0, 0]
    return float(precision[precision > -1].mean())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("max_dets", [100, 1])
def test_ap_equals_the_librarys(tmp_path: Path, seed: int, max_dets: int) -> None:
    of = scored(tmp_path, *random_scene(seed), max_dets=max_dets)
    found = of.figures([image["id"] for image in of.truth["images"]], evaluator=BoundaryEvaluator)
    assert 0 < found.ap <= of.evaluation.ap
    assert found.ap == pytest.approx(library_ap(of), abs=1e-9)


@pytest.mark.parametrize("annotations", [NUCLEI / "val.json", PHOTOGRAPHS / "val.json"], ids=["nuclei", "photographs"])
def test_ap_equals_the_librarys_on_real_outlines(annotations: Path) -> None:
    of = score_results(annotations, perturbed(annotations), max_dets=200, groups=None)
    found = of.figures([image["id"] for image in of.truth["images"]], evaluator=BoundaryEvaluator)
    assert 0.05 < found.ap <= of.evaluation.ap  # of the smallest nuclei every pixel is boundary
    assert found.ap == pytest.approx(library_ap(of), abs=1e-9)


@pytest.mark.data
def test_ap_equals_the_librarys_on_photographs_of_many_classes(shared: Path, tmp_path: Path) -> None:
    content = json.loads((shared / "data/coco_mini/val.json").read_text())
    content["images"] = content["images"][:20]
    kept = {image["id"] for image in content["images"]}
    content["annotations"] = [item for item in content["annotations"] if item["image_id"] in kept]
    (tmp_path / "truth.json").write_text(json.dumps(content))
    of = score_results(
        tmp_path / "truth.json",
        perturbed(tmp_path / "truth.json"),
        max_dets=100,
        groups=None,
    )
    found = of.figures(sorted(kept), evaluator=BoundaryEvaluator)
    assert 0.1 < found.ap < of.evaluation.ap - 0.05
    assert found.ap == pytest.approx(library_ap(of), abs=1e-9)
