"""Ours beside torchvision's Mask R-CNN: one image in memory to masks of the image's size, in alternating rounds.

python benchmarks/peers.py [--rounds 5] [--device cpu]

Both with random weights, so the networks and the fixed part of the rest are compared; ours ends with the encoding of
100 masks like those of COCO's objects, theirs with the pasting of what it finds.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from latency import candidates_for, milliseconds
from record import write_result
from torchvision.models.detection import maskrcnn_resnet50_fpn

from sparseinst import load_model
from sparseinst.data.images import read_image
from sparseinst.data.prepare import prepare, stack
from sparseinst.inference.timing import sized
from sparseinst.modeling.postprocess import select
from sparseinst.runtime.backends import open_backend
from sparseinst.zoo.names import DEMO_IMAGE


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 853), help="height and width of the image")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = sized(DEMO_IMAGE, tuple(options.size), Path(folder))
        image = read_image(path, load_model("n", random_weights=True).config.preprocess.intensity)
    peer = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, min_size=640, max_size=864)
    peer.eval().to(options.device)
    work = {"torchvision Mask R-CNN ResNet-50-FPN": lambda: theirs(peer, image, options.device)}
    for name in ("r50-giam", "n", "s", "m"):
        network = load_model(name, random_weights=True)
        frame = prepare(image, network.config.preprocess).frame
        synthetic = candidates_for(network, frame)
        for backend in ("torch", "onnxruntime"):
            run = open_backend(network, name=backend, device=options.device)
            work[f"{name}, {backend}"] = lambda run=run, synthetic=synthetic: ours(run, image, synthetic)  # type: ignore[misc]
    times: dict[str, list[float]] = {name: [] for name in work}
    for number in range(-1, options.rounds):
        for name, call in work.items():
            spent = milliseconds(call)
            if number >= 0:
                times[name].append(spent)
    medians = {name: round(statistics.median(values), 1) for name, values in times.items()}
    print(medians)
    print(write_result("peers", {"image_hw": list(options.size), "rounds": options.rounds, "median_ms": medians}))


@torch.inference_mode()
def theirs(peer: torch.nn.Module, image: np.ndarray, device: str) -> object:
    """Mask R-CNN on one image."""
    pixels = torch.from_numpy(image).permute(2, 0, 1).to(device).float() / 255
    return peer([pixels])


def ours(run, image: np.ndarray, synthetic) -> object:
    """One image through a backend, then 100 masks to their encoding."""
    prepared = prepare(image, run.config.preprocess)
    run(*stack([prepared]))
    return select(synthetic, [prepared.frame], gate=0.0, mask_threshold=run.config.postprocess.mask_threshold)


if __name__ == "__main__":
    main()
