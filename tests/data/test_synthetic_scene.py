import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sparseinst.data.synthetic_cutouts import Cutout
from sparseinst.data.synthetic_scene import Scene, SceneConfig, Sprite, compose, paint

SIDE = 24


def sprite(random: np.random.Generator, number: int) -> Sprite:
    """A ragged opaque piece of one colour, its number; part of it may lie outside."""
    top, left = (int(v) for v in random.integers(0, SIDE - 4, 2))
    height, width = int(random.integers(1, SIDE - top + 1)), int(random.integers(1, SIDE - left + 1))
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[random.random((height, width)) < 0.7] = (number, number, number, 255)
    outside = int(random.integers(0, 20))
    window = (slice(top, top + height), slice(left, left + width))
    return Sprite(
        Cutout(str(number), number, ()), window, pixels, outside + int(np.count_nonzero(pixels[..., 3]))
    )  # fmt: skip


def mask_of(item: Sprite) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[item.window] = item.mask
    return mask


@given(st.integers(0, 2**32), st.integers(0, 12), st.sampled_from([0.05, 0.3, 0.6, 1.0]))
def test_masks_are_those_of_a_painter(seed: int, count: int, visible: float) -> None:
    random = np.random.default_rng(seed)
    sprites = [sprite(random, number) for number in range(1, count + 1)]
    scene = paint(np.zeros((SIDE, SIDE, 3), np.uint8), sprites, visible)
    kept = [int(cutout.name) for cutout in scene.objects]
    assert kept == sorted(kept)
    canvas = np.zeros((SIDE, SIDE), np.int32)  # a painter simply paints one over the other
    for number in kept:
        canvas[mask_of(sprites[number - 1])] = number
    names = np.array([0, *kept])
    assert np.array_equal(names[scene.owner], canvas)
    assert np.array_equal(scene.image, np.repeat(canvas[..., None], 3, 2))
    for number, item in enumerate(sprites, 1):
        above = [mask_of(sprites[other - 1]) for other in kept if other > number]
        seen = mask_of(item) & ~np.any([np.zeros((SIDE, SIDE), bool), *above], 0)
        assert (number in kept) == (seen.sum() >= max(1, visible * item.whole_px))


def inside(scene: Scene) -> bool:
    """Whether an object is there and touches no border."""
    return bool(scene.owner.any()) and not (scene.owner[[0, -1]].any() or scene.owner[:, [0, -1]].any())


def disc(side: int = 64) -> Cutout:
    alpha = np.zeros((side, side), np.uint8)
    cv2.circle(alpha, (side // 2, side // 2), side // 2 - 2, 255, -1, cv2.LINE_AA)
    level = np.dstack([(alpha // 2)] * 3 + [alpha])
    return Cutout("disc", 0, (level, cv2.resize(level, (side // 2, side // 2), interpolation=cv2.INTER_AREA)))


@given(st.integers(0, 2**32), st.floats(0.15, 0.6))
def test_an_object_has_the_size_asked_for_and_no_fringe(seed: int, scale: float) -> None:
    config = SceneConfig(size_hw=(96, 128), objects=(1, 1), scale=(scale, scale), rotation_degrees=180)
    background = np.full((96, 128, 3), 127, np.uint8)  # the colour of the disc
    scene = compose(np.random.default_rng(seed), background, [[disc()]], config)
    assert np.abs(scene.image.astype(int) - 127).max() <= 2
    if inside(scene):
        diameter = scale * 96 * 60 / 64
        assert scene.owner.sum() == pytest.approx(np.pi / 4 * diameter**2, rel=0.15)


def test_the_colours_are_where_the_mask_is() -> None:
    cutout = np.zeros((20, 30, 4), np.uint8)
    cutout[..., 3] = 255
    cutout[:, :10] = (200, 0, 0, 255)  # the left third is red: flips and turns move colours and alpha alike
    whole = 0
    for seed in range(40):
        scene = compose(
            np.random.default_rng(seed), np.full((64, 64, 3), 255, np.uint8), [[Cutout("flag", 0, (cutout,))]],
            SceneConfig(size_hw=(64, 64), objects=(1, 1), scale=(0.5, 0.5), rotation_degrees=180),
        )  # fmt: skip
        dark = scene.image[..., 1] < 127
        assert np.mean(dark != (scene.owner == 1)) < 0.02
        if inside(scene):
            red = dark & (scene.image[..., 0] > 100)
            assert red.sum() == pytest.approx(dark.sum() / 3, rel=0.1)
            whole += 1
    assert whole > 5


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"size_hw": (31, 64)}, "32"), ({"objects": (3, 2)}, "low"), ({"scale": (0.5, 0.2)}, "scale")],
)
def test_settings_that_make_no_scene(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        SceneConfig(**settings)
