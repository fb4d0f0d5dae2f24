import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sparseinst.ops.pooling import pyramid_average, pyramid_cells

SIDE = st.integers(1, 40)


@given(height=SIDE, width=SIDE, bins=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=st.integers(0, 9))
@settings(max_examples=100)
def test_means_are_those_of_adaptive_pooling(height: int, width: int, bins: list[int], seed: int) -> None:
    features = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    means = pyramid_average(features, pyramid_cells(bins)).split([count**2 for count in bins], dim=2)
    for count, mean in zip(bins, means, strict=True):
        expected = F.adaptive_avg_pool2d(features, count)
        torch.testing.assert_close(mean.unflatten(2, (count, count)), expected, atol=1e-6, rtol=1e-6)


def test_gradients_are_those_of_adaptive_pooling() -> None:
    features = torch.randn(1, 2, 7, 10, dtype=torch.float64, requires_grad=True)
    (ours,) = torch.autograd.grad(pyramid_average(features, pyramid_cells([3])).square().sum(), features)
    (expected,) = torch.autograd.grad(F.adaptive_avg_pool2d(features, 3).square().sum(), features)
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-6)


def test_the_type_of_the_features_is_kept() -> None:
    means = pyramid_average(torch.ones(1, 2, 5, 5, dtype=torch.bfloat16), pyramid_cells([1, 2]))
    assert means.dtype == torch.bfloat16
    torch.testing.assert_close(means.float(), torch.ones(1, 2, 5), atol=2**-7, rtol=0)
