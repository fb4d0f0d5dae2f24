"""Compressed COCO run-length encodings from the places where masks begin and end: many masks at once, on any device.

On the host, plain indexing would wake a second thread for each few thousand numbers, which costs more than it saves and
far more on a busy machine; `index_select`, `masked_select` and `scatter` do not.
"""

import torch
from torch import Tensor


def compress(edges: Tensor, owners: Tensor, *, masks: int, pixels: int) -> list[bytes]:
    """Encodes masks given by their edges.

    Args:
        edges: (edges,) int64 column-order indices of pixels that differ from the one before, where the first pixel is
            compared with background; ascending within each mask. Equal ones cancel in pairs. `pixels`, which stands for
            the end of the image, is allowed and makes no difference.
        owners: (edges,) int64 mask of each, ascending.
        masks: number of masks, those without edges included.
        pixels: height times width of the image.

    Returns:
        The `counts` of each mask, as COCO's own encoder writes them.
    """
    if not masks:
        return []
    keys, repeats = torch.unique_consecutive(owners * (pixels + 1) + edges, return_counts=True)
    keys = keys.masked_select(repeats % 2 == 1)
    owners = keys // (pixels + 1)
    edges = keys - owners * (pixels + 1)
    inside = edges < pixels
    runs, starts, ends = _runs(edges.masked_select(inside), owners.masked_select(inside), masks=masks, pixels=pixels)
    codes, ends_in_codes = _codes(_differences(runs, starts), largest=pixels)
    text = codes.cpu().numpy().tobytes()
    stops = ends_in_codes.index_select(0, ends - 1).tolist()
    return [text[start:stop] for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


def _runs(edges: Tensor, owners: Tensor, *, masks: int, pixels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Lengths of all runs (runs,), and where each mask's runs start and end (masks,)."""
    counts = torch.bincount(owners, minlength=masks) + 1
    ends = counts.cumsum(0)
    starts = ends - counts
    stops = edges.new_full((len(edges) + masks,), pixels)  # where runs stop: every mask's last at the end of the image
    stops.scatter_(0, torch.arange(len(edges), device=edges.device) + owners, edges)
    return _lengths(stops, starts), starts, ends


def _lengths(stops: Tensor, starts: Tensor) -> Tensor:
    """(runs,) lengths of runs, of which those at `starts` (masks,) begin a mask, from where they stop in it (runs,)."""
    runs = stops.diff(prepend=stops.new_zeros(1))
    return runs.scatter_(0, starts, stops.index_select(0, starts))


def _differences(runs: Tensor, starts: Tensor) -> Tensor:
    """(runs,) from each mask's fourth run on the difference to the run two before."""
    coded = runs.clone()
    coded[2:] -= runs[:-2]
    for nth in range(3):  # where a mask has fewer runs, this is one of the next mask's first three, or the last of all
        places = (starts + nth).clamp(max=len(runs) - 1)
        coded.scatter_(0, places, runs.index_select(0, places))
    return coded


def _codes(values: Tensor, *, largest: int) -> tuple[Tensor, Tensor]:
    """Characters of all values (characters,) uint8, and where those of each value end (values,).

    Args:
        values: (values,) int64.
        largest: none is larger, nor smaller than its negative.
    """
    sizes, most = _characters(values, largest=largest)
    ends = sizes.cumsum(0)
    codes = torch.empty(int(ends[-1]), dtype=torch.uint8, device=values.device)
    places, left = ends - sizes, sizes
    for _ in range(most):
        more = left > 1
        codes.scatter_(0, places, ((values & 31) + (more.to(torch.int64) << 5) + 48).to(torch.uint8))
        values, places, left = (of.masked_select(more) for of in (values >> 5, places + 1, left - 1))
    return codes, ends


def _characters(values: Tensor, *, largest: int) -> tuple[Tensor, int]:
    """(values,) int64 characters that each takes, and the most that one can take; `largest` as of the encoding."""
    folded = values ^ (values >> 63)
    # Five bits a character, of which the last character spends one on the sign.
    limits = [limit for limit in (16 << 5 * more for more in range(10)) if limit <= largest]
    return sum(((folded >= limit).to(torch.int64) for limit in limits), torch.ones_like(values)), len(limits) + 1
