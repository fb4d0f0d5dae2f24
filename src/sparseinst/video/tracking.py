"""Which instance of a frame is which object of the frames before."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from sparseinst.errors import InputError
from sparseinst.structures import Instances
from sparseinst.video.association import Outline, nearness, overlaps
from sparseinst.video.division import divided

Ids = NDArray[np.int64]
_Similarity = Callable[[list[Outline], list[Outline]], NDArray[np.float64]]

MASK = "mask"
LIBRARY = {
    "bytetrack": ("ByteTrackTracker", ("track_activation_threshold", "high_conf_det_threshold")),
    "ocsort": ("OCSORTTracker", ("high_conf_det_threshold",)),
    "sort": ("SORTTracker", ("track_activation_threshold",)),
}
"""Algorithms of the package `trackers`, by boxes: their classes, and what these call the least score to begin a track.

The package's own, 0.6 and 0.7, are for networks whose scores are higher; with them most objects would get no id.
"""
ALGORITHMS = (MASK, *LIBRARY)

_SURE = 0.5
"""Scores from which on detections choose their tracks first (ByteTrack) ..."""
_BEGIN = 0.4
"""... and from which on they can begin one; lower ones only continue them."""
_TWICE = 0.5
"""Overlap from which on two detections of one frame are the same object."""
_LEAST_IOU = 0.1
_LEAST_NEARNESS = 0.1
_SMOOTHING = 0.2
"""Share of the newest step in an object's velocity."""
_FAR = 3
"""Diameters up to which an object that is lost moves on."""
_CONFIRMED = 2
"""Detections that make a track; one is enough in the first frame."""


class Tracker:
    """Gives instances the ids of the objects that they are.

    Args:
        algorithm: "mask" (overlap of the masks moved on by their velocity, first of sure detections, then of all, then
            nearness for what moved further than it is large), or "bytetrack", "ocsort", "sort" (by boxes; needs the
            package `trackers`).
        max_lost: frames for which an object that is not seen is waited for.
        divisions: objects can become two, as cells do: the track ends, and two new ones name it as their parent (see
            `parents`). Of "mask" alone.

    Raises:
        InputError: no such algorithm, or one that knows no divisions; max_lost below 0; the package `trackers` is not
            installed.
    """

    def __init__(self, *, algorithm: str = MASK, max_lost: int = 30, divisions: bool = False) -> None:
        if algorithm not in ALGORITHMS:
            raise InputError(f"tracking: expected one of {', '.join(ALGORITHMS)}, got {algorithm!r}: choose one")
        if max_lost < 0:
            raise InputError(f"max_lost must be at least 0, got {max_lost}: give a number of frames")
        if divisions and algorithm != MASK:
            raise InputError(
                f"divisions: expected tracking by {MASK!r}, got {algorithm!r}, which knows none: leave one of them out"
            )
        self._algorithm, self._max_lost, self._divisions = algorithm, max_lost, divisions
        self.reset()

    def update(self, instances: Instances) -> Ids:
        """(n,) ids of the instances of the next frame, from 1 in the order of appearance; 0 for none (yet)."""
        return self._tracker.update(instances)

    def reset(self) -> None:
        """Forgets all objects: the next frame is the first."""
        self._parents: dict[int, int] = {}
        self._tracker: _Algorithm = (
            _ByMask(self._max_lost, self._parents if self._divisions else None)
            if self._algorithm == MASK
            else _ByLibrary(self._algorithm, self._max_lost)
        )

    def parents(self, ids: Ids) -> Ids:
        """(n,) ids of the objects from whose division those with ids (n,) came, 0 for none."""
        return np.array([self._parents.get(number, 0) for number in ids.tolist()], np.int64)


class _Algorithm(Protocol):
    def update(self, instances: Instances) -> Ids:
        """(n,) ids of the instances of the next frame, 0 for those that are no object yet."""


class _Track:
    """One object: its last outline, where it is going, and how often it was seen."""

    def __init__(self, outline: Outline) -> None:
        self.outline, self.velocity = outline, np.zeros(2)
        self.seen, self.lost, self.id, self.parent = 1, 0, 0, 0

    @property
    def expected(self) -> Outline:
        """The outline moved to where it should be in the next frame; never far, as velocities shake."""
        step = self.velocity * (self.lost + 1)
        step *= min(1, _FAR * self.outline.diameter / max(float(np.linalg.norm(step)), 1e-9))
        return self.outline._replace(corner=self.outline.corner + step)

    def add(self, outline: Outline) -> None:
        """It was found again."""
        step = (outline.centre - self.outline.centre) / (self.lost + 1)
        share = max(_SMOOTHING, 1 / (self.seen + 1))  # a mean at first: one step says little
        self.velocity = share * step + (1 - share) * self.velocity
        self.outline, self.seen, self.lost = outline, self.seen + 1, 0


class _ByMask:
    """Overlap of masks (see `Tracker`).

    Args:
        max_lost: frames for which an object that is not seen is waited for.
        parents: where to note which id came from which; None divides nothing.
    """

    def __init__(self, max_lost: int, parents: dict[int, int] | None) -> None:
        self._max_lost, self._parents = max_lost, parents
        self._tracks: list[_Track] = []
        self._first, self._next_id = True, 1

    def update(self, instances: Instances) -> Ids:
        outlines = Outline.of(instances)
        sure = instances.scores >= _SURE
        owners: dict[int, _Track] = {}
        self._match(owners, outlines, np.flatnonzero(sure), overlaps, _LEAST_IOU)
        self._match(owners, outlines, np.flatnonzero(~sure), overlaps, _LEAST_IOU)
        self._match(owners, outlines, np.arange(len(outlines)), nearness, _LEAST_NEARNESS, lost=0)
        if self._parents is not None:
            self._divide(owners, outlines, instances.scores)
        for index, track in owners.items():
            track.add(outlines[index])
        self._forget({id(track) for track in owners.values()})
        for index in self._beginning(owners, outlines, instances.scores):
            owners[index] = track = _Track(outlines[index])
            self._tracks.append(track)
        ids = np.zeros(len(outlines), np.int64)
        for index in sorted(owners):
            ids[index] = self._id_of(owners[index])
        self._first = False
        return ids

    def _match(
        self,
        owners: dict[int, _Track],
        outlines: list[Outline],
        indices: NDArray[np.int64],
        similarity: _Similarity,
        least: float,
        lost: int | None = None,
    ) -> None:
        """Gives free detections to free tracks (lost for so long at most), the best pairs in all."""
        taken = {id(track) for track in owners.values()}
        tracks = [track for track in self._tracks if id(track) not in taken and (lost is None or track.lost <= lost)]
        free = [int(index) for index in indices if int(index) not in owners]
        alike = similarity([track.expected for track in tracks], [outlines[index] for index in free])
        alike = np.where(alike < least, 0, alike)
        for row, column in zip(*linear_sum_assignment(alike, maximize=True), strict=True):
            if alike[row, column] > 0:
                owners[free[column]] = tracks[row]

    def _divide(self, owners: dict[int, _Track], outlines: list[Outline], scores: NDArray[np.float32]) -> None:
        """Ends the tracks of objects that became two, and begins those of their daughters."""
        mothers = [track for track in self._tracks if track.id and not track.lost]
        mates = {id(track): index for index, track in owners.items()}
        free = [index for index in np.flatnonzero(scores >= _BEGIN).tolist() if index not in owners]
        places = {place: mates[id(track)] for place, track in enumerate(mothers) if id(track) in mates}
        for place, daughters in divided([track.expected for track in mothers], places, outlines, free):
            self._tracks.remove(mothers[place])
            for index in daughters:  # they are added to once more below, which makes them known at once
                owners[index] = daughter = _Track(outlines[index])
                daughter.parent = mothers[place].id
                self._tracks.append(daughter)

    @staticmethod
    def _beginning(owners: dict[int, _Track], outlines: list[Outline], scores: NDArray[np.float32]) -> list[int]:
        """Free detections that are new objects, best first: not one that has a track, found twice."""
        tracked, new = [outlines[index] for index in owners], []
        for index in np.argsort(-scores, kind="stable").tolist():
            if scores[index] < _BEGIN:
                break
            if index not in owners and (overlaps(tracked, [outlines[index]]) < _TWICE).all():
                new.append(index)
                tracked.append(outlines[index])
        return new

    def _forget(self, seen: set[int]) -> None:
        """Those not seen wait, if they were sure once; those that waited too long are gone."""
        kept = []
        for track in self._tracks:
            if id(track) not in seen:
                track.lost += 1
                if not track.id or track.lost > self._max_lost:
                    continue
            kept.append(track)
        self._tracks = kept

    def _id_of(self, track: _Track) -> int:
        if not track.id and (self._first or track.seen >= _CONFIRMED):
            track.id, self._next_id = self._next_id, self._next_id + 1
            if self._parents is not None and track.parent:
                self._parents[track.id] = track.parent
        return track.id


class _ByLibrary:
    """An algorithm of the package `trackers`."""

    def __init__(self, name: str, max_lost: int) -> None:
        try:
            package: Any = import_module("trackers")
        except ImportError as error:
            raise InputError(
                f"tracking by {name} needs the package trackers ({error}): pip install 'sparseinst[track]', or take "
                f"{MASK!r}, which needs nothing more"
            ) from error
        kind, thresholds = LIBRARY[name]
        self._tracker = getattr(package, kind)(lost_track_buffer=max_lost, **dict.fromkeys(thresholds, _BEGIN))
        self._numbers: dict[int, int] = {}

    def update(self, instances: Instances) -> Ids:
        import supervision as sv

        detections = sv.Detections(
            xyxy=instances.boxes.astype(np.float32).reshape(-1, 4),
            confidence=instances.scores,
            class_id=instances.labels,
            data={"index": np.arange(len(instances))},  # the package changes order and number
        )
        found = self._tracker.update(detections)
        ids = np.zeros(len(instances), np.int64)
        if found.tracker_id is not None:
            for index, number in zip(found.data.get("index", ()), found.tracker_id, strict=True):
                if number >= 0:  # -1 is not confirmed
                    ids[index] = self._numbers.setdefault(int(number), len(self._numbers) + 1)
        return ids
