"""How large the objects of a data set are, and which way of bringing images to a network suits them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparseinst.config.preprocess import NativeConfig, PreprocessConfig
from sparseinst.data.coco import CocoDataset
from sparseinst.data.geometry import MULTIPLE_PX, network_hw
from sparseinst.masks import rle

SMALL_PX = 10.0
"""Median diameter, in network pixels, below which masks of a few cells are all that a network can give."""
_GOOD_PX = 20.0
"""Median diameter that advice about sizes aims at."""
_MORE_EVEN = 1.5
"""How much less objects must differ in size one way than the other for advice to change the kind."""
_RANGE = (5, 50, 95)
"""Percentiles that are told."""
_LARGEST = 99
"""Percentile of the extent that tiles are made to hold."""


@dataclass(frozen=True)
class ObjectSizes:
    """Sizes of all objects and images.

    Args:
        diameters_px: (n,) float64 2*sqrt(area/pi) of each object, in pixels of the original image.
        extents_px: (n,) float64 longer side of the box around each.
        image_of: (n,) place of its image.
        images_hw: (m, 2) sizes of the images.
    """

    diameters_px: NDArray[np.float64]
    extents_px: NDArray[np.float64]
    image_of: NDArray[np.int64]
    images_hw: NDArray[np.int64]

    @property
    def median_px(self) -> float:
        """The median diameter in pixels of the original images; nan where there is no object."""
        return float(np.median(self.diameters_px)) if len(self.diameters_px) else float("nan")

    @property
    def largest_px(self) -> float:
        """The extent that 99 of 100 objects do not exceed; nan where there is no object."""
        return float(np.percentile(self.extents_px, _LARGEST)) if len(self.extents_px) else float("nan")

    def seen_px(self, preprocess: PreprocessConfig) -> NDArray[np.float64]:
        """(n,) diameters in network pixels at prediction."""
        sizes, inverse = np.unique(self.images_hw, axis=0, return_inverse=True)
        resized = np.array([network_hw((int(h), int(w)), preprocess) for h, w in sizes], float).reshape(-1, 2)
        factors = np.sqrt(resized.prod(1) / sizes.prod(1))[inverse.reshape(-1)]
        seen: NDArray[np.float64] = self.diameters_px * factors[self.image_of]
        return seen


def measure_sizes(dataset: CocoDataset) -> ObjectSizes:
    """Measures every instance of a data set from its encoded mask."""
    areas = [rle.areas(dataset.rles(i), dataset.size_hw(i)) for i in range(len(dataset))]
    boxes = [rle.boxes_xyxy(dataset.rles(i), dataset.size_hw(i)) for i in range(len(dataset))]
    sides = np.concatenate([np.zeros((0, 4)), *boxes])
    image_of = np.repeat(np.arange(len(dataset)), [len(part) for part in areas])
    images_hw = np.array([dataset.size_hw(i) for i in range(len(dataset))], np.int64).reshape(-1, 2)
    return ObjectSizes(
        2 * np.sqrt(np.concatenate([np.zeros(0), *areas]) / np.pi),
        (sides[:, 2:] - sides[:, :2]).max(1),
        image_of,
        images_hw,
    )


def describe_sizes(sizes: ObjectSizes, preprocess: PreprocessConfig) -> list[str]:
    """One line on the objects, and one on what would suit them better than these settings, if anything would.

    Args:
        sizes: of the training images; of no object nothing is said.
        preprocess: how the network gets its images.
    """
    if not len(sizes.diameters_px):
        return []
    seen = sizes.seen_px(preprocess)
    low, high = sizes.images_hw[[sizes.images_hw.prod(1).argmin(), sizes.images_hw.prod(1).argmax()]]
    images = " x ".join(map(str, low)) + ("" if (low == high).all() else f" to {high[0]} x {high[1]}")
    told = f"objects: {_spread(sizes.diameters_px)}, in images of {images}; the network sees {_spread(seen)}"
    advice = _advice(sizes, float(np.median(seen)), preprocess)
    return [told] if advice is None else [told, advice]


def _advice(sizes: ObjectSizes, seen_px: float, preprocess: PreprocessConfig) -> str | None:
    as_it_is = _ratio(sizes.diameters_px)
    to_image = _ratio(sizes.diameters_px / sizes.images_hw.min(1)[sizes.image_of])
    if isinstance(preprocess, NativeConfig):
        if seen_px < SMALL_PX:
            scale = preprocess.scale * _GOOD_PX / seen_px
            return (
                f"objects of {seen_px:.0f} px are small for a network: --set preprocess.scale={scale:.2g} enlarges them"
            )
        if as_it_is > _MORE_EVEN * to_image:
            return (
                "objects are large in large images and small in small ones: a network that resizes by the short side "
                "(--model n, or any published one) suits them better than one at native scale"
            )
        return None
    if seen_px < SMALL_PX:
        size = -(-int(preprocess.short_px * _GOOD_PX / seen_px) // MULTIPLE_PX) * MULTIPLE_PX
        return (
            f"objects would be {seen_px:.0f} px, small for a network: take one at native scale (--model nuclei) or a "
            f"larger --size (about {size})"
        )
    if to_image > _MORE_EVEN * as_it_is:
        return (
            "objects are as large in small images as in large ones: a network at native scale (--model nuclei) suits "
            "them better than one that resizes by the short side"
        )
    return None


def _spread(diameters: NDArray[np.float64]) -> str:
    low, median, high = np.percentile(diameters, _RANGE)
    return f"{median:.0f} px across (median; nine in ten {low:.0f} to {high:.0f})"


def _ratio(values: NDArray[np.float64]) -> float:
    """How many times larger the large ones are than the small ones."""
    low, _, high = np.percentile(values, _RANGE)
    return float(high / low)
