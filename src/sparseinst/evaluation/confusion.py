"""Which class was found where which was annotated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparseinst.evaluation.matching import FALSE, MISSED, Matches


@dataclass(frozen=True)
class Confusion:
    """Counts of annotated against found classes.

    Args:
        classes: C names; the background comes after them.
        counts: (C + 1) rows of C + 1 columns: row the annotated class, column the one found. The last column counts
            instances that were missed, the last row masks found where nothing is annotated.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    def present(self) -> "Confusion":
        """The same without the classes that were neither annotated nor found."""
        counts = np.array(self.counts)
        used = np.flatnonzero(counts[:-1].sum(axis=1) + counts[:, :-1].sum(axis=0))
        kept = [*used.tolist(), len(self.classes)]
        rows = tuple(tuple(row) for row in counts[np.ix_(kept, kept)].tolist())
        return Confusion(tuple(self.classes[i] for i in used), rows)

    def most_frequent(self, limit: int) -> list[tuple[str, str, int, float]]:
        """Pairs of different classes: annotated, found, how often, and as a part of the annotated class's instances."""
        counts = np.array(self.counts)
        between = counts[:-1, :-1] * ~np.eye(len(self.classes), dtype=bool)
        order = np.argsort(-between, axis=None, kind="stable")[:limit]
        pairs = [divmod(int(place), len(self.classes)) for place in order if between.flat[place]]
        return [
            (self.classes[row], self.classes[column], int(between[row, column]), float(between[row, column] / total))
            for row, column in pairs
            for total in [counts[row].sum()]
        ]


def confusion(matches: Matches, classes: Sequence[str]) -> Confusion:
    """The matrix of a matching over all classes (`by_class=False`) at the score of interest."""
    counts: NDArray[np.int64] = np.zeros((len(classes) + 1, len(classes) + 1), np.int64)
    right = matches.right
    np.add.at(counts, (matches.truth_labels[matches.taken[right]], matches.labels[right]), 1)
    np.add.at(counts, (matches.truth_labels[matches.found_at == MISSED], len(classes)), 1)
    np.add.at(counts, (len(classes), matches.labels[matches.taken == FALSE]), 1)
    return Confusion(tuple(classes), tuple(tuple(row) for row in counts.tolist()))
