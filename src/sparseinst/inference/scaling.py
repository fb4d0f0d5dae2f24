"""Objects of another size than a network was trained on: images are brought to it at another scale."""

import logging
import math

from sparseinst.config.preprocess import NativeConfig, PreprocessConfig
from sparseinst.data.geometry import network_hw, shrinks
from sparseinst.errors import InputError

_LOGGER = logging.getLogger(__name__)


def at_scale(
    preprocess: PreprocessConfig, *, scale: float | None = None, diameter: float | None = None
) -> PreprocessConfig:
    """The settings at another scale.

    Args:
        preprocess: those of the network.
        scale: network pixels for each pixel of the image, in place of the network's.
        diameter: of the objects in pixels of the image; the scale is then the one at which the network sees them as
            large as those it was trained on.

    Raises:
        InputError: both are given, or one that is not above 0; the network has no scale, or states no diameter.
    """
    check_scale(scale, diameter)
    if scale is not None:
        name, value = "scale", scale
    elif diameter is not None:
        name, value = "diameter", diameter
    else:
        return preprocess
    if not isinstance(preprocess, NativeConfig):
        raise InputError(
            f"{name}: expected a network at native scale, got one whose images are resized to {preprocess.short_px} px "
            f"on the short side: leave {name} out, and look closer with tile where objects are small"
        )
    if name == "scale":
        return preprocess.model_copy(update={"scale": float(value)})
    if preprocess.diameter_px is None:
        raise InputError(
            "diameter: expected a network that states the diameter of the objects it was trained on, this one states "
            "none: give scale, the network pixels for each pixel of the image"
        )
    return preprocess.model_copy(update={"scale": preprocess.scale * preprocess.diameter_px / value})


def check_scale(scale: float | None, diameter: float | str | None) -> None:
    """Checks that at most one is given, and is a number above 0 (or "auto").

    Raises:
        InputError: it is not.
    """
    if scale is not None and diameter is not None:
        raise InputError("expected scale or diameter, got both: leave one out")
    for name, value in (("scale", scale), ("diameter", diameter)):
        if isinstance(value, int | float) and not (value > 0 and math.isfinite(value)):
            raise InputError(f"{name}: expected a number above 0, got {value:g}: {_MEANING[name]}")


def at_pixel_size(preprocess: PreprocessConfig, pixel_um: float | None) -> PreprocessConfig:
    """The settings for an image whose pixels measure so many micrometres; as they are where that is not known, or where
    the network does not state how large those were that it was trained on.
    """
    if pixel_um is None or not isinstance(preprocess, NativeConfig) or preprocess.pixel_um is None:
        return preprocess
    return preprocess.model_copy(update={"scale": preprocess.scale * pixel_um / preprocess.pixel_um})


def checked_auto(diameter: object, scale: float | None, preprocess: PreprocessConfig) -> bool:
    """Whether diameters are to be estimated.

    Raises:
        InputError: with a network for which that cannot be done, or together with a scale.
    """
    if diameter != "auto":
        return False
    check_scale(scale, "auto")
    if not isinstance(preprocess, NativeConfig) or preprocess.diameter_px is None:
        raise InputError(
            "diameter auto: expected a network at native scale that states the diameter of the objects it was trained "
            "on, got another: leave diameter out, or give scale where there is one"
        )
    return True


def shrunk_by(size_hw: tuple[int, int], preprocess: PreprocessConfig) -> float:
    """How many times smaller than it is an image of (height, width) is seen in one pass; 1 at native scale.

    >>> from sparseinst.config.preprocess import ShortSideConfig
    >>> shrunk_by((3000, 4000), ShortSideConfig(short_px=600, long_px=800)), shrunk_by((3000, 4000), NativeConfig())
    (5.0, 1.0)
    """
    if isinstance(preprocess, NativeConfig):
        return 1.0
    return max(size_hw) / max(network_hw(size_hw, preprocess))


class FrameWatch:
    """Warns once where a fixed frame cannot hold an image at the network's scale."""

    def __init__(self) -> None:
        self._told = False

    def see(self, original_hw: tuple[int, int], config: PreprocessConfig) -> None:
        """Looks at the size of an image, and how it is brought to the network."""
        if self._told or not isinstance(config, NativeConfig) or config.frame_hw is None:
            return
        if shrinks(original_hw, config):
            self._told = True
            frame = config.frame_hw
            _LOGGER.warning(
                f"an image of {original_hw[0]} x {original_hw[1]} at a scale of {config.scale:g} does not fit the "
                f"fixed frame of {frame[0]} x {frame[1]}: it is shrunk to fit, and its objects seem smaller than asked "
                f"for; cut it with tile {native_tile(config)}, or take the network without a fixed frame"
            )


def native_tile(config: NativeConfig) -> int:
    """Side in pixels of the largest tile that a fixed frame holds at the network's scale; at least 32."""
    return max(32, int(min(config.frame_hw or (32, 32)) / config.scale))


_MEANING = {
    "scale": "network pixels for each pixel of the image",
    "diameter": "that of most objects, in pixels of the image",
}
