"""Our own line n, s, m, l beside r50-giam: parameters, operations and time of the network at 640 x 640.

python benchmarks/line.py [--rounds 15] [--threads N] [--device cpu] [--candidates]

Weights are fresh: time does not depend on them. One image, eager float32, channels last, once as built and once with
the exact rewrites for inference. Networks run in turn, round after round, so that a busy machine slows all of them
alike; ratios are medians over rounds. `--candidates` compares the backbones that were considered instead, each alone
with its batch norms folded, and writes line_candidates.json.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping

import timm
import torch
from record import write_result
from timm.utils import reparameterize_model
from torch import nn

from sparseinst.config.model import ModelConfig
from sparseinst.config.network import BackboneConfig
from sparseinst.modeling.backbones import Backbone
from sparseinst.modeling.cost import cost
from sparseinst.modeling.model import build_model
from sparseinst.modeling.postprocess import Segmenter
from sparseinst.runtime.folding import fold_norms
from sparseinst.runtime.rewrites import optimise
from sparseinst.zoo.models import load_model
from sparseinst.zoo.names import load_preset

SIZE_HW = (640, 640)
LINE = ("n", "s", "m", "l")
REFERENCE, REFERENCE_BACKBONE = "r50-giam", "resnet50.tv_in1k"

PADDLE = "PP-HGNetV2 model card of PaddleClas (stage 2)"
TIMM_README = "timm README, 12 June 2024"
TIMM_TABLE = "timm results/results-imagenet.csv"
REPVIT = "RepViT README (450 epochs)"
CANDIDATES: dict[str, tuple[float, int, str]] = {
    "hgnetv2_b0.ssld_stage1_in22k_in1k": (77.77, 224, PADDLE),
    "hgnetv2_b1.ssld_stage1_in22k_in1k": (79.18, 224, PADDLE),
    "hgnetv2_b2.ssld_stage1_in22k_in1k": (81.74, 224, PADDLE),
    "hgnetv2_b3.ssld_stage1_in22k_in1k": (82.98, 224, PADDLE),
    "hgnetv2_b4.ssld_stage1_in22k_in1k": (83.57, 224, PADDLE),
    "hgnetv2_b5.ssld_stage1_in22k_in1k": (84.75, 224, PADDLE),
    "mobilenetv4_conv_small.e2400_r224_in1k": (73.756, 224, TIMM_README),
    "mobilenetv4_conv_medium.e500_r256_in1k": (79.928, 256, TIMM_README),
    "mobilenetv4_conv_large.e500_r256_in1k": (81.862, 256, TIMM_README),
    "repvit_m0_9.dist_450e_in1k": (79.1, 224, REPVIT),
    "repvit_m1_1.dist_450e_in1k": (81.2, 224, REPVIT),
    "repvit_m1_5.dist_450e_in1k": (82.5, 224, REPVIT),
    "tf_efficientnet_lite0.in1k": (74.830, 224, TIMM_TABLE),
    "regnety_004.tv2_in1k": (75.598, 224, TIMM_TABLE),
    "regnety_008_tv.tv2_in1k": (78.674, 224, TIMM_TABLE),
    "regnety_016.tv2_in1k": (80.668, 224, TIMM_TABLE),
    "cs3darknet_m.c2ns_in1k": (77.634, 288, TIMM_TABLE),
    "resnet18d.ra2_in1k": (73.794, 288, TIMM_TABLE),
    "resnet34d.ra2_in1k": (78.436, 288, TIMM_TABLE),
    REFERENCE_BACKBONE: (76.130, 224, TIMM_TABLE),
}
"""Backbone -> ImageNet top-1 in per cent, at how many pixels, and who states it; none was measured here."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--candidates", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    figures = (candidates if options.candidates else line)(options.device, options.rounds)
    width = max(map(len, figures))
    for name, row in figures.items():
        gflop = row["gflop"]["total"] if isinstance(row["gflop"], dict) else row["gflop"]
        times = [row, row["optimised"]] if "optimised" in row else [row]
        shown = ", optimised ".join(f"{one['ms']:7.1f} ms x{one['ratio']:.2f}" for one in times)
        print(f"{name:{width}} {row['parameters_m']:6.2f} M {gflop:7.2f} GFLOP {shown}")
    settings = {"size_hw": SIZE_HW, "rounds": options.rounds, "device": options.device}
    print(write_result("line_candidates" if options.candidates else "line", {**settings, "networks": figures}))


def line(device: str, rounds: int) -> dict[str, dict]:
    names = (*LINE, REFERENCE)
    images = torch.randint(0, 256, (1, 3, *SIZE_HW), dtype=torch.uint8, device=device)
    resized_hw = torch.tensor([SIZE_HW], device=device)
    runs = {}
    for name in names:
        model = load_model(name, random_weights=True, device=device)
        for variant, network in ((name, model), (f"{name} optimised", optimise(model))):
            segmenter = Segmenter(fast(network)).eval()
            runs[variant] = lambda segmenter=segmenter: segmenter(images, resized_hw)
    times = timed(runs, rounds, device)
    figures = {}
    for name in names:
        with torch.device("meta"):
            counted = cost(build_model(load_preset(name).model).eval(), SIZE_HW)
        parts = {**counted.parts, "total": counted.total}
        figures[name] = {
            "parameters_m": round(counted.total.parameters / 1e6, 2),
            "gflop": {part: round(one.flops / 1e9, 2) for part, one in parts.items()},
            **summary(times[name], times[REFERENCE]),
            "optimised": summary(times[f"{name} optimised"], times[f"{REFERENCE} optimised"]),
        }
    return figures


def candidates(device: str, rounds: int) -> dict[str, dict]:
    images = torch.rand(1, 3, *SIZE_HW, device=device).to(memory_format=torch.channels_last)
    runs = {}
    for name in CANDIDATES:
        backbone = reparameterize_model(Backbone(name, strides=(8, 16, 32), norm="batch").to(device).eval())
        fold_norms(backbone, torch.zeros(1, 3, 64, 64, device=device))
        backbone = fast(backbone)
        runs[name] = lambda backbone=backbone: backbone(images)
    times = timed(runs, rounds, device)
    figures = {}
    for name, (top1, pixels, source) in CANDIDATES.items():
        with torch.device("meta"):
            model = build_model(ModelConfig(backbone=BackboneConfig(name=name, norm="batch"))).eval()
        part = cost(model, SIZE_HW).parts["backbone"]
        figures[name] = {
            "licence": timm.get_pretrained_cfg(name).license,
            "top1": {"percent": top1, "px": pixels, "stated_by": source},
            "parameters_m": round(part.parameters / 1e6, 2),
            "gflop": round(part.flops / 1e9, 2),
            **summary(times[name], times[REFERENCE_BACKBONE]),
        }
    return figures


def fast(module: nn.Module) -> nn.Module:
    return module.to(memory_format=torch.channels_last)


def timed(runs: Mapping[str, Callable[[], object]], rounds: int, device: str) -> dict[str, list[float]]:
    """Milliseconds of each round, the networks in turn; a first round is not counted."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for done in range(rounds + 1):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                if device.startswith("cuda"):
                    torch.cuda.synchronize()
                if done:
                    times[name].append(1000 * (time.perf_counter() - start))
    return times


def summary(own: list[float], reference: list[float]) -> dict[str, float]:
    """Median time, and the median over rounds of its ratio to the reference (below 1: faster)."""
    ratio = statistics.median(mine / other for mine, other in zip(own, reference, strict=True))
    return {"ms": round(statistics.median(own), 1), "min_ms": round(min(own), 1), "ratio": round(ratio, 3)}


if __name__ == "__main__":
    main()
