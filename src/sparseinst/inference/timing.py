"""How long each step takes from an image file to encoded masks."""

import json
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sparseinst.data.channels import read_pixels
from sparseinst.data.prepare import stack
from sparseinst.errors import InputError
from sparseinst.files import fitting
from sparseinst.inference.pipeline import Pipeline
from sparseinst.inference.writers import to_coco
from sparseinst.modeling.postprocess import select

STEPS = ("decode", "preprocess", "network", "select", "encode")
"""File to RGB; RGB to the network's input; input to candidates; candidates to instances; instances to COCO JSON."""

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Timing:
    """Times of one contestant.

    Args:
        name: what was timed.
        frame_hw: padded frame the network saw.
        ms: for each step the milliseconds of each round.
        instances: found in the last round.
        peak_mb: largest resident memory of the process while it ran, in 10^6 bytes; on a GPU, of the card.
    """

    name: str
    frame_hw: tuple[int, int] = (0, 0)
    ms: dict[str, list[float]] = field(default_factory=lambda: {step: [] for step in STEPS})
    instances: int = 0
    peak_mb: float = 0.0

    @property
    def totals(self) -> list[float]:
        """Milliseconds of each round, all steps."""
        return [sum(steps) for steps in zip(*self.ms.values(), strict=True)]

    def to_json(self) -> dict[str, Any]:
        """Medians and 95th percentiles in milliseconds."""
        return {
            "name": self.name,
            "frame_hw": list(self.frame_hw),
            "rounds": len(self.totals),
            "median_ms": {step: round(median(values), 3) for step, values in self.ms.items()},
            "total_median_ms": round(median(self.totals), 3),
            "total_p95_ms": round(float(np.percentile(self.totals, 95)), 3),
            "instances": self.instances,
            "peak_mb": round(self.peak_mb, 1),
        }


def measure(contestants: Sequence[tuple[str, Pipeline]], image: Path, *, rounds: int, warm_up: int = 2) -> list[Timing]:
    """Times contestants in turn, round after round, so that what else the machine does hits all of them alike.

    Args:
        contestants: names and pipelines.
        image: file that every round decodes anew.
        rounds: measured rounds.
        warm_up: rounds before them that do not count.

    Raises:
        InputError: no contestant, no round, or the image cannot be read.
    """
    if not contestants or rounds < 1:
        raise InputError(f"expected models and at least one round, got {len(contestants)} and {rounds}")
    timings = [Timing(name) for name, _ in contestants]
    for number in range(-warm_up, rounds):
        for timing, (_, pipeline) in zip(timings, contestants, strict=True):
            _forget_peak()
            spent = _once(timing, pipeline, image)
            timing.peak_mb = max(timing.peak_mb, _peak_mb())
            if number >= 0:
                for step, milliseconds in spent.items():
                    timing.ms[step].append(milliseconds)
    return timings


def sized(image: Path, size_hw: tuple[int, int], folder: Path) -> Path:
    """The image at another size, as a JPEG file in a folder."""
    pixels: NDArray[np.uint8] = cv2.imread(str(image), cv2.IMREAD_COLOR)  # type: ignore[assignment]
    if pixels is None:
        raise InputError(f"{image}: expected an image, got something that cannot be read as one")
    path = folder / f"{fitting(image.stem)}_{size_hw[0]}x{size_hw[1]}.jpg"
    cv2.imwrite(str(path), cv2.resize(pixels, size_hw[::-1], interpolation=cv2.INTER_CUBIC))
    return path


def _once(timing: Timing, pipeline: Pipeline, image: Path) -> dict[str, float]:
    spent: dict[str, float] = {}

    def step(name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        spent[name] = 1000 * (time.perf_counter() - start)
        return result

    rgb = step("decode", lambda: read_pixels(image, pipeline.preprocess))
    prepared = step("preprocess", lambda: pipeline.prepare(rgb))
    inputs = stack([prepared])
    candidates = step("network", lambda: pipeline.backend(*inputs))
    post = pipeline.backend.config.postprocess
    choices = {**post.model_dump(include={"gate", "mask_threshold", "least_piece"}), "min_score": pipeline.score}
    found = step("select", lambda: select(candidates, [prepared.frame], **choices)[0])
    step("encode", lambda: json.dumps(to_coco(found, 1, range(1, len(pipeline.classes) + 1))))
    timing.frame_hw, timing.instances = prepared.frame.frame_hw, len(found)
    return spent


def _forget_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif _CLEAR.is_file():
        _CLEAR.write_text("5")  # from here on Linux notes a new peak


def _peak_mb() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    if _STATUS.is_file():
        peak = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes, as macOS counts
