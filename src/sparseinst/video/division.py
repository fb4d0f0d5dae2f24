"""Which objects of the frame before have become two."""

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import NamedTuple

import numpy as np

from sparseinst.video.association import Outline, overlaps

_MIDDLE = 0.35
"""The middle between daughters lies this many of the mother's diameters from where she was expected, at most ..."""
_APART = (0.5, 1.6)
"""... they lie so many of her diameters apart (halves of a disc: 0.42) ..."""
_SHARE = (0.1, 1.1)
"""... each has such a share of her area ..."""
_TOGETHER = (0.5, 1.8)
"""... and both together this one ..."""
_LIKE = 0.6
"""... and neither overlaps her by more than that, for then it is still her (half of a disc: 0.5)."""


class Division(NamedTuple):
    """One object that became two."""

    mother: int
    """Her place among the mothers."""
    daughters: tuple[int, int]
    """Their places among the detections."""


def divided(
    mothers: Sequence[Outline], mates: Mapping[int, int], found: Sequence[Outline], free: Sequence[int]
) -> list[Division]:
    """What divided from one frame to the next: two of the size of halves lie on either side of where one was expected.

    Args:
        mothers: outlines of the objects of the frame before, moved to where they should be now.
        mates: of mothers, the detection that looked most like her; who has none may have two free ones.
        found: outlines of the detections.
        free: the detections that continue nothing and are sure enough to begin something.

    Returns:
        The divisions, none of which shares a mother or a daughter, those around whose middle the mother lay best first.
    """
    if not mothers or not free:
        return []
    centres, places = np.array([mother.centre for mother in mothers]), np.array([found[index].centre for index in free])
    diameters = np.array([mother.diameter for mother in mothers])
    near = np.linalg.norm(centres[:, None] - places, axis=2) <= _APART[1] * diameters[:, None]
    choices: list[tuple[float, Division]] = []
    for mother in np.flatnonzero(near.any(1)).tolist():
        close = [free[place] for place in np.flatnonzero(near[mother]).tolist()]
        for pair in product([mates[mother]], close) if mother in mates else combinations(close, 2):
            off = _off_middle(mothers[mother], found[pair[0]], found[pair[1]])
            if off is not None:
                choices.append((off, Division(mother, pair)))
    return _apart(sorted(choices))


def _off_middle(mother: Outline, one: Outline, other: Outline) -> float | None:
    """How far the middle of the two is from the mother, in diameters of hers; None where they are no daughters."""
    if not mother.label == one.label == other.label:
        return None
    shares = np.array([one.area, other.area]) / max(mother.area, 1)
    if shares.min() < _SHARE[0] or shares.max() > _SHARE[1] or not _TOGETHER[0] <= shares.sum() <= _TOGETHER[1]:
        return None
    places = np.array([one.centre, other.centre])
    apart = float(np.linalg.norm(places[0] - places[1])) / mother.diameter
    off = float(np.linalg.norm(shares @ places / shares.sum() - mother.centre)) / mother.diameter
    if not (_APART[0] <= apart <= _APART[1] and off <= _MIDDLE):
        return None
    return off if overlaps([mother], [one, other]).max() <= _LIKE else None


def _apart(choices: list[tuple[float, Division]]) -> list[Division]:
    """Of choices in order those that share nothing with one before."""
    mothers: set[int] = set()
    daughters: set[int] = set()
    kept = []
    for _, division in choices:
        if division.mother not in mothers and daughters.isdisjoint(division.daughters):
            mothers.add(division.mother)
            daughters.update(division.daughters)
            kept.append(division)
    return kept
