"""What a network gives, before and after scoring.

The alphabet of shapes, used everywhere: B batch, N slots, C classes, D channels, T targets, G groups, n instances kept,
H W input pixels, h w mask grid (input divided by the mask stride, 4 as published).
"""

from typing import NamedTuple

from torch import Tensor

from sparseinst.masks.grid import Patches


class Predictions(NamedTuple):
    """What the network gives, before any threshold."""

    logits: Tensor
    """(B, N, C) class logits."""
    masks: Tensor
    """(B, N, h, w) mask logits at the mask stride."""
    objectness: Tensor | None
    """(B, N, 1) IoU-aware objectness logits; None from a network without that head."""
    activation: Tensor
    """(B, G*N, h/2, w/2) logits of the instance activation maps, group g of slot n at g*N + n."""


class Candidates(NamedTuple):
    """All N slots scored: in fixed shapes what a compiled or exported network gives."""

    scores: Tensor
    """(B, N) in 0..1, after rescoring by the mask."""
    labels: Tensor
    """(B, N) int64 index of the best class."""
    masks: Tensor | tuple[Patches, ...]
    """(B, N, h, w) mask probabilities at the mask stride; or B times the parts that matter."""
    raw_scores: Tensor
    """(B, N) in 0..1, the score before rescoring by the mask, which the threshold `gate` is compared with."""
    activation: Tensor | None = None
    """(B, G*N, h/2, w/2) logits of the activation maps, where they were asked for; as in `Predictions`."""
