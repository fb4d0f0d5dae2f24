"""How well cells are followed, by the measures of the Cell Tracking Challenge (package py-ctcmetrics).

python benchmarks/tracking_ctc.py FOLDER

FOLDER holds Fluo-N2DH-GOWT1 and Fluo-N2DH-SIM+ (training sequences 01 of the challenge). Nothing is trained on them.
The annotated masks of the tracks, as if a network had found all of them, are followed by every algorithm, and what
`nuclei` finds is by ours. The masks of GOWT1's tracks are markers smaller than the cells, so that SEG says nothing
there of perfect detections.
"""

import argparse
import contextlib
import io
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import tifffile
from ctc_metrics.scripts.evaluate import evaluate_sequence
from numpy.typing import NDArray
from record import write_result
from tracking import DIVISIONS, FOLLOWED, annotated

from sparseinst import Instances, Predictor
from sparseinst.video.ctc import write_ctc
from sparseinst.video.tracking import MASK, Tracker

MEASURES = ["Valid", "DET", "SEG", "TRA", "LNK", "CT", "TF", "BC"]
COUNTS = ["gt_divisions", "tp_div(0)", "fp_div(0)", "fn_div(0)"]
SEQUENCES = ("Fluo-N2DH-GOWT1", "Fluo-N2DH-SIM+")
OPTIONS = {"diameter": 50.0}
"""Of `predict`, what anyone can see in the first picture: how many pixels most nuclei are across, in both sequences."""
WAYS = (MASK, DIVISIONS, "bytetrack", "sort")
CROWD = (1, 5)
"""So many copies of SIM+, down and across, make a frame of about 200 cells."""


class Scored(NamedTuple):
    """What following the instances of a sequence came to."""

    measures: dict[str, float]
    processor_ms_a_frame: float


def labels_of(folder: Path) -> Iterator[NDArray[np.uint16]]:
    """The label images of a sequence's tracks, (H, W)."""
    for path in sorted((folder / "01_GT" / "TRA").glob("man_track*.tif")):
        yield tifffile.imread(path)


def followed(frames: Sequence[Instances], folder: Path, **options: Any) -> Scored:
    """Follows instances, writes their tracks as the command does, and has them measured."""
    tracker, times = Tracker(**options), []
    with TemporaryDirectory() as place:
        with write_ctc(Path(place) / "tracks") as file:
            for index, instances in enumerate(frames):
                start = time.process_time()
                ids = tracker.update(instances)
                times.append(time.process_time() - start)
                file.add(index, instances, ids, tracker.parents(ids))
        with contextlib.redirect_stdout(io.StringIO()):
            scores = evaluate_sequence(str(Path(place) / "tracks"), str(folder / "01_GT"), list(MEASURES), threads=1)
    kept = [name for name in scores if name in {*MEASURES, *COUNTS} - {"BC"} or name.startswith("BC(")]
    return Scored({name: round(float(scores[name]), 4) for name in kept}, 1000 * statistics.mean(times))


def crowd(folder: Path) -> dict[str, Any]:
    """Processor time in ms for a frame of about 200 cells, with their divisions and without."""
    frames = []
    for labels in labels_of(folder):
        tiles = np.tile(labels, CROWD)
        copies = np.kron(np.arange(np.prod(CROWD)).reshape(CROWD), np.ones(labels.shape, np.uint16))
        frames.append(annotated(np.where(tiles > 0, tiles + 1000 * copies, 0).astype(np.uint16))[0])
    times = {}
    for name in (MASK, DIVISIONS):
        tracker, start = Tracker(**FOLLOWED[name]), time.process_time()
        for frame in frames:
            tracker.update(frame)
        times[name] = round(1000 * (time.process_time() - start) / len(frames), 2)
    return {"cells_a_frame": round(statistics.mean(map(len, frames)), 1), "processor_ms_a_frame": times}


def sequence(folder: Path) -> dict[str, Any]:
    """All figures of one sequence."""
    truth = [annotated(labels)[0] for labels in labels_of(folder)]
    predictor = Predictor("nuclei", **OPTIONS)
    found = [predictor(path) for path in sorted((folder / "01").glob("t*.tif"))]
    perfect = {name: followed(truth, folder, **FOLLOWED[name]) for name in WAYS}
    ours = {name: followed(found, folder, **FOLLOWED[name]) for name in (MASK, DIVISIONS)}
    return {
        "frames": len(truth),
        "cells_a_frame": round(statistics.mean(map(len, truth)), 1),
        "perfect_detections": {name: scored.measures for name, scored in perfect.items()},
        "processor_ms_a_frame": {name: round(scored.processor_ms_a_frame, 2) for name, scored in perfect.items()},
        "nuclei": {"options": OPTIONS, **{name: scored.measures for name, scored in ours.items()}},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the sequences")
    options = parser.parse_args()
    figures = {name: sequence(options.folder / name) for name in SEQUENCES}
    figures["crowd"] = crowd(options.folder / "Fluo-N2DH-SIM+")
    print(figures, write_result("tracking_ctc", figures))


if __name__ == "__main__":
    main()
