"""Sizes: what an image is resized and padded to for the network, in training as in prediction."""

import math

from sparseinst.config.preprocess import NativeConfig, PreprocessConfig
from sparseinst.errors import InputError
from sparseinst.masks.grid import Frame

MULTIPLE_PX = 32
"""Sides of a padded frame are multiples of this, the coarsest stride of a backbone."""

EXAMPLE_PX = 512
"""Side of the image that stands for all where a network takes images at their native size."""


def network_hw(original_hw: tuple[int, int], config: PreprocessConfig) -> tuple[int, int]:
    """Size that an image is resized to for the network: by its short side or by a factor, as `config` says.

    >>> from sparseinst.config.preprocess import ShortSideConfig
    >>> network_hw((480, 640), ShortSideConfig(short_px=640, long_px=864))
    (640, 853)
    >>> network_hw((480, 640), NativeConfig(scale=0.5))
    (240, 320)
    """
    if isinstance(config, NativeConfig):
        return _rounded((original_hw[0] * config.scale, original_hw[1] * config.scale), config.frame_hw)
    return resized_hw(original_hw, config.short_px, config.long_px, config.frame_hw)


def shrinks(original_hw: tuple[int, int], config: NativeConfig) -> bool:
    """Whether an image is seen smaller than the scale says, because a fixed frame cannot hold it.

    >>> shrinks((480, 640), NativeConfig(frame_hw=(512, 512))), shrinks((480, 640), NativeConfig())
    (True, False)
    """
    return network_hw(original_hw, config) != network_hw(original_hw, config.model_copy(update={"frame_hw": None}))


def resized_hw(
    original_hw: tuple[int, int], short_px: int, long_px: int, within_hw: tuple[int, int] | None = None
) -> tuple[int, int]:
    """Size at which the short side is `short_px`, or less where the long side would exceed `long_px`.

    A fixed frame (`within_hw`) is never exceeded: an upright image in a lying one becomes smaller.

    Rounds as the published models were trained (detectron2's ResizeShortestEdge).

    >>> resized_hw((480, 640), 640, 864)
    (640, 853)
    >>> resized_hw((400, 1600), 640, 864)
    (216, 864)
    >>> resized_hw((640, 480), 640, 864, within_hw=(640, 864))
    (640, 480)
    """
    height, width = original_hw
    scale = short_px / min(height, width)
    sides = (float(short_px), scale * width) if height < width else (scale * height, float(short_px))
    if max(sides) > long_px:
        scale = long_px / max(sides)
        sides = (sides[0] * scale, sides[1] * scale)
    return _rounded(sides, within_hw)


def frame_hw(resized_hw: tuple[int, int], fixed: tuple[int, int] | None = None) -> tuple[int, int]:
    """The padded size: the fixed frame, or else the next multiples of 32.

    >>> frame_hw((216, 864))
    (224, 864)

    Raises:
        InputError: the image does not fit into the fixed frame.
    """
    if fixed is None:
        return _next_multiple(resized_hw[0]), _next_multiple(resized_hw[1])
    if resized_hw[0] > fixed[0] or resized_hw[1] > fixed[1]:
        raise InputError(
            f"expected images of at most {fixed[0]} x {fixed[1]} pixels (frame_hw), got {resized_hw[0]} x "
            f"{resized_hw[1]} after resizing: enlarge frame_hw, or lower what they are resized to"
        )
    return fixed


def frame_of(original_hw: tuple[int, int], config: PreprocessConfig) -> Frame:
    """The sizes that an image of this size is brought to."""
    size = network_hw(original_hw, config)
    return Frame(frame_hw(size, config.frame_hw), size, original_hw)


def _rounded(sides: tuple[float, float], within_hw: tuple[int, int] | None) -> tuple[int, int]:
    """Whole pixels, shrunk where a frame would be exceeded."""
    if within_hw is not None:
        scale = min(1.0, within_hw[0] / sides[0], within_hw[1] / sides[1])
        sides = (sides[0] * scale, sides[1] * scale)
    return max(1, int(sides[0] + 0.5)), max(1, int(sides[1] + 0.5))


def _next_multiple(side: int) -> int:
    return math.ceil(side / MULTIPLE_PX) * MULTIPLE_PX
