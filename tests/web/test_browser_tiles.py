"""A browser cuts pictures where the package does."""

from dataclasses import asdict

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sparseinst.config.preprocess import NativeConfig, PreprocessConfig, ShortSideConfig
from sparseinst.inference.tiling import largest_tiles, own_tiling

SIDE = st.integers(1, 4000)


def cut(node, size: tuple[int, int], config: PreprocessConfig) -> tuple[list[tuple[slice, slice]], int]:
    """The windows and the margin, as a site's model.json leads to them."""
    preprocess = config.model_dump(mode="json", exclude={"mean", "std", "intensity", "diameter_px", "largest_px"})
    tiles = asdict(largest_tiles(config)) if isinstance(config, NativeConfig) else None
    found = node.call("browser_tiles.js", "cut", size, {"preprocess": preprocess, "tiles": tiles})
    windows = [(slice(w["top"], w["bottom"]), slice(w["left"], w["right"])) for w in found["windows"]]
    return windows, found["margin"]


@st.composite
def configs(draw: st.DrawFn) -> NativeConfig:
    """Scales that are simple fractions, and others; with a fixed frame or without."""
    scale = draw(st.sampled_from([0.5, 1.0, 1.4, 4 / 3, 0.75]) | st.floats(0.1, 3))
    frame = st.tuples(*2 * [st.integers(4, 40).map(lambda cells: 32 * cells)])
    one_pass_px, largest_px = draw(st.integers(128, 1600)), draw(st.none() | st.floats(1, 300))
    return NativeConfig(scale=scale, frame_hw=draw(st.none() | frame), one_pass_px=one_pass_px, largest_px=largest_px)


@given(SIDE, SIDE, configs())
@example(1600, 1600, NativeConfig(scale=1.4, largest_px=72, one_pass_px=768))
@example(1600, 1600, NativeConfig(scale=1.4, largest_px=72))  # aligned to the network's grids
@settings(max_examples=500)
def test_tiles(node, height: int, width: int, config: NativeConfig) -> None:
    tiling = own_tiling((height, width), config)
    windows, margin = cut(node, (height, width), config)
    if tiling is None:
        assert windows == [(slice(0, height), slice(0, width))] and margin == 0
    else:
        assert windows == list(tiling.windows((height, width))) and margin == tiling.margin


def test_photographs_are_never_cut(node) -> None:
    assert cut(node, (4000, 6000), ShortSideConfig()) == ([(slice(0, 4000), slice(0, 6000))], 0)


def test_pixels_of_a_window(node) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (9, 13, 4), np.uint8)
    window = {"top": 2, "bottom": 7, "left": 3, "right": 13}
    found = node.call("browser_tiles.js", "pixelsOf", rgba, 13, window)
    np.testing.assert_array_equal(found.reshape(5, 10, 4), rgba[2:7, 3:13])
