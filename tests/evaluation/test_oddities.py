"""Twins and pieces, against loops over dense masks."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dense import dense_masks
from scenes import IDS, record
from sparseinst.evaluation.oddities import oddities
from sparseinst.masks import rle


def plain(masks: list[np.ndarray]) -> tuple[int, int]:
    """Masks of an image with a twin, and those in several pieces."""
    twins = 0
    for i, mask in enumerate(masks):
        others = [other for j, other in enumerate(masks) if j != i]
        twins += any((mask & other).sum() > 0.5 * (mask | other).sum() for other in others)
    return twins, sum(cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] > 2 for mask in masks)


@given(st.lists(dense_masks(side=8), max_size=3), st.data())
def test_equals_loops_over_dense_masks(images: list[np.ndarray], data: st.DataObject) -> None:
    detections: list[dict[str, Any]] = []
    expected = np.zeros(3, int)
    for image_id, masks in enumerate(images):
        flags = [data.draw(st.booleans()) for _ in masks]
        expected += (sum(flags), *plain([mask for mask, shown in zip(masks, flags, strict=True) if shown]))
        for mask, shown in zip(masks, flags, strict=True):
            segmentation = {"size": list(mask.shape), "counts": rle.encode(mask[None])[0].decode()}
            score = 0.5 if shown else 0.4
            detections.append({"image_id": image_id, "category_id": 1, "score": score, "segmentation": segmentation})
    count, twins, pieces = expected.tolist()
    found = oddities(detections, score=0.5)
    assert found == (pytest.approx((twins / count, pieces / count)) if count else (-1, -1))


def test_twins_are_of_one_image_and_of_any_class() -> None:
    box = (5, 5, 15, 15)
    twice = [record(1, IDS[0], box, score=0.9), record(1, IDS[1], box, score=0.8)]
    assert oddities(twice, score=0.3) == (1, 0)
    assert oddities(twice, score=0.85) == (0, 0)
    assert oddities([twice[0], {**twice[1], "image_id": 2}], score=0.3) == (0, 0)
