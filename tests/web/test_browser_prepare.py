"""A browser prepares pictures bit for bit as the package does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseinst.config.preprocess import NativeConfig, PreprocessConfig, ShortSideConfig
from sparseinst.data.geometry import frame_of
from sparseinst.data.prepare import prepare, stack

SIDE = st.integers(1, 90)


def plain(config: PreprocessConfig) -> dict[str, object]:
    return config.model_dump(mode="json", include={"kind", "short_px", "long_px", "scale", "frame_hw"})


@st.composite
def configs(draw: st.DrawFn, most: int) -> PreprocessConfig:
    if draw(st.booleans()):
        fixed = st.tuples(*2 * [st.integers(1, most // 32 + 1).map(lambda cells: 32 * cells)])
        return NativeConfig(scale=draw(st.floats(0.05, 2)), frame_hw=draw(st.none() | fixed))
    short_px = draw(st.integers(1, most))
    long_px = short_px + draw(st.integers(0, most))
    frame_hw = tuple(-(-long_px // 32) * 32 + 32 * draw(st.integers(0, 1)) for _ in range(2))
    return ShortSideConfig(short_px=short_px, long_px=long_px, frame_hw=draw(st.sampled_from([None, frame_hw])))


@given(height=st.integers(1, 9000), width=st.integers(1, 9000), config=configs(1500))
@settings(max_examples=500)
def test_sizes(node, height: int, width: int, config: PreprocessConfig) -> None:
    sizes = node.call("browser_prepare.js", "frameOf", [height, width], plain(config))
    expected = frame_of((height, width), config)
    found = [tuple(sizes[name]) for name in ("frame", "resized", "original")]
    assert found == [expected.frame_hw, expected.resized_hw, expected.original_hw]


def assert_same_pixels(node, rgba: np.ndarray, config: PreprocessConfig) -> None:
    found = node.call("browser_prepare.js", "prepare", rgba, rgba.shape[:2], plain(config))
    expected, _ = stack([prepare(np.ascontiguousarray(rgba[:, :, :3]), config)])
    np.testing.assert_array_equal(found["pixels"].reshape(expected.shape), expected.numpy())


@given(height=SIDE, width=SIDE, config=configs(90), seed=st.integers(0, 99))
@settings(max_examples=150)
def test_pixels(node, height: int, width: int, config: PreprocessConfig, seed: int) -> None:
    random = np.random.default_rng(seed)
    rgba = random.integers(0, 256, (height, width, 4), np.uint8)
    if seed % 2:  # only extremes: sums reach their bounds
        rgba = np.where(rgba > 127, np.uint8(255), np.uint8(0))
    assert_same_pixels(node, rgba, config)


@pytest.mark.parametrize("size", [(1080, 1920), (300, 4000), (4100, 40)])
def test_pixels_of_large_pictures(node, size: tuple[int, int]) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (*size, 4), np.uint8)
    assert_same_pixels(node, rgba, ShortSideConfig(short_px=16, long_px=384))
    assert_same_pixels(node, rgba, ShortSideConfig(short_px=640, long_px=864))
