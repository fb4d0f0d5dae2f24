"""Which cells become candidates: local maxima of the class score, best first."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

AREA_PX = 512 * 512
"""Pixels that candidates are counted for where they follow the area of the frame."""
NEVER = -1e4
"""Logit of what is no candidate: its probability is exactly 0 in float32."""
_ORDER = 1e-5
"""Step by which the cells of any 3x3 neighbourhood differ, so that equal neighbours (16 bits) are not both kept."""


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


def is_peak(scores: Tensor) -> Tensor:
    """Which cells of (B, h, w) scores are the largest of their 3x3 neighbourhood; of equal ones only one is."""
    rows, columns = (torch.arange(size, device=scores.device) % 3 for size in scores.shape[1:])
    ordered = scores + _ORDER * (3 * rows[:, None] + columns)
    return F.max_pool2d(ordered[:, None], 3, stride=1, padding=1)[:, 0] == ordered


def select_seeds(logits: tuple[Tensor, ...], heads: tuple[Tensor, ...], count: int) -> Seeds:
    """The best K cells of all levels: a cell's score is that of its best class.

    Args:
        logits: of each level, fine to coarse, (B, C, h, w).
        heads: of each level, (B, P, h, w).
        count: K.
    """
    levels = [_cells(level, 2**depth) for depth, level in enumerate(logits)]
    scores, y, x, cells = (torch.cat(parts, dim=-1) for parts in zip(*levels, strict=True))  # (B, S), then (S,)
    missing = count - scores.shape[1]
    if missing > 0:  # a frame of fewer cells than candidates
        scores = F.pad(scores, (0, missing), value=NEVER)
        y, x, cells = (F.pad(part, (0, missing), value=1.0) for part in (y, x, cells))
    best, at = scores.topk(count, dim=1)  # (B, K)
    chosen = [torch.cat([level.flatten(2) for level in maps], dim=2) for maps in (logits, heads)]  # (B, ., S)
    if missing > 0:
        chosen = [F.pad(part, (0, missing)) for part in chosen]
    said, head = (part.gather(2, at[:, None].expand(-1, part.shape[1], -1)).transpose(1, 2) for part in chosen)
    said = torch.where(best[..., None] > NEVER, said.float(), NEVER)
    return Seeds(said, head, y[at], x[at], cells[at])


def _cells(logits: Tensor, cells: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of one level the scores (B, h*w), `NEVER` off the peaks, and the places (h*w,) on the finest grid."""
    scores = logits.float().amax(1)  # (B, h, w)
    peaks = torch.where(is_peak(scores), scores, NEVER)
    rows, columns = (
        torch.arange(size, device=logits.device, dtype=torch.float32) * cells + (cells - 1) / 2
        for size in scores.shape[1:]
    )
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return peaks.flatten(1), y.flatten(), x.flatten(), torch.full_like(y, float(cells)).flatten()
