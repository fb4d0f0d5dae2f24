import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame

from sparseinst.ops.same import EvenSameConv


@pytest.mark.parametrize(("kernel", "groups"), [(2, 1), (3, 1), (3, 4), (5, 4), (7, 2)])
@pytest.mark.parametrize("size_hw", [(2, 2), (6, 8), (32, 34)])
def test_it_is_timms_convolution_where_sides_are_even(kernel: int, groups: int, size_hw: tuple[int, int]) -> None:
    torch.manual_seed(0)
    conv = Conv2dSame(4, 8, kernel, stride=2, groups=groups, bias=kernel == 5)
    assert EvenSameConv.fits(conv)
    images = torch.randn(2, 4, *size_hw)
    assert torch.equal(EvenSameConv(conv)(images), conv(images))


def test_others_are_left_to_timm() -> None:
    assert not EvenSameConv.fits(Conv2dSame(4, 4, 3, stride=1))
    assert not EvenSameConv.fits(Conv2dSame(4, 4, 1, stride=2))
    assert not EvenSameConv.fits(Conv2dSame(4, 4, 3, stride=2, dilation=2))
