"""`compress` in shapes that do not depend on the data, so that a GPU never has to tell the host how much there is."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sparseinst.ops.compress import characters, differences, lengths

_CHARACTERS_PER_RUN = 2
"""Room in the text; smooth outlines take 1.3."""


def compress_fixed(edges: Tensor, owners: Tensor, *, masks: int, pixels: int) -> tuple[Tensor, Tensor]:
    """Encodes masks given by their edges.

    Args:
        edges: (edges,) int64 as of `compress`; those at `pixels`, which make no difference, fill up what room is left.
        owners: (edges,) int64 as of `compress`.
        masks: number of masks, at least 1.
        pixels: height times width of the image.

    Returns:
        The encodings of all masks one after the other (characters,) uint8, followed by anything; and where each ends in
        it (masks,) int64. An end beyond the text says that the room was not enough.
    """
    kept = _uncancelled(edges, owners, pixels=pixels)
    runs, starts, ends = _runs(edges, owners, kept, masks=masks, pixels=pixels)
    text, ends_in_text = _text(differences(runs, starts), largest=pixels)
    return text, ends_in_text.index_select(0, ends - 1)


def _uncancelled(edges: Tensor, owners: Tensor, *, pixels: int) -> Tensor:
    """(edges,) whether each counts: the last of an odd number of equal ones, within the image."""
    keys = owners * (pixels + 1) + edges
    differs = keys[1:] != keys[:-1]
    begins, ends = F.pad(differs, (1, 0), value=True), F.pad(differs, (0, 1), value=True)
    place = torch.arange(len(keys), device=keys.device)
    first = place.masked_fill(~begins, 0).cummax(0).values  # of the equal ones that each is among
    return ends & ((place - first) % 2 == 0) & (edges < pixels)


def _runs(edges: Tensor, owners: Tensor, kept: Tensor, *, masks: int, pixels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Lengths of runs (edges + masks,), those there are and then anything; where each mask's start and end (masks,)."""
    number = torch.arange(masks, device=edges.device)
    before = F.pad(kept.cumsum(0), (1, 0))  # kept edges before each
    ends = before.index_select(0, torch.searchsorted(owners, number, right=True)) + number + 1
    starts = F.pad(ends[:-1], (1, 0))
    room = len(edges) + masks
    stops = edges.new_full((room + 1,), pixels)  # the last place takes what does not count
    stops.scatter_(0, (before[:-1] + owners).masked_fill(~kept, room), edges)
    return lengths(stops[:-1], starts), starts, ends


def _text(values: Tensor, *, largest: int) -> tuple[Tensor, Tensor]:
    """Characters (room,) uint8 of values (values,), and where those of each would end (values,) with room enough."""
    sizes, most = characters(values, largest=largest)
    ends = sizes.cumsum(0)
    room = _CHARACTERS_PER_RUN * len(values)
    text = torch.empty(room + 1, dtype=torch.uint8, device=values.device)  # the last place takes what does not fit
    nth = torch.arange(most, device=values.device)
    more = nth + 1 < sizes[:, None]  # (values, most)
    letters = ((values[:, None] >> 5 * nth) & 31) + (more.to(torch.int64) << 5) + 48
    places = ((ends - sizes)[:, None] + nth).clamp(max=room).masked_fill(nth >= sizes[:, None], room)
    text.scatter_(0, places.flatten(), letters.to(torch.uint8).flatten())
    return text[:-1], ends
