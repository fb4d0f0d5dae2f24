"""One synthetic scene: objects of random place, size, turn and order over a background, and what is seen of each."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sparseinst.config.base import Settings
from sparseinst.data.compositing import OPAQUE, blend
from sparseinst.data.synthetic_cutouts import Cutout

_OUTSIDE = 0.3
"""Largest part of an object's height and width that may lie outside the scene."""


class SceneConfig(Settings):
    """How scenes are made up."""

    size_hw: tuple[int, int] = Field((320, 320), description="height and width in pixels")
    objects: tuple[int, int] = Field((1, 10), description="fewest and most objects placed in a scene")
    scale: tuple[float, float] = Field(
        (0.15, 0.5), description="range of an object's longest side, as a share of the scene's short side"
    )
    rotation_degrees: float = Field(30.0, ge=0, le=180, description="largest turn to either side")
    flip: float = Field(0.5, ge=0, le=1, description="probability that an object is flipped horizontally")
    visible: float = Field(
        0.3, gt=0, le=1, description="least share of an object's pixels that must be seen; otherwise it is left out"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if min(self.size_hw) < 32:
            raise ValueError(f"size_hw must be at least 32 x 32 pixels, got {self.size_hw}")
        if not 0 <= self.objects[0] <= self.objects[1] or self.objects[1] == 0:
            raise ValueError(f"objects must be (low, high) with 0 <= low <= high and high > 0, got {self.objects}")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale must be (low, high) with 0 < low <= high <= 1, got {self.scale}")
        return self

    @property
    def largest_px(self) -> int:
        """Longest side that an object can have."""
        return max(1, round(self.scale[1] * min(self.size_hw)))


class Sprite(NamedTuple):
    """An object as it lies in a scene, clipped to it."""

    cutout: Cutout
    window: tuple[slice, slice]
    """Rows and columns of the scene."""
    paint: NDArray[np.uint8]
    """(h, w, 4) premultiplied RGBA of the window."""
    whole_px: int
    """Pixels of the object, also those outside the scene."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(h, w) the object's pixels in the window."""
        return np.asarray(self.paint[..., 3] >= OPAQUE, np.bool_)


class Scene(NamedTuple):
    """A picture and whose each pixel is."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    owner: NDArray[np.int32]
    """(H, W): 0 is background, i + 1 is object i."""
    objects: tuple[Cutout, ...]
    """The objects that are seen, from the bottom to the top."""


def compose(
    random: np.random.Generator,
    background: NDArray[np.uint8],
    cutouts: Sequence[Sequence[Cutout]],
    config: SceneConfig,
) -> Scene:
    """Draws a scene: each object's category first, all alike, then one of its objects.

    Args:
        random: decides everything.
        background: (H, W, 3) RGB of the scene's size, painted over.
        cutouts: the objects of each category.
        config: how many, how large and so on.
    """
    count = int(random.integers(config.objects[0], config.objects[1] + 1))
    sprites = [_place(random, _choose(random, cutouts), config) for _ in range(count)]
    return paint(background, sprites, config.visible)


def paint(background: NDArray[np.uint8], sprites: Sequence[Sprite], visible: float) -> Scene:
    """Paints sprites over one another, the last on top, and leaves out those of which too little would be seen.

    They are judged from the top to the bottom against those above that stay, so that nothing of an object that is left
    out is in the picture, and every piece that is seen has its label.

    Args:
        background: (H, W, 3) RGB, painted over.
        sprites: objects from the bottom to the top.
        visible: least share of an object's pixels, those outside the scene included, that must be seen.
    """
    owner = np.zeros(background.shape[:2], np.int32)
    kept: list[Sprite] = []
    for sprite in reversed(sprites):
        place = owner[sprite.window]
        seen = sprite.mask & (place == 0)
        if np.count_nonzero(seen) >= max(1.0, visible * sprite.whole_px):
            kept.append(sprite)
            place[seen] = len(kept)
    kept.reverse()
    for sprite in kept:
        blend(background[sprite.window], sprite.paint[..., :3], np.ascontiguousarray(sprite.paint[..., 3]))
    numbers = np.concatenate([[0], np.arange(len(kept), 0, -1)]).astype(np.int32)  # counted from the bottom instead
    return Scene(background, numbers[owner], tuple(sprite.cutout for sprite in kept))


def _choose(random: np.random.Generator, cutouts: Sequence[Sequence[Cutout]]) -> Cutout:
    category = cutouts[int(random.integers(len(cutouts)))]
    return category[int(random.integers(len(category)))]


def _place(random: np.random.Generator, cutout: Cutout, config: SceneConfig) -> Sprite:
    """Scales (evenly in the logarithm), turns, flips and places an object."""
    low, high = config.scale
    longest_px = min(config.size_hw) * low * (high / low) ** random.random()
    angle = np.deg2rad(random.uniform(-config.rotation_degrees, config.rotation_degrees))
    mirror = -1.0 if random.random() < config.flip else 1.0
    level = next((item for item in reversed(cutout.levels) if max(item.shape[:2]) >= longest_px), cutout.levels[0])
    size_wh = np.array([level.shape[1], level.shape[0]], np.float64)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = longest_px / size_wh.max() * turn * [mirror, 1]
    extent_wh = np.abs(linear) @ size_wh
    scene_wh = np.array(config.size_hw[::-1], np.float64)
    margin_wh = np.minimum((0.5 - _OUTSIDE) * extent_wh, scene_wh / 2)
    centre = margin_wh + random.random(2) * (scene_wh - 2 * margin_wh)
    return _sprite(cutout, level, linear, centre, extent_wh, config.size_hw)


def _sprite(
    cutout: Cutout,
    level: NDArray[np.uint8],
    linear: NDArray[np.float64],
    centre: NDArray[np.float64],
    extent_wh: NDArray[np.float64],
    size_hw: tuple[int, int],
) -> Sprite:
    """Warps one level around its centre (x, y) and clips it to the scene."""
    corner = np.floor(centre - extent_wh / 2).astype(int)
    width, height = (np.ceil(extent_wh).astype(int) + 1).tolist()
    middle = (np.array(level.shape[1::-1]) - 1) / 2
    shift = centre - 0.5 - corner - linear @ middle  # pixel centres lie half a pixel inside
    warped = cv2.warpAffine(level, np.column_stack([linear, shift]), (width, height), flags=cv2.INTER_LINEAR)
    x, y = corner.tolist()
    rows, columns = slice(max(0, y), min(size_hw[0], y + height)), slice(max(0, x), min(size_hw[1], x + width))
    inside = np.ascontiguousarray(warped[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x])
    whole_px = int(np.count_nonzero(warped[..., 3] >= OPAQUE))
    return Sprite(cutout, (rows, columns), np.asarray(inside, np.uint8), whole_px)
