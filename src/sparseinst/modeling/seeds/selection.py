"""Which cells become candidates: local maxima of the class score, best first."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sparseinst.config.network import AREA_PX

NEVER = -1e4
"""Logit of what is no candidate: its probability is exactly 0 in float32."""
_ORDER = 1e-5
"""Step by which the cells of any 3x3 neighbourhood differ, so that equal neighbours (16 bits) are not both kept."""


class Budget(NamedTuple):
    """How many seeds prediction takes; a setting of prediction, in no weight."""

    candidates: int
    per: Literal["image", "area"]
    """For an image, or for `AREA_PX` of its padded frame."""
    stride: int
    """Input pixels of a cell of the finest grid."""
    least_logit: float | None = None
    """Where shapes may follow the data: seeds whose class logit is not above this are not taken, in no image of a batch
    if it is so in all; None takes as many as there may be."""

    def most(self, grid_hw: Sequence[int]) -> int:
        """Seeds of a finest grid of (h, w) cells, at least 1 (`SeedsConfig.most_instances`, also of symbols)."""
        if self.per == "image":
            return self.candidates
        height, width = grid_hw
        return (height * width * self.stride**2 * self.candidates + AREA_PX - 1) // AREA_PX

    def number(self, grid_hw: Sequence[int], scores: Tensor) -> int:
        """K for the (B, S) scores of the cells of all levels, over a finest grid of (h, w) cells."""
        most = self.most(grid_hw)
        if self.least_logit is None:
            return most
        return min(most, max(1, int((scores > self.least_logit).sum(1).max())))


class Seeds(NamedTuple):
    """K seeds of each image, best first."""

    logits: Tensor
    """(B, K, C) class logits; `NEVER` where an image has fewer seeds."""
    head: Tensor
    """(B, K, P) what the cell says of its instance (see `decoder.Fields`)."""
    y: Tensor
    """(B, K) float row on the finest grid."""
    x: Tensor
    """(B, K) float column on the finest grid."""
    cells: Tensor
    """(B, K) float cells of the finest grid along one cell of the seed's level."""

    def of(self, image: int) -> "Seeds":
        """Those of one image, as a batch of one."""
        return Seeds(*(part[image : image + 1] for part in self))


def is_peak(scores: Tensor) -> Tensor:
    """Which cells of (B, h, w) scores are the largest of their 3x3 neighbourhood; of equal ones only one is."""
    rows, columns = (torch.arange(size, device=scores.device) % 3 for size in scores.shape[1:])
    ordered = scores + _ORDER * (3 * rows[:, None] + columns)
    return F.max_pool2d(ordered[:, None], 3, stride=1, padding=1)[:, 0] == ordered


def select_seeds(logits: Sequence[Tensor], heads: Sequence[Tensor], budget: Budget) -> Seeds:
    """The best K cells of all levels: a cell's score is that of its best class.

    Args:
        logits: of each level, fine to coarse, (B, C, h, w).
        heads: of each level, (B, P, h, w).
        budget: decides K; a frame of fewer cells is filled up with what is no candidate.
    """
    levels = [_cells(level, _rivals(logits, depth), 2**depth) for depth, level in enumerate(logits)]
    scores, y, x, cells = (torch.cat(parts, dim=-1) for parts in zip(*levels, strict=True))  # (B, S), then (S,)
    count = budget.number(logits[0].shape[-2:], scores)
    best, at = F.pad(scores, (0, count), value=NEVER).topk(count, dim=1)  # (B, K)
    at = at.clamp(max=scores.shape[1] - 1)
    said, head = (_taken(maps, at) for maps in (logits, heads))
    return Seeds(torch.where(best[..., None] > NEVER, said.float(), NEVER), head, y[at], x[at], cells[at])


def _taken(maps: Sequence[Tensor], at: Tensor) -> Tensor:
    """(B, K, D) of (B, D, h, w) maps of all levels, at (B, K) places of all their cells in a row."""
    flat = torch.cat([level.flatten(2) for level in maps], dim=2)  # (B, D, S)
    return flat.gather(2, at[:, None].expand(-1, flat.shape[1], -1)).transpose(1, 2)


def _rivals(logits: Sequence[Tensor], depth: int) -> Tensor | None:
    """(B, C, h, w) for each cell and class the surest cell around it on the next finer and coarser levels."""
    around = []
    if depth > 0:
        around.append(F.max_pool2d(logits[depth - 1].float(), 4, stride=2, padding=1))
    if depth + 1 < len(logits):
        coarser = F.max_pool2d(logits[depth + 1].float(), 3, stride=1, padding=1)
        around.append(F.interpolate(coarser, size=logits[depth].shape[-2:], mode="nearest"))
    return torch.stack(around).amax(0) if around else None


def _cells(logits: Tensor, rivals: Tensor | None, cells: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of one level the scores (B, h*w), `NEVER` off the peaks, and the places (h*w,) on the finest grid.

    A peak of whose class a neighbouring level is surer there is none: one object is not found on two levels.
    """
    scores, labels = logits.float().max(1)  # (B, h, w)
    peaks = torch.where(is_peak(scores), scores, NEVER)
    if rivals is not None:
        peaks = torch.where(rivals.gather(1, labels[:, None])[:, 0] > scores, NEVER, peaks)
    rows, columns = (
        torch.arange(size, device=logits.device, dtype=torch.float32) * cells + (cells - 1) / 2
        for size in scores.shape[1:]
    )
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return peaks.flatten(1), y.flatten(), x.flatten(), torch.full_like(y, float(cells)).flatten()
