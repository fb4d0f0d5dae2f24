"""Ways of running the network on a GPU, and how they are timed: a part of benchmarks/gpu.py."""

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from gpu_bench import Bench, release
from network import accuracy, call_ms

from sparseinst.modeling.cost import cost
from sparseinst.modeling.postprocess import Segmenter
from sparseinst.predictions import Candidates
from sparseinst.runtime.cuda_graphs import CudaGraphs, Run, ShapeCache
from sparseinst.runtime.rewrites import optimise
from sparseinst.runtime.torch_backend import TorchBackend

NO_GRAPHS = "skipped: CUDA graphs need a GPU"


def plain(bench: Bench, dtype: torch.dtype) -> Run:
    network = copy.deepcopy(bench.model)
    network.set_dtype(dtype)
    return Segmenter(network).eval()


def optimised(bench: Bench, dtype: torch.dtype) -> Run:
    network = optimise(bench.model)
    network.set_dtype(dtype)
    return Segmenter(network).eval()


def graphs(bench: Bench, dtype: torch.dtype) -> Run:
    return ShapeCache(optimised(bench, dtype), CudaGraphs(bench.device))


def tuned_graphs(bench: Bench, dtype: torch.dtype) -> Run:
    """Recorded while cuDNN tries all its kernels, and replayed with the best."""
    run = graphs(bench, dtype)
    torch.backends.cudnn.benchmark = True
    for _ in range(2):
        run(*bench.inputs(1))
    torch.backends.cudnn.benchmark = False
    return run


VARIANTS: dict[str, Callable[[Bench], Run]] = {
    "eager fp32": lambda bench: Segmenter(bench.model).eval(),
    "eager bf16": lambda bench: plain(bench, torch.bfloat16),
    "optimised bf16": lambda bench: optimised(bench, torch.bfloat16),
    "optimised fp16": lambda bench: optimised(bench, torch.float16),
    "graphs bf16": lambda bench: graphs(bench, torch.bfloat16),
    "graphs fp16": lambda bench: TorchBackend(bench.model, device=bench.device, half=True, cuda_graphs=True),
    "graphs fp16, tuned": lambda bench: tuned_graphs(bench, torch.float16),
}
COMPILED = {"compiled fp16": lambda bench: TorchBackend(bench.model, device=bench.device, half=True, compile=True)}


def time_variants(bench: Bench, variants: dict[str, Callable[[Bench], Run]], *, batch: int) -> dict[str, Any]:
    """Latency (each call waited for), throughput (none waited for) and distance from float32."""
    images, resized_hw = bench.inputs(batch)
    operations = batch * cost(bench.model, bench.sizes.frame_hw).total.flops
    expected = Segmenter(bench.model).eval()(images[:1], resized_hw[:1])
    table: dict[str, Any] = {"gflop": round(operations / 1e9, 1)}
    for name, make in variants.items():
        if not bench.cuda and name.startswith(("graphs", "compiled")):
            table[name] = NO_GRAPHS if name.startswith("graphs") else "skipped: compiled for a GPU only"
            continue
        start = time.perf_counter()
        run = make(bench)
        for _ in range(3):
            call_ms(run, images, resized_hw)
        first_s = time.perf_counter() - start
        waited = [call_ms(run, images, resized_hw)[0] for _ in range(bench.sizes.rounds)]
        alone = bench.milliseconds(lambda run=run: run(images, resized_hw), rounds=bench.sizes.rounds)
        found = Candidates._make(None if part is None else part[:1] for part in run(images, resized_hw))
        table[name] = {
            "latency_ms": round(statistics.median(waited), 3),
            "latency_best_ms": round(min(waited), 3),
            "throughput_ms": round(alone, 3),
            "images_per_s": round(1e3 * batch / alone, 1),
            "share_of_bf16_rate": bench.rate_tflops and round(operations / alone / 1e9 / bench.rate_tflops, 3),
            "ready_s": round(first_s, 1),
            "difference": accuracy(found, expected, threshold=bench.model.config.postprocess.mask_threshold),
        }
        print(f"  {batch:3} {name:20}", {key: table[name][key] for key in list(table[name])[:5]}, flush=True)
        del run, found
        release()
    return table
