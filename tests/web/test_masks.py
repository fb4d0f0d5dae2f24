"""The page decodes masks as COCO does, outlines exactly their pixels, and reads the maps it is sent."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from sparseinst.masks import rle

Mask = NDArray[np.bool_]
CHECKERS = np.indices((5, 6)).sum(0) % 2 == 0


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Noise and blobs with holes, some of them up to the border, empty or full."""
    size_hw = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    random = np.random.default_rng(draw(st.integers(0, 2**31)))
    noise = random.random(size_hw)
    if draw(st.booleans()):
        noise = ndimage.uniform_filter(noise, 3)
    mask: Mask = noise > draw(st.sampled_from([-1.0, 0.3, 0.5, 0.7, 2.0]))
    return mask


def runs_of(node, mask: Mask) -> NDArray[np.uint32]:
    (counts,) = rle.encode(mask[None])
    runs: NDArray[np.uint32] = node.call("rle.js", "decodeRuns", counts.decode())
    return runs


@given(masks())
@example(np.ones((300, 401), bool))  # lengths of several letters
@settings(max_examples=200)
def test_codes_become_runs(node, mask: Mask) -> None:
    columns = np.zeros(mask.size, bool)
    for start, end in runs_of(node, mask).reshape(-1, 2):
        assert start < end and not columns[start:end].any()
        columns[start:end] = True
    np.testing.assert_array_equal(columns.reshape(mask.shape[::-1]).T, mask)


@given(masks())
@example(CHECKERS)
@example(~CHECKERS)
@example(np.pad(~np.pad(np.ones((2, 2), bool), 1), 2))  # a ring
@settings(max_examples=300)
def test_outlines_enclose_exactly_the_pixels(node, mask: Mask) -> None:
    loops = node.call("outline.js", "trace", runs_of(node, mask), mask.shape[0])
    winding = np.zeros((mask.shape[0], mask.shape[1] + 1), int)
    for loop in loops:
        corners = np.array(loop).reshape(-1, 2)
        for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            assert (x0 == x1) != (y0 == y1), "edges run along the pixels"
            winding[min(y0, y1) : max(y0, y1), x0] += np.sign(y0 - y1)  # upwards the mask is on the right
    np.testing.assert_array_equal(winding.cumsum(1)[:, :-1], mask)
    parts, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    gaps, _ = cv2.connectedComponents(np.pad(~mask, 1, constant_values=True).astype(np.uint8), connectivity=8)
    assert len(loops) == (parts - 1) + (gaps - 2), "a loop for each part and each hole; parts do not join at a corner"


def test_later_masks_cover_earlier_ones(node) -> None:
    both = np.zeros((2, 7, 9), bool)
    both[0, 1:6, 1:6], both[1, 3:, 4:] = True, True
    runs = [runs_of(node, mask) for mask in both]
    columns = node.call("rle.js", "labelColumns", runs, [3, 700], 9, 7)
    expected = np.where(both[1], 700, np.where(both[0], 3, 0))
    np.testing.assert_array_equal(columns.reshape(9, 7).T, expected)


@pytest.mark.parametrize("writer", ["Pillow", "OpenCV"])
@pytest.mark.parametrize("smooth", [0, 9])
def test_grey_pictures_are_read(node, tmp_path, writer: str, smooth: int) -> None:
    """Smooth pictures are stored by other filters than noise."""
    values = np.random.default_rng(0).random((61, 83))
    values = ndimage.gaussian_filter(values, smooth) if smooth else values
    values = np.rint(255 * (values - values.min()) / np.ptp(values)).astype(np.uint8)
    path = tmp_path / "grey.png"
    if writer == "Pillow":
        Image.fromarray(values).save(path, optimize=True)
    else:
        cv2.imwrite(str(path), values, [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT])
    read = node.call("png.js", "decodeGrey8", np.frombuffer(path.read_bytes(), np.uint8))
    assert (read["width"], read["height"]) == (83, 61)
    np.testing.assert_array_equal(read["values"].reshape(61, 83), values)
