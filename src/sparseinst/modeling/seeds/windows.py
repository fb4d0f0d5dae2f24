"""Masks of seeds in windows around them, in host memory: what they take follows the objects, not the frame.

The same as growing all over the whole frame and enlarging that, up to rounding: a draft falls off as a quadratic around
its seed, so what lies outside a window neither speaks for the object nor belongs to it. Where a mask comes near the end
of its window after all, that seed is grown over the whole frame.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparseinst.masks.grid import RESCORE_EPSILON, Patch
from sparseinst.masks.stretch import Extent, extent_of
from sparseinst.modeling.seeds.decoder import Fields, SeedsDecoder
from sparseinst.modeling.seeds.selection import NEVER, Seeds

_BLOCK = 48
"""Seeds of a level in a square of so many of its cells share a window."""
_REACHES = (12, 32)
"""Cells of its level that a window goes beyond its square; what does not end in it is grown in the next, last of all in
the whole frame."""
_FADED = -7.0
"""Logit of a draft at the end of its window below which the rest is nothing: 0.001 of a pixel's voice."""
_MARGIN = 4
"""Cells kept around what is above the threshold: more than enlarging, twice and to any image, can reach."""
_AT_ONCE = 2**22
"""Mask logits of a group of seeds."""


class Found(NamedTuple):
    """What the seeds of one image became."""

    raw_scores: Tensor
    """(K,) sqrt(class x IoU), in 0..1."""
    scores: Tensor
    """(K,) the same times the mean probability inside the mask."""
    patches: tuple[Patch, ...]
    """The masks; of 0 cells where the raw score is below what was asked for."""
    activation: Tensor | None
    """(K, h, w) logits of the draft masks, `NEVER` outside their windows; where they were asked for."""


class _Window(NamedTuple):
    rows: slice
    columns: slice

    def is_all_of(self, size_hw: tuple[int, int]) -> bool:
        return self == (slice(0, size_hw[0]), slice(0, size_hw[1]))


def grow_in_windows(
    decoder: SeedsDecoder, fields: Fields, seeds: Seeds, *, threshold: float, least: float, activation: bool
) -> Found:
    """Grows the seeds of one image.

    Args:
        decoder: in eval mode, on the CPU.
        fields: of one image.
        seeds: of that image, (1, K, ...).
        threshold: a pixel belongs to a mask above this probability.
        least: masks of seeds whose raw score is below this are not wanted.
        activation: also give the drafts.
    """
    size_hw = (fields.features.shape[-2], fields.features.shape[-1])
    chance = seeds.logits[0].sigmoid().amax(1)  # (K,)
    raw_scores, scores = torch.zeros_like(chance), torch.zeros_like(chance)
    patches = [Patch(np.zeros((0, 0), np.float32), 0, 0)] * len(chance)
    drafts = torch.full((len(chance), *size_hw), NEVER) if activation else None
    least_logit = math.log(threshold / (1 - threshold))
    waiting = list(_groups(seeds, (chance >= least**2).nonzero()[:, 0], size_hw, 0))
    while waiting:
        chosen, window, tries = waiting.pop()
        grown = decoder.grow(*_moved(seeds, chosen, window), _within(fields, window))
        masks, draft = grown.masks[0].numpy(), grown.activation[0]
        raw_scores[chosen] = (chance[chosen] * grown.iou[0].float().sigmoid()).sqrt()
        whole = window.is_all_of(size_hw)
        faded = np.ones(len(chosen), np.bool_) if whole else _ends(draft.numpy(), window, size_hw) < _FADED
        escaped = []
        for place, seed in enumerate(chosen.tolist()):
            if raw_scores[seed] < least:
                continue
            extent = extent_of(masks[place] > least_logit)
            if not whole and not (faded[place] and _has_room(extent, window, size_hw)):
                escaped.append(seed)
            elif extent[1]:
                patches[seed], inside = _patch(masks[place], extent, window, size_hw, threshold)
                scores[seed] = raw_scores[seed] * inside
        if drafts is not None:
            drafts[chosen, window.rows, window.columns] = draft
        waiting += _groups(seeds, torch.tensor(escaped, dtype=torch.int64), size_hw, tries + 1)
    return Found(raw_scores, scores, tuple(patches), drafts)


def _groups(
    seeds: Seeds, chosen: Tensor, size_hw: tuple[int, int], tries: int
) -> Iterator[tuple[Tensor, _Window, int]]:
    """Chosen seeds by windows that they share, with how often they were tried before: one for all where the frame is no
    larger, or the windows before were too small.
    """
    if tries >= len(_REACHES) or max(size_hw) <= _BLOCK + 2 * _REACHES[-1]:
        yield from _in_parts(chosen, _Window(slice(0, size_hw[0]), slice(0, size_hw[1])), len(_REACHES))
        return
    reach = _REACHES[tries]
    cells, y, x = (part[0, chosen] for part in (seeds.cells, seeds.y, seeds.x))
    keys = torch.stack([cells, (y / (_BLOCK * cells)).floor(), (x / (_BLOCK * cells)).floor()], dim=1).long()
    squares, of = keys.unique(dim=0, return_inverse=True)
    for number, (cell, row, column) in enumerate(squares.tolist()):
        window = _Window(*(
            slice(max(0, (place * _BLOCK - reach) * cell), min(side, ((place + 1) * _BLOCK + reach) * cell))
            for place, side in zip((row, column), size_hw, strict=True)
        ))  # fmt: skip
        yield from _in_parts(chosen[of == number], window, tries)


def _in_parts(chosen: Tensor, window: _Window, tries: int) -> Iterator[tuple[Tensor, _Window, int]]:
    area = math.prod(side.stop - side.start for side in window)
    for part in chosen.split(max(1, _AT_ONCE // area)):
        if len(part):
            yield part, window, tries


def _moved(seeds: Seeds, chosen: Tensor, window: _Window) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What `SeedsDecoder.grow` takes of some seeds, in the cells of a window."""
    head, y, x, cells = (part[:, chosen] for part in (seeds.head, seeds.y, seeds.x, seeds.cells))
    return head, y - window.rows.start, x - window.columns.start, cells


def _within(fields: Fields, window: _Window) -> Fields:
    part = (slice(None), slice(None), *window)
    return fields._replace(features=fields.features[part], context=fields.context[part])


def _inner(window: _Window, size_hw: tuple[int, int]) -> tuple[tuple[bool, bool], tuple[bool, bool]]:
    """Which ends of a window, first and last row, first and last column, lie inside the frame."""
    rows, columns = (
        (side.start > 0, side.stop < size) for side, size in zip(window, size_hw, strict=True)
    )  # fmt: skip
    return rows, columns


def _ends(draft: NDArray[np.float32], window: _Window, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """(k,) the highest logit at those ends of a window that lie inside the frame."""
    (top, bottom), (left, right) = _inner(window, size_hw)
    lines = ((top, draft[:, 0]), (bottom, draft[:, -1]), (left, draft[:, :, 0]), (right, draft[:, :, -1]))
    return np.asarray(np.maximum.reduce([line.max(1) for inner, line in lines if inner]), np.float32)


def _has_room(extent: Extent, window: _Window, size_hw: tuple[int, int]) -> bool:
    """Whether the margin around an extent lies in the window, but where that ends with the frame."""
    return not extent[1] or all(
        (not inner[0] or first >= _MARGIN) and (not inner[1] or last <= side.stop - side.start - _MARGIN)
        for inner, first, last, side in zip(_inner(window, size_hw), extent[::2], extent[1::2], window, strict=True)
    )


def _patch(
    mask: NDArray[np.float32], extent: Extent, window: _Window, size_hw: tuple[int, int], threshold: float
) -> tuple[Patch, float]:
    """The part of a mask that matters at twice the size, and the mean probability above the threshold."""
    cut: list[slice] = []  # of the logits
    keep: list[slice] = []  # of what they are enlarged to
    starts: list[int] = []
    for first, last, side, size in zip(extent[::2], extent[1::2], window, size_hw, strict=True):
        begin = max(0, first - _MARGIN)
        end = min(side.stop - side.start, last + _MARGIN)
        # At an end that is not the frame's, the outermost cell only says what its neighbour becomes.
        before, after = int(side.start + begin > 0), int(side.start + end < size)
        cut.append(slice(begin, end))
        keep.append(slice(2 * before, 2 * (end - begin - after)))
        starts.append(2 * (side.start + begin + before))
    part = np.ascontiguousarray(mask[tuple(cut)])
    # Bilinear about the centres of pixels, as torch's interpolate without corners aligned.
    enlarged = cv2.resize(part, (2 * part.shape[1], 2 * part.shape[0]), interpolation=cv2.INTER_LINEAR)
    logits = np.clip(enlarged[tuple(keep)], -80, 80)  # beyond it float32 overflows; 0 and 1 anyway
    values = np.asarray(1 / (1 + np.exp(-logits)), np.float32)
    inside = values > threshold
    mean = float((values * inside).sum() / (inside.sum() + RESCORE_EPSILON))
    return Patch(values, starts[0], starts[1]), mean
