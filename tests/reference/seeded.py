"""Weights that anyone can make again: each tensor is drawn from a stream of its own, which its published name starts.

The reference outputs are what the published implementation computes with these very numbers. They come out of PCG64's
integers as doubles and are rounded to float32 once. Only the tails of a normal distribution (one number in 4,000) ask
the processor's mathematics library for more than a product or a sum, and only its last bit may differ: less than one
float32 in 10^11. `CHECKSUMS` says whether a NumPy draws others.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

FOLDER = Path(__file__).parent
NETWORKS = {
    "r50": "sparse_inst_r50_base",
    "r50d": "sparse_inst_r50vd_base",
    "r50-giam": "sparse_inst_r50_giam",
    "r50-giam-soft": "sparse_inst_r50_giam_soft",
    "r50d-giam": "sparse_inst_r50vd_giam",
    "r50-dcn-giam": "sparse_inst_r50_dcn_giam_aug",
    "r50d-dcn-giam": "sparse_inst_r50vd_dcn_giam_aug",
    "r101-giam": "sparse_inst_r101_giam",
    "r101-dcn-giam": "sparse_inst_r101_dcn_giam",
    "cspdarknet53-giam": "sparse_inst_cspdarknet53_giam",
    "darknet53-giam": "sparse_inst_darknet53_giam",
    "pvtv2-b1-giam": "sparse_inst_pvt_b1_giam",
    "pvtv2-b2-li-giam": "sparse_inst_pvt_b2_li_giam",
}
"""Preset -> published network."""
CHECKSUMS = {
    "sparse_inst_r50_base": 0x19D7C3CF,
    "sparse_inst_r50vd_base": 0x18CBC416,
    "sparse_inst_r50_giam": 0x34C3F4AC,
    "sparse_inst_r50_giam_soft": 0x7B549D78,
    "sparse_inst_r50vd_giam": 0x12447485,
    "sparse_inst_r50_dcn_giam_aug": 0xCCEE47E2,
    "sparse_inst_r50vd_dcn_giam_aug": 0x930307EB,
    "sparse_inst_r101_giam": 0xF4A074DE,
    "sparse_inst_r101_dcn_giam": 0x9AFD862A,
    "sparse_inst_cspdarknet53_giam": 0xA0FE6B9C,
    "sparse_inst_darknet53_giam": 0x1F0632B9,
    "sparse_inst_pvt_b1_giam": 0xC3BA937E,
    "sparse_inst_pvt_b2_li_giam": 0x8C2626B1,
}
"""CRC-32 of all tensors, in the order of their file."""
CONSTANTS = ("pixel_mean", "pixel_std")
"""In every published file, and no weights."""


def shapes_of(preset: str) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor in the published file."""
    content = json.loads((FOLDER / "tensors" / f"{NETWORKS[preset]}.json").read_text())
    return {name: tuple(shape) for name, shape in content.items()}


def tensors_of(preset: str) -> dict[str, torch.Tensor]:
    """The seeded weights of a published network, under its published names."""
    shapes = shapes_of(preset)
    return {name: torch.from_numpy(drawn(name, shape)) for name, shape in shapes.items() if name not in CONSTANTS}


def drawn(name: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """The tensor of that name: spread so that features neither vanish nor grow from layer to layer."""
    random = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    match name.rpartition(".")[2], len(shape):
        case "num_batches_tracked", _:
            return np.zeros(shape, np.int64)
        case "softmax_bias", _:
            return np.ones(shape, np.float32)
        case "running_mean", _:
            values = 0.1 * random.standard_normal(shape)
        case "running_var", _:
            values = _between(0.8, 1.2, random.random(shape))
        case "weight", 1:  # of a norm
            values = _between(0.4, 0.6, random.random(shape))
        case _, 1:
            values = 0.05 * random.standard_normal(shape)
        case _:  # He et al. 2015; half as wide for the offsets of deformable convolutions
            deviation = np.sqrt(2 / np.prod(shape[1:]))
            values = deviation * (0.5 if "offset" in name else 1) * random.standard_normal(shape)
    return values.astype(np.float32)


def _between(low: float, high: float, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers of 0..1 between two bounds. A product, then a sum: rounded twice on every processor."""
    return low + (high - low) * values


def checksum(tensors: dict[str, torch.Tensor]) -> int:
    """CRC-32 of all tensors, one after the other."""
    total = 0
    for tensor in tensors.values():
        total = zlib.crc32(np.ascontiguousarray(tensor.numpy()), total)
    return total
