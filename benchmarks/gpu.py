"""All that is to be known on a GPU, by one command, meant to take less than nine minutes of a large one.

python benchmarks/gpu.py [--device cuda] [--parts rate network image batch masks training profile compile]
                         [--quick] [--name gpu]

The result is written after each part, so that a run that is cut short keeps what it has; a part that fails says why and
the others go on. `--device cpu --quick` runs everything small, to see that it runs. Weights are random: masks take
their sizes from COCO's objects instead.
"""

import argparse
import statistics
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import training_step
from criterion import FORMS, case
from criterion import run as run_losses
from gpu_bench import Bench, Sizes, elapsed_ms, release
from gpu_network import COMPILED, VARIANTS, time_variants
from latency import MASKS, candidates_for
from record import write_result
from torch.profiler import ProfilerActivity, profile

import masks
from sparseinst.data.geometry import frame_of
from sparseinst.data.prepare import prepare, stack
from sparseinst.modeling.postprocess import select
from sparseinst.predictions import Candidates
from sparseinst.recipe import LossConfig
from sparseinst.runtime.torch_backend import TorchBackend

QUICK = Sizes("n", (96, 128), ((96, 128), (120, 213)), 2, 5, (108, 192), 2, 64, 256, 2)


def rate(bench: Bench) -> dict[str, Any]:
    """Of one large square product of random matrices."""
    side = bench.sizes.side
    square = torch.randn(side, side, device=bench.device).to(torch.bfloat16)
    found = bench.milliseconds(lambda: square @ square, rounds=10)
    bench.rate_tflops = 2 * side**3 / found / 1e9
    return {"side": side, "bf16_tflop_per_s": round(bench.rate_tflops, 1)}


def network(bench: Bench) -> dict[str, Any]:
    return time_variants(bench, VARIANTS, batch=1)


def batches(bench: Bench) -> dict[str, Any]:
    chosen = ("optimised bf16", "graphs bf16", "graphs fp16")
    return time_variants(bench, {name: VARIANTS[name] for name in chosen}, batch=bench.sizes.batch)


def compiled(bench: Bench) -> dict[str, Any]:
    return {f"batch {batch}": time_variants(bench, COMPILED, batch=batch) for batch in (1, bench.sizes.batch)}


class OneImage:
    """From a decoded image in host memory to encodings; the masks are not the network's but COCO-like."""

    def __init__(self, bench: Bench, size_hw: tuple[int, int]) -> None:
        self.bench = bench
        self.backend = TorchBackend(bench.model, device=bench.device, half=True)
        self.config = bench.model.config.preprocess
        self.image = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
        synthetic = candidates_for(bench.model, frame_of(size_hw, self.config))
        self.candidates = Candidates._make(None if part is None else part.to(bench.device) for part in synthetic)

    def __call__(self) -> dict[str, float]:
        """Milliseconds of the stages, and of all."""
        began, marks = time.perf_counter(), [self.bench.mark()]
        prepared = prepare(self.image, self.config)
        inputs = [part.to(self.bench.device) for part in stack([prepared])]
        marks.append(self.bench.mark())
        self.backend(*inputs)
        marks.append(self.bench.mark())
        (instances,) = select(self.candidates, [prepared.frame], gate=0.0, mask_threshold=masks.THRESHOLD)
        marks.append(self.bench.mark())
        ended = time.perf_counter()
        assert len(instances) == MASKS
        stages = {"resize_upload": 0, "network": 1, "masks": 2}
        spent = {f"{name}_ms": elapsed_ms(marks[i], marks[i + 1]) for name, i in stages.items()}
        return spent | {"total_ms": 1e3 * (ended - began)}


def images(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for height, width in bench.sizes.images:
        once = OneImage(bench, (height, width))
        rows = [once() for _ in range(3 + bench.sizes.rounds)][3:]
        medians = {name: round(statistics.median(row[name] for row in rows), 3) for name in rows[0]}
        found[f"{height}x{width}"] = {**medians, "hidden_synchronisations": hidden_synchronisations(once)}
        del once
        release()
    return found


def hidden_synchronisations(work: Callable[[], object]) -> int | str:
    """How often the work makes the host wait besides the one wait that it says (an event's, which does not count)."""
    if not torch.cuda.is_available():
        return "skipped: there is no GPU to wait for"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


def encoding(bench: Bench) -> dict[str, Any]:
    grid_hw, image_hw = ((h // masks.STRIDE, w // masks.STRIDE) for h, w in (masks.FRAME_HW, masks.RESIZED_HW))
    shapes = masks.coco_like(bench.sizes.masks, grid_hw=grid_hw, image_hw=image_hw).to(bench.device)
    return masks.compare(shapes, bench.sizes.masks_hw, 2 if bench.sizes == QUICK else 15)


def training(bench: Bench) -> dict[str, Any]:
    sizes = bench.sizes
    step = argparse.Namespace(
        model=sizes.model, batch=sizes.train_batch, size=sizes.train_px, instances=10, pairs=min(5, sizes.rounds),
        threads=torch.get_num_threads(), device=bench.device.type, precision="bf16",
    )  # fmt: skip
    with torch.inference_mode(False), torch.enable_grad():
        found: dict[str, Any] = {"step": training_step.compare(step)}
        release()
        predictions, targets = case(
            sizes.train_batch, slots=100, instances=10, grid=sizes.train_px // 4, device=bench.device.type
        )
        for form, make in FORMS.items():
            spent = bench.milliseconds(lambda make=make: run_losses(make(LossConfig()), predictions, targets), rounds=5)
            found[f"losses_{form}_ms"] = round(spent, 2)
    return found


def profiles(bench: Bench) -> dict[str, Any]:
    backend = TorchBackend(bench.model, device=bench.device, half=True)
    inputs = bench.inputs(1)
    works = {"network": lambda: backend(*inputs), "image": OneImage(bench, bench.sizes.images[-1])}
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if bench.cuda else [])]
    found = {}
    for name, work in works.items():
        for _ in range(3):
            work()
        with profile(activities=activities) as profiler:
            for _ in range(5):
                work()
            if bench.cuda:
                torch.cuda.synchronize()
        order = "self_cuda_time_total" if bench.cuda else "self_cpu_time_total"
        found[name] = profiler.key_averages().table(sort_by=order, row_limit=25, max_name_column_width=90).splitlines()
    return found


PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "rate": rate, "network": network, "image": images, "batch": batches, "masks": encoding, "training": training,
    "profile": profiles, "compile": compiled,
}  # fmt: skip


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="everything small: figures mean nothing")
    parser.add_argument("--name", default="gpu", help="of the result")
    options = parser.parse_args()
    bench = Bench(QUICK if options.quick else Sizes(), options.device)
    figures: dict[str, Any] = {"device": options.device, "sizes": bench.sizes._asdict(), "parts": {}}
    figures["tf32_convolutions"] = torch.backends.cudnn.allow_tf32
    for part in options.parts:
        start = time.perf_counter()
        try:
            found = PARTS[part](bench)
        except Exception as error:  # noqa: BLE001  the other parts are worth having
            traceback.print_exc()
            found = {"error": f"{type(error).__name__}: {error}"}
        found["seconds"] = round(time.perf_counter() - start, 1)
        figures["parts"][part] = found
        print(part, found if part != "profile" else "", write_result(options.name, figures), flush=True)
        release()


if __name__ == "__main__":
    main()
