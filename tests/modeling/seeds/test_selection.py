import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sparseinst.modeling.seeds.selection import NEVER, Budget, is_peak, select_seeds

IMAGE = Budget(candidates=5, per="image", stride=4)


def maps(*cells: tuple[int, int, int, float], size_hw: tuple[int, int] = (12, 16), classes: int = 2) -> torch.Tensor:
    """(1, C, h, w) logits of -6 but for (class, row, column, logit)."""
    logits = torch.full((1, classes, *size_hw), -6.0)
    for kind, row, column, logit in cells:
        logits[0, kind, row, column] = logit
    return logits


def heads(logits: torch.Tensor) -> torch.Tensor:
    """(1, 1, h, w): the number of each cell."""
    return torch.arange(logits[0, 0].numel(), dtype=torch.float32).view(1, 1, *logits.shape[2:])


def test_the_best_peaks_come_first_with_their_cells() -> None:
    logits = maps((0, 3, 4, 1.0), (1, 8, 9, 3.0), (0, 8, 10, 2.0))
    seeds = select_seeds([logits], [heads(logits)], IMAGE)
    assert seeds.logits[0, :2].tolist() == [[-6.0, 3.0], [1.0, -6.0]]  # the neighbour of the first is not kept
    assert seeds.head[0, :2, 0].tolist() == [8 * 16 + 9, 3 * 16 + 4]
    assert list(zip(seeds.y[0, :2].tolist(), seeds.x[0, :2].tolist(), strict=True)) == [(8, 9), (3, 4)]


def test_cells_of_coarser_levels_have_their_centres_on_the_finest_grid() -> None:
    fine, coarse = maps(), maps((1, 1, 3, 2.0), size_hw=(3, 4))
    seeds = select_seeds([fine, coarse], [heads(fine), heads(coarse)], IMAGE)
    assert (seeds.y[0, 0], seeds.x[0, 0], seeds.cells[0, 0]) == (2.5, 6.5, 2)


def test_a_frame_of_fewer_cells_than_candidates_is_filled_with_what_has_no_probability() -> None:
    logits = maps((0, 0, 0, 1.0), size_hw=(1, 2))
    seeds = select_seeds([logits], [heads(logits)], IMAGE)
    assert seeds.logits.shape == (1, 5, 2)
    assert (seeds.logits[0, 1:].sigmoid() == 0).all()
    assert (seeds.logits[0, 1:] == NEVER).all()


def test_candidates_follow_the_area_or_the_image() -> None:
    area = Budget(candidates=400, per="area", stride=4)
    assert area.most((128, 128)) == 400
    assert area.most((64, 128)) == 200
    assert area.most((1, 1)) == 1
    assert IMAGE.most((128, 128)) == IMAGE.most((1, 1)) == 5


def test_a_least_logit_leaves_out_what_is_below_it_and_keeps_one() -> None:
    logits = maps((0, 3, 4, 1.0), (1, 8, 9, 3.0))
    for least, count in ((0.0, 2), (2.0, 1), (9.0, 1), (-9.0, 5)):
        seeds = select_seeds([logits], [heads(logits)], IMAGE._replace(least_logit=least))
        assert seeds.logits.shape[1] == count, least
    whole = select_seeds([logits], [heads(logits)], IMAGE)
    torch.testing.assert_close(
        select_seeds([logits], [heads(logits)], IMAGE._replace(least_logit=0.0)).head, whole.head[:, :2]
    )


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000), height=st.integers(1, 9), width=st.integers(1, 9), values=st.integers(1, 4))
def test_no_two_peaks_touch_and_every_peak_is_a_maximum(seed: int, height: int, width: int, values: int) -> None:
    """With few different values, as 16 bits make them, plateaus are everywhere."""
    scores = torch.randint(values, (2, height, width), generator=torch.Generator().manual_seed(seed)).float()
    peaks = is_peak(scores)
    assert (F.max_pool2d(scores[:, None], 3, 1, 1)[:, 0][peaks] == scores[peaks]).all()
    around = F.avg_pool2d(F.pad(peaks.float()[:, None], (1, 1, 1, 1)), 3, stride=1)[:, 0] * 9
    assert (around[peaks].round() == 1).all()
    assert peaks.flatten(1).any(1).all()


@pytest.mark.parametrize(("fine", "coarse"), [(1.0, 3.0), (3.0, 1.0)])
def test_an_object_is_taken_on_the_level_that_is_surer_of_it(fine: float, coarse: float) -> None:
    levels = [maps((0, 5, 7, fine)), maps((0, 2, 3, coarse), size_hw=(6, 8)), maps((0, 2, 3, 0.5), size_hw=(3, 4))]
    seeds = select_seeds(levels, list(map(heads, levels)), IMAGE)
    sure = seeds.logits[0].amax(1) > -5
    assert seeds.logits[0, sure].amax(1).tolist() == [3.0, 0.5]  # the last lies elsewhere
    assert seeds.cells[0, 0] == (1 if fine > coarse else 2)


def test_an_object_of_another_class_or_place_stays_beside_one_on_another_level() -> None:
    levels = [maps((1, 5, 7, 1.0), (0, 1, 14, 0.0)), maps((0, 2, 3, 3.0), size_hw=(6, 8))]
    seeds = select_seeds(levels, list(map(heads, levels)), IMAGE)
    assert seeds.logits[0, :3].amax(1).tolist() == [3.0, 1.0, 0.0]
