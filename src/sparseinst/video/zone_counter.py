"""Counts of objects that cross a line or are in a polygon (by supervision)."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import supervision as sv
from numpy.typing import ArrayLike, NDArray

from sparseinst.errors import InputError, brief
from sparseinst.structures import Instances
from sparseinst.video.zones import Zone

_Image = NDArray[np.uint8]
_COLOR = (255, 255, 255)
_HIDDEN = 30
"""Frames for which an object that is not seen stays on its side of a line: as long as a tracker waits for it."""


class ZoneCounter:
    """Counts in several zones.

    A line counts an object once its centre has gone from one side to the other: in is from the right to the left of
    someone who looks from its first to its second point. A polygon has the objects whose centre is inside.

    Args:
        zones: where to count.
        size_hw: height and width of the images.
        classes: class names by label.

    Raises:
        InputError: a zone reaches out of the images.
    """

    def __init__(self, zones: Sequence[Zone], size_hw: tuple[int, int], classes: Sequence[str]) -> None:
        for zone in zones:
            _check_inside(zone, size_hw)
        self._zones, self._classes = tuple(zones), tuple(classes)
        self._triggers: list[Any] = [_trigger(zone) for zone in zones]
        self._entered: list[dict[int, int]] = [{} for _ in zones]  # label of each id that was inside
        self._inside = [0 for _ in zones]
        self._frame = 0
        self._last: dict[int, tuple[int, NDArray[np.float64], int]] = {}  # frame, box and label of each id

    def update(self, instances: Instances, ids: NDArray[np.int64]) -> None:
        """Adds a frame; ids (n,), 0 is none and does not count."""
        known = ids > 0
        boxes, labels, tracks = instances.boxes[known], instances.labels[known], ids[known]
        self._frame += 1
        for track, box, label in zip(tracks.tolist(), boxes, labels.tolist(), strict=True):
            self._last[track] = (self._frame, box, label)
        self._last = {track: item for track, item in self._last.items() if item[0] > self._frame - _HIDDEN}
        seen = _detections(boxes, labels, tracks)
        # a line forgets what is away for two frames: what is hidden while it crosses is shown where it was last
        last = self._last.values()
        waited_for = _detections([box for _, box, _ in last], [label for _, _, label in last], list(self._last))
        for number, (zone, trigger) in enumerate(zip(self._zones, self._triggers, strict=True)):
            if zone.kind == "line":
                trigger.trigger(waited_for)
                continue
            inside = trigger.trigger(seen)
            self._inside[number] = int(inside.sum())
            self._entered[number].update(zip(tracks[inside].tolist(), labels[inside].tolist(), strict=True))

    def counts(self) -> list[dict[str, Any]]:
        """Of each zone name and kind, and by class: of a line `in` and `out`, of a polygon `total`, besides `now`."""
        return [self._count(number) for number in range(len(self._zones))]

    def _count(self, number: int) -> dict[str, Any]:
        zone, trigger = self._zones[number], self._triggers[number]
        head: dict[str, Any] = {"zone": zone.name, "kind": zone.kind}
        if zone.kind == "line":
            return head | {
                "in": self._named(trigger.in_count_per_class),
                "out": self._named(trigger.out_count_per_class),
            }
        labels = list(self._entered[number].values())
        return head | {
            "now": self._inside[number],
            "total": self._named({label: labels.count(label) for label in set(labels)}),
        }

    def _named(self, by_label: dict[int, int]) -> dict[str, int]:
        return {self._classes[label]: int(count) for label, count in sorted(by_label.items()) if count}

    def draw(self, picture: _Image) -> _Image:
        """(H, W, 3) uint8 RGB with the zones and their counts; the picture itself is left as it is."""
        scene = picture.copy()
        thick = max(2, round(min(scene.shape[:2]) / 320))
        size = min(scene.shape[:2]) / 900 + 0.2
        for number, zone in enumerate(self._zones):
            count = self._count(number)
            points = np.array(zone.points, np.int32)
            cv2.polylines(scene, [points], zone.kind == "polygon", _COLOR, thick, cv2.LINE_AA)
            text = zone.title + (
                f"in {sum(count['in'].values())}  out {sum(count['out'].values())}"
                if zone.kind == "line"
                else f"{count['now']} now, {sum(count['total'].values())} in all"
            )
            (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thick // 2 + 1)
            # beside the start of a line, which often runs through the middle of other zones
            x, y = (points[0] if zone.kind == "line" else points.mean(0).astype(int)).tolist()
            left = int(np.clip(x - width // 2, 4, max(4, scene.shape[1] - width - 4)))
            base = int(np.clip(y - 2 * thick, height + 4, scene.shape[0] - 4))
            for color, line in (((0, 0, 0), thick + 2), (_COLOR, thick // 2 + 1)):  # a dark rim, legible on anything
                cv2.putText(scene, text, (left, base), cv2.FONT_HERSHEY_SIMPLEX, size, color, line, cv2.LINE_AA)
        return scene


def _detections(boxes: ArrayLike, labels: ArrayLike, tracks: ArrayLike) -> Any:
    return sv.Detections(
        xyxy=np.asarray(boxes, np.float32).reshape(-1, 4),
        class_id=np.asarray(labels, np.int64),
        tracker_id=np.asarray(tracks, np.int64),
    )


def _check_inside(zone: Zone, size_hw: tuple[int, int]) -> None:
    points, (height, width) = np.array(zone.points), size_hw
    if (points < 0).any() or (points > (width, height)).any():
        raise InputError(
            f"zone {zone.name!r}: expected points in images of {width} x {height} pixels, got "
            f"{brief(points.tolist())}: give x from 0 to {width} and y from 0 to {height}"
        )


def _trigger(zone: Zone) -> Any:
    if zone.kind == "line":
        start, end = (sv.Point(*point) for point in zone.points)
        return sv.LineZone(start, end, triggering_anchors=(sv.Position.CENTER,))
    return sv.PolygonZone(np.array(zone.points, np.int64), triggering_anchors=(sv.Position.CENTER,))
