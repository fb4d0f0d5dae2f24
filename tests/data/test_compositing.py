import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparseinst.data.compositing import blend, premultiply


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9))
def test_blending_is_the_over_operator(seed: int, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    scene, colors = random.integers(0, 256, (2, height + 2, width + 1, 3), dtype=np.uint8)
    alpha = random.choice(np.array([0, 1, 77, 128, 254, 255], np.uint8), (height, width))
    before, above = scene.copy(), colors[:height, :width].copy()
    blend(scene[2:, 1:], premultiply(above, alpha), alpha)
    share = alpha[..., None] / 255
    expected = share * above + (1 - share) * before[2:, 1:]
    assert np.abs(scene[2:, 1:] - expected).max() <= 1
    assert np.array_equal(scene[2:, 1:][alpha == 0], before[2:, 1:][alpha == 0])
    assert np.array_equal(scene[2:, 1:][alpha == 255], above[alpha == 255])
    assert np.array_equal(scene[:2], before[:2]) and np.array_equal(scene[:, :1], before[:, :1])
