import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseinst.modeling.seeds.prior import shape_prior

numbers = st.floats(-3, 3, width=32)


def exact(values: torch.Tensor, y: float, x: float, unit: float, size_hw: tuple[int, int]) -> torch.Tensor:
    """One seed's logits cell by cell, as the docstring states them, in float64."""
    down, across, slope_y, slope_x, shear = values.double()
    down, across = torch.log1p(down.exp()), torch.log1p(across.exp())
    twist = 2 * 0.95 * shear.tanh() * (down * across).sqrt()
    grid = torch.empty(size_hw, dtype=torch.float64)
    for row in range(size_hw[0]):
        for column in range(size_hw[1]):
            dy, dx = (row - y) / unit, (column - x) / unit
            grid[row, column] = slope_y * dy + slope_x * dx - down * dy**2 - across * dx**2 - twist * dy * dx
    return grid


@settings(max_examples=30)
@given(
    values=st.lists(numbers, min_size=5, max_size=5), y=st.integers(0, 6), x=st.integers(0, 8), level=st.integers(0, 2)
)
def test_each_cell_has_the_value_of_the_quadratic_form(values: list[float], y: int, x: int, level: int) -> None:
    described, unit = torch.tensor(values), 6.0 * 2**level
    found = shape_prior(
        described[None, None], torch.tensor([[y + 0.5]]), torch.tensor([[float(x)]]), torch.tensor([[unit]]), (7, 9)
    )
    torch.testing.assert_close(
        found[0, 0].double(), exact(described, y + 0.5, float(x), unit, (7, 9)), atol=1e-4, rtol=1e-5
    )


@settings(max_examples=30)
@given(values=st.lists(numbers, min_size=5, max_size=5))
def test_every_shape_ends(values: list[float]) -> None:
    described = torch.tensor([*values[:2], 0.0, 0.0, values[4]])
    grid = shape_prior(described[None, None], *(torch.full((1, 1), value) for value in (10.0, 10.0, 6.0)), (21, 21))[
        0, 0
    ]
    assert grid[10, 10] == 0
    assert (grid <= 0).all()
    edge = torch.cat([grid[0], grid[-1], grid[:, 0], grid[:, -1]])
    assert (edge < 0).all()


def test_a_place_far_from_the_corner_is_as_exact_as_one_near_it() -> None:
    """Expanded about the corner, the terms at cell 512 are 15,000 and more and leave nothing of the differences."""
    values = torch.tensor([2.0, 1.0, 0.3, -0.2, 0.4])[None, None]
    near = shape_prior(values, *(torch.full((1, 1), value) for value in (8.0, 8.0, 6.0)), (17, 17))
    far = shape_prior(values, *(torch.full((1, 1), value) for value in (520.0, 520.0, 6.0)), (529, 529))
    assert torch.equal(near[0, 0], far[0, 0, 512:, 512:])


def test_sixteen_bits_in_do_not_make_sixteen_bits_out() -> None:
    values = torch.tensor([2.0, 1.0, 0.3, -0.2, 0.4])[None, None]
    places = [torch.full((1, 1), value) for value in (520.0, 520.0, 6.0)]
    exact_grid = shape_prior(values, *places, (529, 529))
    for kind in (torch.bfloat16, torch.float16):
        grid = shape_prior(values.to(kind), *places, (529, 529))
        assert grid.dtype == torch.float32
        torch.testing.assert_close(grid[..., 512:, 512:], exact_grid[..., 512:, 512:], atol=0.05, rtol=0.01)
