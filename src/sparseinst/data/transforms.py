"""Random changes of a training image, and which of its pixels are seen in the end.

All randomness comes from torch's global generator, which the loader seeds for each item.
"""

import math

import torch
from torch import Tensor

from sparseinst.config.preprocess import NativeConfig, PreprocessConfig, ShortSideConfig
from sparseinst.data.geometry import network_hw, resized_hw
from sparseinst.data.photometric import Color, Photometric
from sparseinst.data.prepare import resize
from sparseinst.data.seen import Seen
from sparseinst.errors import InputError
from sparseinst.recipe import AugmentConfig

_SHRINKS = (8, 4, 2)
"""What JPEG decoders can leave out, the most first."""
_NO_LIMIT = 2**31


class TrainTransform:
    """A tile of large images, turns and flips, colour, then a random scale and place.

    At native scale, scale and place come first: only the window that fills the frame is resized and changed.

    Args:
        augment: what is changed and how much.
        preprocess: the sizes at prediction, which large-scale jitter is relative to.

    Raises:
        InputError: the training frame is smaller than the sizes trained at, or the published crop is asked for at
            native scale.
    """

    def __init__(self, augment: AugmentConfig, preprocess: PreprocessConfig) -> None:
        frame, native = augment.frame_hw, isinstance(preprocess, NativeConfig)
        if native and augment.crop:
            raise InputError(
                f"augment.crop: expected 0 for a network at native scale, got {augment.crop}: it resizes by the short "
                "side; augment.frame_hw is what such a network is trained in"
            )
        if not native and frame is not None and augment.jitter is None and max(augment.short_px) > min(frame):
            raise InputError(
                f"augment.frame_hw: expected sides of at least {max(augment.short_px)}, the largest of "
                f"augment.short_px, got {frame}: enlarge the frame, drop the larger short sides, or set augment.jitter"
            )
        self.augment = augment
        self.preprocess = preprocess
        self._color = Color(augment.color, preprocess.channels) if augment.color else None
        self._photometric = Photometric(augment.photometric) if augment.photometric else None

    def shrink(self, image_hw: tuple[int, int]) -> int:
        """How much smaller an image may be decoded: 1, 2, 4 or 8, with sides that are no less than any trained at.

        It has to divide both sides: a last pixel that is half beyond the border would shift what lies before it.
        """
        if not self.augment.scaled_jpeg or self.augment.tile is not None or isinstance(self.preprocess, NativeConfig):
            return 1
        sides = list(zip(image_hw, self._largest(image_hw, self.preprocess), strict=True))
        return next((k for k in _SHRINKS if all(side % k == 0 and side // k >= most for side, most in sides)), 1)

    def _largest(self, image_hw: tuple[int, int], preprocess: ShortSideConfig) -> tuple[int, int]:
        """No image of this size is brought to a larger one."""
        augment = self.augment
        if augment.jitter is not None:
            size = resized_hw(image_hw, preprocess.short_px, preprocess.long_px)
            return math.ceil(size[0] * augment.jitter[1]), math.ceil(size[1] * augment.jitter[1])
        sizes = [resized_hw(image_hw, max(augment.short_px), augment.long_px)]
        if augment.crop:
            sizes.append(resized_hw(image_hw, max(augment.crop_short_px), _NO_LIMIT))
        return max(height for height, _ in sizes), max(width for _, width in sizes)

    def __call__(self, image: Tensor, image_hw: tuple[int, int]) -> tuple[Tensor, Seen]:
        """Changes an image.

        Args:
            image: (channels, H, W) uint8, whole or decoded smaller (see `shrink`).
            image_hw: its size, of which crops are taken.

        Returns:
            (channels, h, w) uint8, with large-scale jitter no larger than the frame, and the view of the image that it
            is, (h, w).
        """
        image, seen = self._tile(image, Seen.whole(image_hw))
        turns = _integer(0, 3) if self.augment.quarter_turns else 0
        if isinstance(self.preprocess, NativeConfig):
            image, seen = self._window(image, seen, self.preprocess.scale, turned=turns % 2 == 1)
        image, seen = self._flip(torch.rot90(image, turns, (1, 2)) if turns else image, seen.turn(turns))
        if self._color is not None:
            image = self._color(image)
        if isinstance(self.preprocess, ShortSideConfig):
            if self.augment.jitter is None:
                image, seen = self._multi_scale(*self._published_crop(image, seen))
            else:
                image, seen = self._large_scale_jitter(image, seen, self.preprocess, self.augment.jitter)
        if self._photometric is not None:
            image = self._photometric(image)
        return image, seen

    def _flip(self, image: Tensor, seen: Seen) -> tuple[Tensor, Seen]:
        for axis, probability in ((1, self.augment.vertical_flip), (2, self.augment.flip)):
            if torch.rand(1).item() < probability:
                image, seen = image.flip(axis), seen.flip(vertical=axis == 1)
        return image, seen

    def _tile(self, image: Tensor, seen: Seen) -> tuple[Tensor, Seen]:
        """With some probability a window at a random place, where the image is larger than that."""
        side, (height, width) = self.augment.tile, seen.hw
        if side is None or max(height, width) <= side or torch.rand(()).item() >= self.augment.tile_share:
            return image, seen
        return _crop(image, seen, (min(side, height), min(side, width)))

    def _window(self, image: Tensor, seen: Seen, scale: float, *, turned: bool) -> tuple[Tensor, Seen]:
        """At a random scale, what fits into the frame, from a random place.

        The window is cut from the image as it is, in whole pixels, so that large images cost no more than small ones.
        """
        if self.augment.jitter is not None:
            low, high = self.augment.jitter
            scale *= low * (high / low) ** torch.rand(()).item()
        whole = network_hw(seen.hw, NativeConfig(scale=scale))
        if self.augment.frame_hw is None:
            return _resize(image, seen, whole)
        frame = self.augment.frame_hw[::-1] if turned else self.augment.frame_hw
        (rows, height), (columns, width) = (
            _window_side(*sides, scale) for sides in zip(seen.hw, whole, frame, strict=True)
        )
        return _resize(*_crop(image, seen, (rows, columns)), (height, width))

    def _published_crop(self, image: Tensor, seen: Seen) -> tuple[Tensor, Seen]:
        """With some probability: short side to one of a few sizes, then a crop of random sides and place."""
        if torch.rand(()).item() >= self.augment.crop:
            return image, seen
        sizes = self.augment.crop_short_px
        size = resized_hw(seen.hw, sizes[_integer(0, len(sizes) - 1)], _NO_LIMIT)
        low, high = self.augment.crop_px
        height, width = (_integer(min(low, side), min(high, side)) for side in size)
        return _crop(*_resize(image, seen, size), (height, width))

    def _multi_scale(self, image: Tensor, seen: Seen) -> tuple[Tensor, Seen]:
        short = self.augment.short_px[_integer(0, len(self.augment.short_px) - 1)]
        size = resized_hw(seen.hw, short, self.augment.long_px, self.augment.frame_hw)
        return _resize(image, seen, size)

    def _large_scale_jitter(
        self, image: Tensor, seen: Seen, preprocess: ShortSideConfig, limits: tuple[float, float]
    ) -> tuple[Tensor, Seen]:
        size = resized_hw(seen.hw, preprocess.short_px, preprocess.long_px)
        scale = limits[0] + (limits[1] - limits[0]) * torch.rand(()).item()
        image, seen = _resize(image, seen, (max(1, round(size[0] * scale)), max(1, round(size[1] * scale))))
        height, width = seen.hw
        frame = self.augment.frame_hw or (height, width)
        return _crop(image, seen, (min(height, frame[0]), min(width, frame[1])))


def _window_side(side: int, whole: int, most: int, scale: float) -> tuple[int, int]:
    """How many pixels of an image's side to cut out, and the network pixels they become: at most `most`."""
    part = max(1, int(most / scale + 0.5))
    return (part, most) if part < side else (side, min(most, whole))


def _resize(image: Tensor, seen: Seen, hw: tuple[int, int]) -> tuple[Tensor, Seen]:
    return resize(image, hw), seen.resize(hw)


def _crop(image: Tensor, seen: Seen, hw: tuple[int, int]) -> tuple[Tensor, Seen]:
    """A crop of `hw` at a random place."""
    height, width = seen.hw
    top, left = _integer(0, height - hw[0]), _integer(0, width - hw[1])
    window = slice(top, top + hw[0]), slice(left, left + hw[1])
    return image[:, *window], seen.crop(window)


def _integer(low: int, high: int) -> int:
    """A random whole number, both ends included."""
    return int(torch.randint(low, high + 1, ()).item())
