"""From an image file to encoded masks: presets and backends against the plain path, in alternating rounds.

python benchmarks/latency.py [MODELS ...] [--backends torch,onnxruntime,openvino] [--half] [--int8 DIR] [--rounds 7]
                             [--device cpu] [--name latency]
python benchmarks/latency.py --plot FILE.png [--name latency]

The plain path is the network as it is in float32 and the published dense masks. Weights are random, so the instances
are not the network's: 100 masks with sizes like those of COCO's objects take their place, the same for all.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from record import RESULTS, write_result

from masks import coco_like, exact
from sparseinst import load_model
from sparseinst.data.images import read_image
from sparseinst.data.prepare import prepare, stack
from sparseinst.inference.timing import sized
from sparseinst.masks.grid import Frame
from sparseinst.modeling.cost import cost
from sparseinst.modeling.model import SparseInst
from sparseinst.modeling.postprocess import select
from sparseinst.predictions import Candidates
from sparseinst.runtime.backends import Backend, open_backend
from sparseinst.zoo.names import DEMO_IMAGE

MODELS = ("r50-giam", "r50", "r50d-dcn-giam", "r101-giam", "pvtv2-b1-giam", "n", "s", "m", "l")
MASKS = 100


def candidates_for(network: SparseInst, frame: Frame) -> Candidates:
    """Candidates of 100 sure instances with masks like those of COCO's objects."""
    stride = network.config.mask_stride
    grid_hw, inner_hw = (tuple(side // stride for side in size) for size in (frame.frame_hw, frame.resized_hw))
    masks = coco_like(MASKS, grid_hw=grid_hw, image_hw=inner_hw)[None]
    sure = torch.full((1, MASKS), 0.9)
    return Candidates(sure, torch.zeros(1, MASKS, dtype=torch.int64), masks, sure)


def milliseconds(work: Callable[[], object]) -> float:
    """Wall time of a call, the device's work included."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - start)


def contestants(
    network: SparseInst, backends: list[str], *, device: str, half: bool, int8: Path | None, folder: Path
) -> dict[str, Backend]:
    """The plain network first, then each backend, in float32 and, if asked for, in 16 and 8 bits."""
    found: dict[str, Backend] = {"eager": open_backend(network, name="eager", device=device)}
    for name in backends:
        found[name] = open_backend(network, name=name, device=device)
        if half and name in ("torch", "openvino"):
            found[f"{name} 16 bits"] = open_backend(network, name=name, device=device, half=True)
    if int8 is not None:
        from sparseinst.exporting.exporter import export_model

        path = folder / "int8.xml"
        export_model(network, path, export_format="openvino", precision="int8", calibration=int8)
        found["openvino int8"] = open_backend(path)
        if half:
            found["openvino int8, rest 16 bits"] = open_backend(path, half=True)
    return found


def measure(name: str, options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Median milliseconds of each backend: network, masks, and all from the file on."""
    network = load_model(name, random_weights=True)
    image = sized(DEMO_IMAGE, options.size, folder)
    config = network.config.preprocess
    prepared = prepare(read_image(image, config.intensity), config)
    frame, inputs = prepared.frame, stack([prepared])
    synthetic = candidates_for(network, frame)
    backends = contestants(
        network, options.backends.split(","), device=options.device, half=options.half, int8=options.int8, folder=folder
    )
    times: dict[str, dict[str, list[float]]] = {b: {"network": [], "masks": [], "before": []} for b in backends}
    for number in range(-2, options.rounds):
        for backend, run in backends.items():
            before = milliseconds(lambda: stack([prepare(read_image(image, config.intensity), config)]))
            spent = milliseconds(lambda run=run: run(*inputs))  # type: ignore[misc]
            masks = milliseconds(
                (lambda: exact(synthetic.masks[0], frame))
                if backend == "eager" else
                (lambda: select(synthetic, [frame], gate=0.0, mask_threshold=0.45))
            )  # fmt: skip
            if number >= 0:
                for part, value in (("network", spent), ("masks", masks), ("before", before)):
                    times[backend][part].append(value)
    medians = {b: {part: statistics.median(v) for part, v in parts.items()} for b, parts in times.items()}
    plain = medians["eager"]
    rows = {
        backend: {
            **{f"{part}_ms": round(value, 1) for part, value in parts.items()},
            "total_ms": round(sum(parts.values()), 1),
            "network_gain": round(plain["network"] / parts["network"], 2),
            "total_gain": round(sum(plain.values()) / sum(parts.values()), 2),
        }
        for backend, parts in medians.items()
    }
    for backend, row in rows.items():
        print(f"{name:16} {backend:28} {row}", flush=True)
    gflop = cost(network, frame.frame_hw).total.flops / 1e9
    return {"frame_hw": frame.frame_hw, "gflop": round(gflop, 1), "backends": rows}


def plot(figures: dict[str, dict[str, object]], path: Path) -> None:
    """Cost against latency, one curve a backend."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), constrained_layout=True)
    names = {backend for row in figures.values() for backend in row["backends"]}  # type: ignore[attr-defined]
    for backend in sorted(names):
        points = sorted(
            (row["gflop"], row["backends"][backend]["network_ms"], name)  # type: ignore[index]
            for name, row in figures.items()
            if backend in row["backends"]  # type: ignore[operator]
        )
        gflop, latency, labels = zip(*points, strict=True)
        axes.plot(gflop, latency, "o", label=backend, markersize=5)
        if backend == "eager":
            for point in zip(gflop, latency, labels, strict=True):
                axes.annotate(str(point[2]), point[:2], textcoords="offset points", xytext=(4, 4), fontsize=8)
    axes.set(
        xlabel="GFLOP (2 x MAC) at the frame of prediction", ylabel="network, ms per image", xscale="log", yscale="log"
    )
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measures, prints, writes the figures and the plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--backends", default="torch,onnxruntime,openvino")
    parser.add_argument("--half", action="store_true", help="also in 16 bits")
    parser.add_argument("--int8", type=Path, help="also in 8 bits, calibrated on the images of this folder")
    parser.add_argument("--size", type=int, nargs=2, default=(1080, 1920), help="height and width of the image")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--name", default="latency", help="name of the result file")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="measure nothing, draw what was stored under the name"
    )
    options = parser.parse_args()
    if options.plot is not None:
        stored = json.loads((RESULTS / f"{options.name}.json").read_text())
        plot(stored["figures"]["models"], options.plot)
        return
    np.random.seed(0)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        figures = {name: measure(name, options, Path(folder)) for name in options.models}
    print(write_result(options.name, {"image_hw": list(options.size), "masks": MASKS, "models": figures}))


if __name__ == "__main__":
    main()
