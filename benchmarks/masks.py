"""Masks from the grid to the original image: the fast path against the exact one, in alternating pairs.

python benchmarks/masks.py [--masks 100] [--pairs 7] [--device cpu] [--name masks]

The masks have smooth random outlines and sizes like COCO's objects: 5 % of the image on average, most of them much
smaller, a few about half of it.
"""

import argparse
import json
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from record import write_result

from sparseinst.masks import rle
from sparseinst.masks.exact import paste_exact
from sparseinst.masks.grid import Frame
from sparseinst.masks.paste import encode_pasted

THRESHOLD = 0.45
FRAME_HW, RESIZED_HW, STRIDE = (384, 640), (360, 640), 4
SIZES = ((720, 1280), (1080, 1920), (2160, 3840))
DENSE_PIXELS = 2**24

Work = Callable[[torch.Tensor, Frame], tuple[bytes, ...]]


def coco_like(count: int, *, grid_hw: tuple[int, int], image_hw: tuple[int, int], seed: int = 0) -> torch.Tensor:
    """(count, h, w) probabilities of shapes with wavy outlines, some with a hole, in the image's part of the grid."""
    rng = np.random.default_rng(seed)
    height, width = image_hw
    y, x = np.mgrid[: grid_hw[0], : grid_hw[1]] + 0.5
    # Log-normal, its quantiles rather than draws, so that every seed has a few of about half the image.
    shares = [math.exp(1.8 * NormalDist().inv_cdf((i + 0.5) / count)) for i in range(count)]
    areas = np.clip(0.0145 * np.array(shares), 2e-4, 0.55) * height * width
    masks = np.empty((count, *grid_hw), np.float32)
    for mask, area in zip(masks, rng.permutation(areas), strict=True):
        stretch, turn, radius = rng.uniform(0.7, 1.5), rng.uniform(0, math.pi), math.sqrt(area / math.pi)
        centre = [rng.uniform(low := min(radius, side / 2), side - low) for side in image_hw]
        dy, dx = y - centre[0], x - centre[1]
        along, across = dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)
        angle, distance = np.arctan2(across * stretch, along / stretch), np.hypot(along / stretch, across * stretch)
        waves = sum(rng.uniform(0, 0.25) / k * np.cos(k * angle + rng.uniform(0, 6.3)) for k in range(2, 7))
        inside = radius * (1 + waves) - distance
        if rng.random() < 0.2:
            inside = np.minimum(inside, distance - 0.3 * radius)
        mask[:] = 1 / (1 + np.exp(-2 * inside))  # the edge of a real mask is about two cells wide
    return torch.from_numpy(masks)


def exact(masks: torch.Tensor, frame: Frame) -> tuple[bytes, ...]:
    """Dense masks of the image's size, as many at once as fit in 64 MB, then the C encoder."""
    height, width = frame.original_hw
    chunks = masks.split(max(1, DENSE_PIXELS // (height * width)))
    return tuple(code for chunk in chunks for code in rle.encode((paste_exact(chunk, frame) > THRESHOLD).cpu().numpy()))


def fast(masks: torch.Tensor, frame: Frame) -> tuple[bytes, ...]:
    return encode_pasted(masks, frame, threshold=THRESHOLD)


def milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()  # ends with bytes on the host, so that nothing is still under way on a device
    return 1000 * (time.perf_counter() - start)


def peak_megabytes(work: Work, masks: torch.Tensor, frame: Frame) -> float:
    """Most memory that the work takes beyond what is held before: of the device, or of a process of its own.

    A process that has done such work before holds freed memory, which would hide what a further run takes.
    """
    if masks.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work(masks, frame)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(growth_megabytes, (work, masks.numpy(), frame))


def growth_megabytes(work: Work, masks: np.ndarray, frame: Frame) -> float:
    """How far this process's peak of memory lies above what it holds now; after a small run, which loads libraries."""
    tensor = torch.from_numpy(masks)
    work(tensor[:1], frame._replace(original_hw=(48, 64)))
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew from here (Linux, man proc)
    before = memory_kilobytes("VmRSS")
    work(tensor, frame)
    return (memory_kilobytes("VmHWM") - before) / 2**10


def memory_kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def differing(ours: tuple[bytes, ...], theirs: tuple[bytes, ...], size_hw: tuple[int, int]) -> tuple[int, int]:
    """Pixels in which the encodings differ, and pixels of the reference that touch its outlines along a column."""
    differ = outline = 0
    for one, other in zip(ours, theirs, strict=True):
        a, b = rle.decode([one], size_hw)[0], rle.decode([other], size_hw)[0]
        differ += int((a != b).sum())
        outline += int((b[1:] != b[:-1]).sum() + (b[:, 1:] != b[:, :-1]).sum())
    return differ, outline


def compare(masks: torch.Tensor, original_hw: tuple[int, int], pairs: int) -> dict[str, Any]:
    frame = Frame(FRAME_HW, RESIZED_HW, original_hw)
    peaks = {work.__name__: peak_megabytes(work, masks, frame) for work in (fast, exact)}
    times: dict[str, list[float]] = {"fast": [], "exact": []}
    for _ in range(pairs + 1):
        for work in (fast, exact):
            times[work.__name__].append(milliseconds(lambda work=work: work(masks, frame)))
    ratios = [theirs / ours for ours, theirs in zip(times["fast"][1:], times["exact"][1:], strict=True)]
    codes = fast(masks, frame)
    differ, outline = differing(codes, exact(masks, frame), original_hw)
    return {
        "milliseconds": {name: round(statistics.median(values[1:]), 2) for name, values in times.items()},
        "ratio": round(statistics.median(ratios), 1),
        "extra_megabytes": {name: round(value, 1) for name, value in peaks.items()},
        "differing_pixels": differ,
        "outline_pixels": outline,
        "mean_area": round(float(np.mean(rle.areas(codes, original_hw))) / math.prod(original_hw), 4),
        "largest_area": round(float(np.max(rle.areas(codes, original_hw))) / math.prod(original_hw), 4),
        "bytes": sum(map(len, codes)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--name", default="masks", help="name of the result file")
    options = parser.parse_args()
    grid_hw, image_hw = ((height // STRIDE, width // STRIDE) for height, width in (FRAME_HW, RESIZED_HW))
    masks = coco_like(options.masks, grid_hw=grid_hw, image_hw=image_hw, seed=options.seed).to(options.device)
    figures = {
        "masks": options.masks,
        "grid_hw": grid_hw,
        "frame_hw": FRAME_HW,
        "resized_hw": RESIZED_HW,
        "seed": options.seed,
        "pairs": options.pairs,
        "sizes": {f"{w}x{h}": compare(masks, (h, w), options.pairs) for h, w in SIZES},
    }
    print(write_result(options.name, figures))
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
