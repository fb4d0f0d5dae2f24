"""Time of the network alone (`Segmenter`: padded images to candidates), variant by variant, in one run.

python benchmarks/network.py [--model r50-giam] [--weights FILE] [--frames 640x640 640x864] [--device cpu|cuda]
                             [--variants NAME ...] [--rounds 15] [--name network]

Every round times every variant once, so that whatever else slows the machine slows all of them: times are medians over
the rounds, gains are medians of each round's ratio to `eager fp32`. To compare another way of running the network, add
a line to VARIANTS. `benchmarks/matmul_rate.py` has to have run on this machine: rates are given as shares of its.
"""

import argparse
import gc
import json
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from record import RESULTS, write_result
from torch import Tensor
from torch._inductor import config as inductor
from torch.utils.flop_counter import FlopCounterMode

from sparseinst import load_model
from sparseinst.modeling.model import SparseInst
from sparseinst.modeling.postprocess import Segmenter
from sparseinst.predictions import Candidates
from sparseinst.runtime.rewrites import optimise

ORACLE = "eager fp32"
Run = Callable[[Tensor, Tensor], Candidates]


class Variant(NamedTuple):
    """A way of running the network, made anew for each frame."""

    make: Callable[[SparseInst], Run]
    number_type: str
    """Whose rate in matmul_rate.json the variant's is a share of."""
    device: str = "any"


def eager(model: SparseInst) -> Run:
    return Segmenter(model).eval()


def contiguous(model: SparseInst) -> Run:
    return eager(optimise(model).to(memory_format=torch.contiguous_format))


def optimised(dtype: torch.dtype = torch.float32) -> Callable[[SparseInst], Run]:
    return lambda model: eager(optimise(model).to(dtype))


def autocast(model: SparseInst) -> Run:
    segmenter = eager(optimise(model))

    def run(images: Tensor, resized_hw: Tensor) -> Candidates:
        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            return segmenter(images, resized_hw)

    return run


def compiled(dtype: torch.dtype, *, mode: str = "default", frozen: bool = False) -> Callable[[SparseInst], Run]:
    """Inductor; `frozen` lets it repack the weights (only by a process-wide setting, read when it compiles)."""

    def make(model: SparseInst) -> Run:
        inductor.freezing = frozen
        return torch.compile(optimised(dtype)(model), mode=mode, dynamic=False)

    return make


VARIANTS = {
    ORACLE: Variant(eager, "float32"),
    "optimised fp32, channels first": Variant(contiguous, "float32"),
    "optimised fp32": Variant(optimised(), "float32"),
    "optimised bf16": Variant(optimised(torch.bfloat16), "bfloat16"),
    "optimised bf16 autocast": Variant(autocast, "bfloat16"),
    "compiled fp32": Variant(compiled(torch.float32, frozen=True), "float32", "cpu"),
    "compiled bf16": Variant(compiled(torch.bfloat16, frozen=True), "bfloat16", "cpu"),
    "optimised fp16": Variant(optimised(torch.float16), "float16", "cuda"),
    "CUDA graphs bf16": Variant(compiled(torch.bfloat16, mode="reduce-overhead"), "bfloat16", "cuda"),
    "CUDA graphs fp16": Variant(compiled(torch.float16, mode="reduce-overhead"), "float16", "cuda"),
    "autotuned fp16": Variant(compiled(torch.float16, mode="max-autotune-no-cudagraphs"), "float16", "cuda"),
}  # fmt: skip


@dataclass
class Row:
    """What is known of one variant; the first call (with compilation) is not among the times."""

    variant: Variant
    run: Run
    first_s: float
    accuracy: dict[str, float]
    times_ms: list[float]


def call_ms(run: Run, images: Tensor, resized_hw: Tensor) -> tuple[float, Candidates]:
    start = time.perf_counter()
    candidates = run(images, resized_hw)
    if images.is_cuda:
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start), candidates


def accuracy(found: Candidates, expected: Candidates, *, threshold: float) -> dict[str, float]:
    """How far a variant is from float32: largest differences, and the share of mask pixels that change sides."""
    sides = (found.masks > threshold) != (expected.masks > threshold)
    return {
        "gate_max": (found.raw_scores - expected.raw_scores).abs().max().item(),
        "mask_max": (found.masks - expected.masks).abs().max().item(),
        "mask_mean": (found.masks - expected.masks).abs().mean().item(),
        "pixels_changed": sides.float().mean().item(),
    }


def gflop(model: SparseInst, images: Tensor, resized_hw: Tensor) -> float:
    """Billions of floating-point operations of the optimised network; a multiplication and an addition are two."""
    run = optimised()(model)
    with FlopCounterMode(display=False) as counter:
        run(images, resized_hw)
    return counter.get_total_flops() / 1e9


def measure(model: SparseInst, frame_hw: tuple[int, int], names: list[str], rounds: int) -> dict[str, Row]:
    torch.compiler.reset()
    device = model.mean.device
    images = torch.randint(0, 256, (1, 3, *frame_hw), dtype=torch.uint8, device=device)
    resized_hw = torch.tensor([frame_hw], device=device)
    rows: dict[str, Row] = {}
    for name in names:
        run = VARIANTS[name].make(model)
        first, candidates = call_ms(run, images, resized_hw)
        candidates = Candidates(*(None if part is None else part.clone() for part in candidates))  # CUDA graphs reuse
        if name == ORACLE:
            expected = candidates
        distance = accuracy(candidates, expected, threshold=model.config.postprocess.mask_threshold)
        for _ in range(2):
            call_ms(run, images, resized_hw)
        rows[name] = Row(VARIANTS[name], run, first / 1e3, distance, [])
    for _ in range(rounds):
        for row in rows.values():
            row.times_ms.append(call_ms(row.run, images, resized_hw)[0])
    return rows


def figures(row: Row, oracle: Row, work_gflop: float, rates: dict[str, dict[str, float]]) -> dict[str, object]:
    median = statistics.median(row.times_ms)
    achieved = 1e3 * work_gflop / median
    best = max(rates[row.variant.number_type].values())
    pairs = (a / b for a, b in zip(oracle.times_ms, row.times_ms, strict=True))
    return {
        "ms": round(median, 1),
        "ms_best": round(min(row.times_ms), 1),
        "gain": round(statistics.median(pairs), 2),
        "gflop_per_s": round(achieved),
        "share_of_rate": round(achieved / best, 2),
        "first_call_s": round(row.first_s, 1),
        "difference": {name: float(f"{value:.2g}") for name, value in row.accuracy.items()},
    }


def read_rates(name: str) -> dict[str, dict[str, float]]:
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        raise SystemExit(f"{path} is absent: run python benchmarks/matmul_rate.py on this machine first")
    rates: dict[str, dict[str, float]] = json.loads(path.read_text())["figures"]["rates"]
    return rates


def default_variants(device: str) -> list[str]:
    names = [name for name, variant in VARIANTS.items() if variant.device in ("any", device)]
    if shutil.which("c++") or shutil.which("g++"):
        return names
    print("no C++ compiler: the compiled variants are left out")
    return [name for name in names if not name.startswith("compiled")]


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="r50-giam")
    parser.add_argument("--weights", default=None, help="without it, weights that ship with the package or random ones")
    parser.add_argument("--frames", nargs="+", default=["640x640", "640x864"], help="HEIGHTxWIDTH of the padded image")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), help=f"beside {ORACLE}; without it, all")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rates", default="matmul_rate", help="name of the result that has this machine's rates")
    parser.add_argument("--name", default="network", help="of the result")
    options = parser.parse_args()
    rates = read_rates(options.rates)
    random = options.weights is None and options.model != "nuclei"
    torch.manual_seed(0)
    model = load_model(options.model, weights=options.weights, random_weights=random, device=options.device)
    names = list(dict.fromkeys([ORACLE, *(options.variants or default_variants(options.device))]))
    result: dict[str, object] = {"model": options.model, "random_weights": random, "rounds": options.rounds}
    for frame in options.frames:
        height, width = map(int, frame.split("x"))
        rows = measure(model, (height, width), names, options.rounds)
        sample = torch.zeros(1, 3, height, width, dtype=torch.uint8, device=options.device)
        work = gflop(model, sample, torch.tensor([[height, width]], device=options.device))
        table = {name: figures(row, rows[ORACLE], work, rates) for name, row in rows.items()}
        result[frame] = {"gflop": round(work, 1), "variants": table}
        print(f"{frame}, {work:.0f} GFLOP")
        for name, line in table.items():
            print(f"  {name:32s}", *(f"{key} {value}" for key, value in line.items()))
        del rows
        gc.collect()
    print(write_result(options.name, result))


if __name__ == "__main__":
    main()
