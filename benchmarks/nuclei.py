"""AP of the shipped `nuclei` weights on dsb2018 val, by image type, and their time per image on this machine.

python benchmarks/nuclei.py [--data ../shared/data/dsb2018] [--model nuclei] [--tile 256] [--name nuclei]
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from record import write_result

from sparseinst import Predictor, evaluate, load_model
from sparseinst.data.preprocess import stack

MAX_DETS = 300
RUNS = 15


def image_type(path: Path) -> str:
    """Kind of micrograph, told by its pixels: dark background, bright background in grey, or stained colours."""
    image = Image.open(path)
    if image.mode not in ("L", "I;16"):
        return "stained tissue or cells (colour)"
    return "fluorescence (grey, dark background)" if np.median(np.asarray(image)) < 128 else "bright field (grey)"


def milliseconds(predictor: Predictor, path: Path) -> dict[str, float]:
    """Median time of each part of a prediction from the decoded image on."""
    image = predictor.read(path)
    parts: dict[str, list[float]] = {"prepare": [], "network": [], "whole": []}
    for _ in range(RUNS + 2):
        start = time.perf_counter()
        prepared = predictor.prepare(image)
        ready = time.perf_counter()
        predictor.backend(*stack([prepared]))
        done = time.perf_counter()
        predictor(image)
        end = time.perf_counter()
        for name, seconds in (("prepare", ready - start), ("network", done - ready), ("whole", end - done)):
            parts[name].append(1000 * seconds)
    return {name: round(statistics.median(values[2:]), 1) for name, values in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dsb2018"))
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--tile", type=int, default=None, help="cut larger images into tiles of this side")
    parser.add_argument("--name", default="nuclei", help="name of the result file")
    options = parser.parse_args()
    annotations = options.data / "val.json"
    records = json.loads(annotations.read_text())["images"]
    folder = options.data / "val"
    groups = {record["id"]: image_type(folder / record["file_name"]) for record in records}
    model = load_model(options.model)
    found = evaluate(model, folder, annotations, max_dets=MAX_DETS, groups=groups, tile=options.tile)
    predictor = Predictor(model)
    sizes = {}  # of one pass, whatever the tiles
    for size in ((256, 256), (520, 696), (603, 1272)):
        record = next(record for record in records if (record["height"], record["width"]) == size)
        sizes[f"{size[0]}x{size[1]}"] = milliseconds(predictor, folder / record["file_name"])
    figures = {
        "data": "dsb2018 val",
        "tile": options.tile,
        "frame_hw": model.config.preprocess.frame_hw,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "evaluation": found.to_json(),
        "images_by_type": {name: list(groups.values()).count(name) for name in sorted(set(groups.values()))},
        "milliseconds_per_image_eager_float32": sizes,
        "threads": torch.get_num_threads(),
    }
    print(write_result(options.name, figures))
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
