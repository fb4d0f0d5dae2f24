"""A browser brings the objects of tiles together as the package does."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sparseinst.inference.merging import merge
from sparseinst.inference.tiling import Tiling
from sparseinst.masks import rle
from sparseinst.masks.grid import Window
from sparseinst.modeling.postprocess import without_small_pieces
from sparseinst.structures import Instances

SCORES = np.linspace(0.05, 0.95, 10, dtype=np.float32)
"""Few, so that some are equal."""


def ellipse(random: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Anywhere in the image, of any size up to half of it, now and then with a hole."""
    y, x = np.indices(size_hw)
    centre, radii = random.uniform(0, size_hw), random.uniform(1, np.array(size_hw) / 3)
    distance = ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2
    mask: np.ndarray = (distance <= 1) & (distance > random.choice([-1, -1, 0.2]))
    return mask


def seen(objects: list[np.ndarray], labels: np.ndarray, window: Window, random: np.random.Generator) -> Instances:
    """What a tile may show of objects: most, a little displaced or eaten away, some twice, and now and then a speck."""
    masks, classes = [], []
    for mask, label in zip(objects, labels, strict=True):
        for _ in range(random.choice([0, 1, 1, 1, 2])):
            moved = np.roll(mask, random.integers(-2, 3, 2), axis=(0, 1))[window]
            moved[random.random(moved.shape) < random.choice([0, 0, 0.1, 0.6])] = False
            masks.append(moved)
            classes.append(label if random.random() < 0.9 else 1 - label)
    drawn = np.array([mask.any() for mask in masks], bool)
    if not drawn.any():
        return Instances.empty((window[0].stop - window[0].start, window[1].stop - window[1].start))
    masks, classes = np.stack(masks)[drawn], np.array(classes)[drawn]
    slots = np.sort(random.choice(100, len(masks), replace=False))
    return Instances(random.choice(SCORES, len(masks)), classes, rle.encode(masks), slots, masks.shape[1:])


def plain(instances: Instances) -> list[dict[str, Any]]:
    boxes = instances.boxes.copy()
    boxes[:, 2:] -= boxes[:, :2]
    fields = zip(
        instances.scores.tolist(), instances.labels.tolist(), instances.slots.tolist(), boxes.astype(int).tolist(),
        instances.areas.astype(int).tolist(), instances.rles, strict=True,
    )  # fmt: skip
    return [
        {"score": score, "label": label, "slot": slot, "bbox": box, "area": area,
         "segmentation": {"size": instances.size_hw, "counts": counts.decode()}}
        for score, label, slot, box, area, counts in fields
    ]  # fmt: skip


@given(
    st.integers(20, 70), st.integers(20, 70), st.integers(16, 40), st.integers(1, 8), st.sampled_from([0.0, 0.1, 0.3]),
    st.integers(0, 2**31),
)  # fmt: skip
@example(62, 62, 31, 1, 0.0, 775)  # a view that agrees with one member of an object and lies within another
@settings(max_examples=100)
def test_the_same_objects(node, height: int, width: int, tile: int, overlap: int, least: float, seed: int) -> None:
    random, tiling, size_hw = np.random.default_rng(seed), Tiling(tile, overlap), (height, width)
    windows = tiling.windows(size_hw)
    objects = [ellipse(random, size_hw) for _ in range(random.integers(0, 9))]
    labels = random.integers(0, 2, len(objects))
    parts = [seen(objects, labels, window, random) for window in windows]
    merged, leaders = merge(parts, windows, size_hw, margin=tiling.margin)
    expected = plain(without_small_pieces(merged, least=least) if len(windows) > 1 else merged)

    cut = [{"top": y.start, "bottom": y.stop, "left": x.start, "right": x.stop} for y, x in windows]
    tiles = {"windows": cut, "margin": tiling.margin}
    found = node.call("browser_merging.js", "merge", list(map(plain, parts)), tiles, size_hw, least)
    assert found["leaders"] == leaders.tolist()
    for one, other in zip(found["instances"], expected, strict=True):
        assert one == {**other, "segmentation": {**other["segmentation"], "size": list(size_hw)}}


@pytest.mark.parametrize("found", [0, 1])
def test_tiles_without_objects(node, found: int) -> None:
    windows = [{"top": 0, "bottom": 9, "left": left, "right": left + 9} for left in (0, 6)]
    mask = np.ones((1, 4, 3), bool)
    (counts,) = rle.encode(np.pad(mask, ((0, 0), (2, 3), (4, 2))))
    item = {"score": 0.5, "label": 0, "slot": 3, "bbox": [4, 2, 3, 4], "area": 12,
            "segmentation": {"size": [9, 9], "counts": counts.decode()}}  # fmt: skip
    merged = node.call(
        "browser_merging.js", "merge", [[], [item] * found], {"windows": windows, "margin": 1}, [9, 15], 0
    )
    assert [(one["bbox"], one["slot"]) for one in merged["instances"]] == [([10, 2, 3, 4], 2**20 + 3)] * found
