"""Masks grown in windows are those grown over the whole frame."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sparseinst import Predictor
from sparseinst.masks.grid import mean_inside
from sparseinst.modeling.postprocess import Segmenter
from sparseinst.modeling.seeds.decoder import Fields, SeedsDecoder
from sparseinst.modeling.seeds.selection import NEVER, Budget, Seeds
from sparseinst.modeling.seeds.windows import grow_in_windows
from sparseinst.runtime.torch_backend import EagerBackend, TorchBackend
from sparseinst.runtime.windowed import WindowedSegmenter
from sparseinst.zoo.models import load_model
from sparseinst.zoo.names import DEMO_IMAGE
from tiny import tiny_seeds

THRESHOLD = 0.45


def scene(size_hw: tuple[int, int], count: int, curvature: float, seed: int) -> tuple[SeedsDecoder, Fields, Seeds]:
    """Seeds all over a grid; with a small curvature their masks reach far."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random)

    budget = Budget(count, "image", 4)
    decoder = SeedsDecoder(
        4, classes=2, budget=budget, levels=2, channels=6, convs=1, kernel_channels=5, norm="none"
    ).eval()
    for parameter in decoder.parameters():
        parameter.data = 0.2 * normal(*parameter.shape)
    head = torch.cat([0.3 * normal(1, count, 6), normal(1, count, 1), 0.3 * normal(1, count, 5)], dim=2)
    head[..., 5] += 4
    head[..., 7:9] += curvature
    y, x = (torch.rand(1, count, generator=random) * (side - 1) for side in size_hw)
    cells = torch.randint(1, 3, (1, count), generator=random).float()
    fields = Fields((), (), normal(1, 5, *size_hw), normal(1, 6, *size_hw))
    return decoder, fields, Seeds(2 * normal(1, count, 2), head, y, x, cells)


@settings(max_examples=25)
@given(
    height=st.integers(4, 260),
    width=st.integers(4, 260),
    count=st.integers(1, 12),
    curvature=st.sampled_from([-6.0, -1.0, 2.0, 4.0]),
    seed=st.integers(0, 99),
)
@torch.no_grad()
def test_as_over_the_whole_frame(height: int, width: int, count: int, curvature: float, seed: int) -> None:
    decoder, fields, seeds = scene((height, width), count, curvature, seed)
    found = grow_in_windows(decoder, fields, seeds, threshold=THRESHOLD, least=0.0, activation=True)
    grown = decoder.grow(seeds.head, seeds.y, seeds.x, seeds.cells, fields)
    masks = decoder.enlarged(grown.masks).sigmoid()
    gate = (seeds.logits.sigmoid().amax(2) * grown.iou.sigmoid()).sqrt()
    torch.testing.assert_close(found.raw_scores, gate[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(found.scores, (gate * mean_inside(masks, threshold=THRESHOLD))[0], atol=1e-4, rtol=0)
    assert found.activation is not None
    seen = found.activation > NEVER
    torch.testing.assert_close(found.activation[seen], grown.activation[0][seen], atol=1e-3, rtol=1e-4)
    assert (grown.activation[0][~seen] < -5).all()
    for patch, mask in zip(found.patches, masks[0], strict=True):
        rows, columns = patch.values.shape
        part = mask[patch.top : patch.top + rows, patch.left : patch.left + columns]
        torch.testing.assert_close(torch.from_numpy(patch.values), part, atol=1e-3, rtol=0)
        outside = F.pad(mask[None], (2, 2, 2, 2), value=0)[0].clone()
        outside[patch.top : patch.top + rows + 4, patch.left : patch.left + columns + 4] = 0  # and two cells around
        assert (outside < THRESHOLD + 1e-3).all()


def test_masks_below_what_is_asked_for_are_left_out() -> None:
    decoder, fields, seeds = scene((40, 150), 8, 2.0, seed=1)
    with torch.no_grad():
        all_found = grow_in_windows(decoder, fields, seeds, threshold=THRESHOLD, least=0.0, activation=False)
        least = float(all_found.raw_scores.median())
        some = grow_in_windows(decoder, fields, seeds, threshold=THRESHOLD, least=least, activation=False)
    wanted = all_found.raw_scores >= least
    assert 0 < wanted.sum() < 8
    assert torch.equal(some.scores[wanted], all_found.scores[wanted]) and not some.scores[~wanted].any()
    sizes = np.array([patch.values.size for patch in some.patches])
    assert (sizes[wanted.numpy()] > 0).all() and not sizes[~wanted.numpy()].any()


@torch.no_grad()
def test_batches_and_drafts_of_a_network() -> None:
    model = tiny_seeds(candidates=20)
    images = torch.randint(0, 256, (2, 3, 64, 96), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    sizes = torch.tensor([[64, 96], [50, 60]])
    whole, parts = (kind(model, activation=True)(images, sizes) for kind in (Segmenter, WindowedSegmenter))
    torch.testing.assert_close(parts.scores, whole.scores, atol=1e-4, rtol=0)
    assert torch.equal(parts.labels, whole.labels) and [len(own.items) for own in parts.masks] == [20, 20]
    assert parts.activation is not None and whole.activation is not None
    torch.testing.assert_close(parts.activation, whole.activation, atol=1e-3, rtol=1e-4)
    assert {own.grid_hw for own in parts.masks} == {tuple(whole.masks.shape[-2:])}
    picture = images[0].permute(1, 2, 0).numpy()
    exact, fast = (Predictor(kind(model), score=0.2)(picture) for kind in (EagerBackend, TorchBackend))
    assert len(exact) == len(fast) > 0 and exact.size_hw == fast.size_hw
    for mask, other in zip(exact.masks, fast.masks, strict=True):
        assert np.mean(mask != other) < 1e-3


@pytest.mark.parametrize("scale", [0.8, 1.0])
def test_real_nuclei(scale: float, tmp_path: Path) -> None:
    model = load_model("nuclei")
    exact, fast = (Predictor(kind(model), scale=scale)(DEMO_IMAGE) for kind in (EagerBackend, TorchBackend))
    assert len(exact) == len(fast) > 20
    order, other = (np.lexsort(found.boxes.round(3).T) for found in (exact, fast))
    np.testing.assert_allclose(fast.scores[other], exact.scores[order], atol=1e-4)
    same = [np.mean(a != b) for a, b in zip(exact[order].masks, fast[other].masks, strict=True)]
    assert max(same) < 1e-5
