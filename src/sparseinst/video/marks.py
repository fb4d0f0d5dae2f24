"""The stages between the network and the files: which object is which, and the picture."""

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.drawing.instances import draw_as
from sparseinst.inference.streaming import Found
from sparseinst.structures import Instances
from sparseinst.video.outcome import VideoResult


class Marks:
    """Follows objects, counts them in zones, and draws.

    Args:
        classes: class names by label.
        labels: (k,) the classes to keep; None keeps all.
        track: algorithm that follows objects, one of `tracking.ALGORITHMS`; None follows none.
        divisions: followed objects can become two, as cells do.
        trails: draw where each object has been.
        zones: where to count objects (see `parse_zone`).
        draw: make pictures.

    Raises:
        InputError: no such algorithm, or a zone that is none.
    """

    def __init__(
        self,
        classes: Sequence[str],
        *,
        labels: NDArray[np.int64] | None,
        track: str | None,
        divisions: bool,
        trails: bool,
        zones: Sequence[str],
        draw: bool,
    ) -> None:
        self._classes, self._labels, self._draw = classes, labels, draw
        self._tracker: Any = None
        self._trails: Any = None
        self._counter: Any = None
        self._bonds: Any = None
        self._ids: set[int] = set()
        self._mothers: set[int] = set()
        self._divisions = divisions
        if track is not None:
            from sparseinst.video.bonds import Bonds
            from sparseinst.video.tracking import Tracker
            from sparseinst.video.trails import Trails
            from sparseinst.video.zones import parse_zone

            self._tracker = Tracker(algorithm=track, divisions=divisions)
            self._trails = Trails() if trails and draw else None
            self._bonds = Bonds() if divisions and draw else None
            self._zones = [parse_zone(zone) for zone in zones]

    @property
    def tracks(self) -> int | None:
        """Objects followed so far."""
        return None if self._tracker is None else len(self._ids)

    @property
    def divisions(self) -> int | None:
        """Objects that became two so far."""
        return len(self._mothers) if self._tracker is not None and self._divisions else None

    @property
    def counts(self) -> list[dict[str, Any]]:
        """Of the zones so far."""
        return [] if self._counter is None else self._counter.counts()

    def tracked(self, found: Iterator[Found]) -> Generator[VideoResult]:
        """First stage: what is kept of the instances, and their ids."""
        for frame, instances in found:
            kept = instances if self._labels is None else instances[np.isin(instances.labels, self._labels)]
            ids = parents = None
            if self._tracker is not None:
                ids = self._tracker.update(kept)
                self._ids.update(ids[ids > 0].tolist())
            if ids is not None and self._divisions:
                parents = self._tracker.parents(ids)
                self._mothers.update(parents[parents > 0].tolist())
            yield VideoResult(frame, kept, ids, parents)

    def drawn(self, results: Iterator[VideoResult]) -> Generator[VideoResult]:
        """Second stage: counts, and the picture."""
        for result in results:
            if result.ids is not None:
                self._count(result.instances, result.ids, result.parents)
            yield result._replace(picture=self._picture(result)) if self._draw else result

    def _count(self, instances: Instances, ids: NDArray[np.int64], parents: NDArray[np.int64] | None) -> None:
        if self._counter is None and self._zones:
            from sparseinst.video.zone_counter import ZoneCounter

            self._counter = ZoneCounter(self._zones, instances.size_hw, self._classes)
        if self._counter is not None:
            self._counter.update(instances, ids)
        if self._trails is not None:
            self._trails.update(instances, ids, parents)
        if self._bonds is not None:
            self._bonds.update(instances, parents)

    def _picture(self, result: VideoResult) -> NDArray[np.uint8]:
        instances, ids = result.instances, result.ids
        names = [self._classes[label] for label in instances.labels]
        texts = [f"{name} {score:.2f}" for name, score in zip(names, instances.scores, strict=True)]
        if ids is None:
            # a slot tends to keep to its object from frame to frame, so that colours seldom jump
            return draw_as(result.frame.image, instances, texts, instances.slots)
        parents = np.zeros_like(ids) if result.parents is None else result.parents
        origins = [f" of #{parent}" if parent else "" for parent in parents]
        texts = [
            f"#{track}{origin} {text}" if track else text
            for track, origin, text in zip(ids, origins, texts, strict=True)
        ]
        below = result.frame.image if self._trails is None else self._trails.draw(result.frame.image)
        picture = draw_as(below, instances, texts, ids)
        if self._bonds is not None:
            picture = self._bonds.draw(picture)
        return picture if self._counter is None else np.asarray(self._counter.draw(picture), np.uint8)
