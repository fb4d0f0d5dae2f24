"""What decoding JPEG photographs at a fraction of their size saves in training, and how far their pixels differ.

python benchmarks/scaled_jpeg.py PHOTOS [--preset lite] [--rounds 3]

PHOTOS is a folder, searched with its subfolders. Each photograph is decoded whole and scaled, in turn, and brought to
the size of prediction; milliseconds are processor time of one thread, differences are of 8-bit values.
"""

import argparse
import statistics
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from record import write_result

from sparseinst.data.channels import read_pixels
from sparseinst.data.geometry import network_hw
from sparseinst.data.prepare import resize
from sparseinst.data.transforms import TrainTransform
from sparseinst.zoo.names import load_preset


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--preset", default="lite")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    preset = load_preset(options.preset)
    preprocess = preset.model.preprocess
    transform = TrainTransform(preset.recipe.augment, preprocess)
    photographs = sorted(path for path in options.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    scaled, means, highs, ratios, whole_ms, scaled_ms, megapixels = [], [], [], [], [], [], []
    for path in photographs:
        image_hw = read_pixels(path, preprocess).shape[:2]
        shrink = transform.shrink(image_hw)
        if shrink == 1:
            continue
        size, spent, shown = network_hw(image_hw, preprocess), {1: [], shrink: []}, {}
        for _ in range(options.rounds):
            for by in (1, shrink):
                start = time.process_time()
                pixels = torch.from_numpy(read_pixels(path, preprocess, shrink=by)).permute(2, 0, 1)
                shown[by] = resize(pixels, size).numpy().astype(np.int16)
                spent[by].append(1000 * (time.process_time() - start))
        apart = np.abs(shown[1] - shown[shrink])
        scaled.append(shrink)
        means.append(float(apart.mean()))
        highs.append(float(np.percentile(apart, 99)))
        megapixels.append(image_hw[0] * image_hw[1] / 1e6)
        whole_ms.append(min(spent[1]))
        scaled_ms.append(min(spent[shrink]))
        ratios.append(whole_ms[-1] / scaled_ms[-1])
    figures = {
        "preset": options.preset,
        "photographs": len(photographs),
        "decoded_scaled": {f"1/{k}": scaled.count(k) for k in sorted(set(scaled))},
        "megapixels": round(statistics.median(megapixels), 2),
        "whole_ms": round(statistics.median(whole_ms), 1),
        "scaled_ms": round(statistics.median(scaled_ms), 1),
        "times_faster": round(statistics.median(ratios), 1),
        "mean_difference": {"median": round(statistics.median(means), 2), "most": round(max(means), 2)},
        "difference_of_99_percent": {"median": statistics.median(highs), "most": max(highs)},
    }
    print(figures)
    print(write_result("scaled_jpeg", figures))


if __name__ == "__main__":
    main()
