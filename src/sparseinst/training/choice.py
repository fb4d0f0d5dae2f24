"""Which network suits a data set and how long it is trained, where the user names neither."""

import math
from typing import NamedTuple

import numpy as np

from sparseinst.config.preprocess import RGB, ShortSideConfig
from sparseinst.data.coco import CocoDataset
from sparseinst.data.sizes import ObjectSizes
from sparseinst.data.stacks.channels import channels_in
from sparseinst.errors import InputError
from sparseinst.recipe import Recipe
from sparseinst.training.calibration import EVALUATIONS, Length

PHOTOGRAPHS, MICROGRAPHS = "lite", "nuclei"
"""The two networks that are chosen between."""

_SMALL_SHARE = 1 / 8
"""Of the image's short side: the median object of a micrograph is smaller."""
_MANY = 10
"""Objects in the median image above which coloured images of one class of small objects count as micrographs."""
_LOOKED_AT = 24
"""Images whose colours are looked at."""
_GREY = 3.0
"""Mean difference of the largest and the smallest channel (0..255) up to which an image is grey."""

_TYPICAL_IMAGES = 500
"""Training images that the iterations in the recipes of these two networks were chosen for."""
_LEAST, _MOST = 0.25, 8.0
"""Bounds of what the iterations are multiplied by."""


class Choice(NamedTuple):
    """A network and why."""

    network: str
    reason: str


def choose_network(dataset: CocoDataset, sizes: ObjectSizes, channels: int = RGB) -> Choice:
    """`nuclei` for one class of small objects in images without colours or many to an image, else `lite`.

    The first sees images at their own scale and has masks of stride 2, the second resizes them by the short side.

    Args:
        dataset: the training images; a few are opened.
        sizes: of its objects.
        channels: of its images.

    Raises:
        InputError: an image cannot be read.
    """
    classes = len(dataset.classes)
    if not len(sizes.diameters_px):
        return Choice(PHOTOGRAPHS, "no object is annotated")
    share = float(np.median(sizes.diameters_px / sizes.images_hw.min(1)[sizes.image_of]))
    many = float(np.median(np.bincount(sizes.image_of, minlength=len(dataset))))
    told = f"objects of {sizes.median_px:.0f} px, {share:.0%} of the image's short side"
    if classes > 1:
        return Choice(PHOTOGRAPHS, f"{classes} classes; {told}")
    if share > _SMALL_SHARE:
        return Choice(PHOTOGRAPHS, f"one class, but {told}")
    grey = _grey_share(dataset) if channels == RGB else 1.0
    kind = f"{grey:.0%} of the images grey" if channels == RGB else f"{channels} channels"
    told = f"one class, {told}, {many:.0f} in the median image, {kind}"
    return Choice(MICROGRAPHS if grey >= 0.5 or many >= _MANY else PHOTOGRAPHS, told)


def budget(recipe: Recipe, images: int, *, step_images: int) -> Length:
    """How long a network is trained on so many images: the recipe's iterations, times the root of their number.

    Four times as many images are seen twice as often in all, each half as often. A rule of thumb, not a measurement.

    Args:
        recipe: the network's own.
        images: training images.
        step_images: images of one iteration; where these are more than the recipe's, there are fewer iterations.

    Example:
        >>> budget(Recipe(iterations=3000, batch=4), 500, step_images=4).iterations
        3000
        >>> budget(Recipe(iterations=3000, batch=4), 2000, step_images=8)
        Length(iterations=3000, evaluate_every=375)
    """
    factor = min(_MOST, max(_LEAST, math.sqrt(images / _TYPICAL_IMAGES)))
    iterations = max(1, round(recipe.iterations * factor * recipe.batch * recipe.optim.accumulate / step_images))
    return Length(iterations, -(-iterations // EVALUATIONS))


def channels_of(dataset: CocoDataset) -> int:
    """How many channels the images have, of a few spread over the set; 3 for grey ones and for colours.

    Raises:
        InputError: they differ, or an image cannot be opened.
    """
    if dataset.stored is not None:
        return RGB
    found = {i: channels_in(dataset.path(i), pages=True) for i in _some(dataset)}
    counts = {i: RGB if names is None else len(names) for i, names in found.items()}
    if len(set(counts.values())) > 1:
        few, many = (choose(counts, key=counts.__getitem__) for choose in (min, max))
        raise InputError(
            f"{dataset.annotations}: expected images of as many channels each, got {counts[few]} in "
            f"{dataset.path(few).name} and {counts[many]} in {dataset.path(many).name}: train on one kind of images"
        )
    return next(iter(counts.values()))


def _some(dataset: CocoDataset) -> list[int]:
    """A few images spread over the set, by number."""
    spread = np.linspace(0, len(dataset) - 1, min(_LOOKED_AT, len(dataset)))
    return [int(i) for i in np.unique(spread.astype(int))]


def _grey_share(dataset: CocoDataset) -> float:
    """The share of images without colour, of a few spread over the set."""
    spreads = [np.ptp(dataset.image(i, ShortSideConfig())[::4, ::4], axis=2).mean() for i in _some(dataset)]
    return float(np.mean([spread <= _GREY for spread in spreads]))
