"""The rate at which this machine multiplies matrices, by number type: what network times are compared with.

python benchmarks/matmul_rate.py [--device cpu|cuda] [--name matmul_rate]

Two shapes: a square matrix product, and the 3x3 convolution that the decoder is made of (256 to 256 channels on 80x108
pixels, channels-last). The best of several runs counts. On a processor torch leaves products in float32 to MKL and
everything else to oneDNN; int8 is oneDNN's, u8 times s8 with 32-bit sums.
"""

import argparse
import time
from collections.abc import Callable

import torch
from record import write_result
from torch import Tensor
from torch.nn import functional as F

SIDE = 2048
CHANNELS, HEIGHT, WIDTH = 256, 80, 108
PRODUCT_FLOP = 2 * SIDE**3
CONVOLUTION_FLOP = 2 * 9 * CHANNELS**2 * HEIGHT * WIDTH
FLOAT_TYPES = (torch.float32, torch.bfloat16, torch.float16)


def rate(step: Callable[[], Tensor], flop: int, *, device: str, seconds: float) -> float:
    """Best GFLOP/s within a time budget (int8: billions of multiplications and additions)."""
    best, end = float("inf"), time.perf_counter() + seconds
    step()
    while time.perf_counter() < end:
        start = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return round(flop / best / 1e9, 1)


def float_steps(dtype: torch.dtype, device: str) -> dict[str, tuple[Callable[[], Tensor], int]]:
    square = torch.rand(SIDE, SIDE, device=device).to(dtype)
    features, weight = (
        torch.rand(shape, device=device).to(dtype).contiguous(memory_format=torch.channels_last)
        for shape in ((1, CHANNELS, HEIGHT, WIDTH), (CHANNELS, CHANNELS, 3, 3))
    )
    return {
        "product": (lambda: square @ square, PRODUCT_FLOP),
        "convolution": (lambda: F.conv2d(features, weight, padding=1), CONVOLUTION_FLOP),
    }


def int8_steps(device: str) -> dict[str, tuple[Callable[[], Tensor], int]]:
    square = torch.randint(-127, 127, (SIDE, SIDE), dtype=torch.int8, device=device)
    steps: dict[str, tuple[Callable[[], Tensor], int]] = {
        "product": (lambda: torch._int_mm(square, square), PRODUCT_FLOP)
    }
    if device == "cpu":
        shape = [1, CHANNELS, HEIGHT, WIDTH]
        scale, zero = torch.full((CHANNELS,), 1e-3), torch.zeros(CHANNELS, dtype=torch.int64)
        geometry = ([1, 1], [1, 1], [1, 1], 1)  # stride, padding, dilation, groups
        weight = torch.randint(-127, 127, (CHANNELS, CHANNELS, 3, 3), dtype=torch.int8)
        packed = torch.ops.onednn.qconv_prepack(weight, scale, 1 / 255, 0, *geometry, shape)
        features = torch.randint(0, 255, shape, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
        steps["convolution"] = (
            lambda: torch.ops.onednn.qconv_pointwise(
                features, 1 / 255, 0, packed, scale, zero, torch.zeros(CHANNELS), *geometry,
                0.1, 0, torch.uint8, "none", [], "",
            ),
            CONVOLUTION_FLOP,
        )  # fmt: skip
    return steps


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each type and shape")
    parser.add_argument("--name", default="matmul_rate", help="of the result")
    options = parser.parse_args()
    # torch has no fast float16 on processors, and waiting for the slow one teaches nothing
    types = FLOAT_TYPES if options.device == "cuda" else FLOAT_TYPES[:2]
    steps = {str(dtype).removeprefix("torch."): float_steps(dtype, options.device) for dtype in types}
    steps["int8"] = int8_steps(options.device)
    figures = {
        kind: {
            shape: rate(step, flop, device=options.device, seconds=options.seconds)
            for shape, (step, flop) in shapes.items()
        }
        for kind, shapes in steps.items()
    }
    print(write_result(options.name, {"unit": "GFLOP/s", "rates": figures}))
    for kind, shapes in figures.items():
        print(f"{kind:10s}", *(f"{shape} {value:9.1f}" for shape, value in shapes.items()))


if __name__ == "__main__":
    main()
