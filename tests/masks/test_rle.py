import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as oracle

from dense import dense_masks
from sparseinst.masks import rle


def records(counts: tuple[bytes, ...], size_hw: tuple[int, int]) -> list[dict[str, object]]:
    return [{"size": list(size_hw), "counts": item} for item in counts]


@given(dense_masks())
def test_decoding_undoes_encoding(masks: np.ndarray) -> None:
    counts = rle.encode(masks)
    assert len(counts) == len(masks)
    decoded = rle.decode(counts, masks.shape[1:])
    assert decoded.dtype == bool and decoded.shape == masks.shape and (decoded == masks).all()


@given(dense_masks())
def test_encodings_are_those_of_pycocotools(masks: np.ndarray) -> None:
    expected = oracle.encode(np.asfortranarray(masks.transpose(1, 2, 0), dtype=np.uint8)) if len(masks) else []
    assert rle.encode(masks) == tuple(item["counts"] for item in expected)


@given(dense_masks())
def test_areas_and_boxes(masks: np.ndarray) -> None:
    counts, size = rle.encode(masks), masks.shape[1:]
    assert (rle.areas(counts, size) == masks.sum((1, 2))).all()
    boxes = rle.boxes_xyxy(counts, size)
    assert boxes.shape == (len(masks), 4)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
        expected = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1] if len(rows) else [0, 0, 0, 0]
        assert box.tolist() == expected


@given(dense_masks())
def test_a_cutout_is_the_mask_within_its_box(masks: np.ndarray) -> None:
    for counts, mask in zip(rle.encode(masks), masks, strict=True):
        part, (x, y) = rle.cutout(counts, mask.shape)
        x0, y0, x1, y1 = rle.boxes_xyxy([counts], mask.shape)[0].astype(int)
        assert (x, y) == (x0, y0) and part.dtype == bool and (part == mask[y0:y1, x0:x1]).all()
        assert part.shape == (y1 - y0, x1 - x0)


@given(dense_masks(most=1))
def test_uncompressed_runs(masks: np.ndarray) -> None:
    for mask in masks:
        flat = mask.T.ravel()
        edges = np.flatnonzero(np.diff(flat.astype(int), prepend=0))
        runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
        assert (rle.decode([rle.from_runs(runs, mask.shape)], mask.shape)[0] == mask).all()


polygon = st.lists(st.floats(-10, 40), min_size=6, max_size=16).map(lambda values: values[: len(values) // 2 * 2])


@given(st.lists(polygon, min_size=1, max_size=3), st.integers(1, 30), st.integers(1, 30))
def test_polygons_are_rasterised_as_pycocotools_does(parts: list[list[float]], height: int, width: int) -> None:
    expected = oracle.decode(oracle.merge(oracle.frPyObjects(parts, height, width))).astype(bool)
    assert (rle.decode([rle.from_polygons(parts, (height, width))], (height, width))[0] == expected).all()


@given(dense_masks(most=2))
def test_contours_fill_to_the_mask_without_its_holes(masks: np.ndarray) -> None:
    for mask in masks:
        size = mask.shape
        drawn = np.zeros(size, np.uint8)
        contours = rle.polygons(rle.encode(mask[None])[0], size)
        cv2.drawContours(drawn, contours, -1, 1, cv2.FILLED)
        assert all(len(contour) >= 3 and contour.shape[1] == 2 for contour in contours)
        # What is missing lies in parts of one or two corners: single pixels and straight lines.
        parts, labels = cv2.connectedComponents((mask & (drawn == 0)).astype(np.uint8))
        for part in range(1, parts):
            rows, columns = np.nonzero(labels == part)
            down, right = rows - rows[0], columns - columns[0]
            assert (down * right[-1] == right * down[-1]).all()


def test_masks_need_a_leading_axis() -> None:
    with pytest.raises(ValueError, match="leading axis"):
        rle.encode(np.zeros((4, 5), bool))


def test_nothing_in_nothing_out() -> None:
    assert rle.encode(np.zeros((0, 4, 5), bool)) == ()
    assert rle.decode([], (4, 5)).shape == (0, 4, 5)
    assert rle.areas([], (4, 5)).shape == (0,) and rle.boxes_xyxy([], (4, 5)).shape == (0, 4)
    assert rle.polygons(rle.encode(np.zeros((1, 4, 5), bool))[0], (4, 5)) == []
