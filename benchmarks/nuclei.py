"""A network on micrographs: AP by image type, what it shows at its default score, and time per image on this machine.

python benchmarks/nuclei.py [--data ../shared/data/dsb2018] [--split val] [--model nuclei] [--tile 256] [--scale 1.5]
    [--rescale 0.5,0.75,1.5,2] [--auto] [--every 2] [--name nuclei]

Each way (one pass, tiles of each size, one pass over images enlarged or shrunk first) is measured over all images. AP
counts all that is above the gate, at most 300 detections an image; the rest counts what reaches the default score:
precision, recall, F1 and TP / (TP + FP + FN) at IoU 0.5 to 0.9, panoptic quality, the mean AP of DSB 2018, errors of
counts and areas (see `sparseinst.evaluation.counting`), twins (detections that overlap another of their image with an
IoU above 0.5) and detections in pieces (more than one 8-connected component). A rescaled image stands for one of
another resolution: its masks are measured at the original size. With --auto each such way is measured as it is and
with diameters estimated, and the original size, too.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from peer_sets import first_images
from PIL import Image
from record import write_result

from sparseinst import Instances, Predictor, load_model
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.prepare import resize, stack
from sparseinst.evaluation.coco_eval import Scored, score_results
from sparseinst.evaluation.counting import count_objects
from sparseinst.evaluation.figures import nulled
from sparseinst.evaluation.oddities import oddities
from sparseinst.inference.writers import to_coco
from sparseinst.modeling.model import SparseInst
from sparseinst.runtime.backends import open_backend
from sparseinst.runtime.cache import can_convert

MAX_DETS = 300
RUNS, WARM_UP_RUNS = 15, 2
SIZES = ((256, 256), (520, 696), (1024, 1024))


class Way(NamedTuple):
    """How images are given to the network."""

    tile: int | None = None
    """Side of the tiles that larger images are cut into."""
    rescale: float = 1.0
    """Factor that images are enlarged by first."""
    auto: bool = False
    """Whether the diameter of objects is estimated for each image."""


def image_type(path: Path) -> str:
    """Kind of micrograph, told by its pixels: dark background, bright background in grey, or stained colours."""
    image = Image.open(path)
    if image.mode not in ("L", "I;16"):
        return "stained tissue or cells (colour)"
    return "fluorescence (grey, dark background)" if np.median(np.asarray(image)) < 128 else "bright field (grey)"


def found_in(dataset: CocoDataset, predictor: Predictor, rescale: float) -> Iterator[Instances]:
    """The instances of all images, with masks of the original size, whatever the images were rescaled by."""
    for index in range(len(dataset)):
        image = dataset.image(index, predictor.pipeline.preprocess)
        if rescale == 1:
            yield predictor(image)
            continue
        height, width = image.shape[:2]
        size = max(1, round(height * rescale)), max(1, round(width * rescale))
        rescaled = resize(torch.from_numpy(image).permute(2, 0, 1), size).permute(1, 2, 0).numpy()
        pipeline = predictor.pipeline
        prepared = pipeline.prepare(rescaled, pipeline.sized(rescaled))
        seen = prepared._replace(frame=prepared.frame._replace(original_hw=(height, width)))
        yield next(pipeline.batches().found([seen]))


def measure(
    model: SparseInst, dataset: CocoDataset, groups: Mapping[int, str], way: Way, scale: float | None
) -> dict[str, Any]:
    """AP and what is shown at the default score, over all images and by type."""
    diameter = "auto" if way.auto else None
    predictor = Predictor(model, score=0.0, tile=way.tile, scale=scale, diameter=diameter)
    dataset = dataset.remap(predictor.classes)
    results: list[dict[str, Any]] = []
    began = time.process_time()
    for image_id, found in zip(dataset.image_ids.tolist(), found_in(dataset, predictor, way.rescale), strict=True):
        results += to_coco(found, image_id, dataset.category_ids)
    spent = time.process_time() - began
    scored = score_results(
        dataset.annotations,
        results,
        max_dets=MAX_DETS,
        groups=groups,
    )
    score = model.config.postprocess.score
    return {
        **way._asdict(),
        "cpu_seconds_per_image": round(spent / len(dataset), 3),
        "evaluation": scored.evaluation.to_json(),
        "score": score,
        "at_score": shown_at(scored, score, groups),
    }


def shown_at(scored: Scored, score: float, groups: Mapping[int, str]) -> dict[str, Any]:
    """What is right, wrong, missed, found twice or in pieces at a score, over all images ("all") and by type.

    Args:
        scored: the evaluation, with its annotations and detections.
        score: lowest that is shown.
        groups: image id -> its type.
    """
    counts = count_objects(scored.truth, scored.detections, score=score, max_dets=MAX_DETS, groups=groups)
    figures = {}
    for name, found in {"all": counts.pooled, **counts.per_group}.items():
        mine = [item for item in scored.detections if name in ("all", groups[item["image_id"]])]
        odd = oddities(mine, score=score)
        figures[name] = {**rounded(asdict(found)), "twins": round(odd.twins, 4), "in_pieces": round(odd.pieces, 4)}
    return {"ious": counts.ious, **figures}


def rounded(figures: dict[str, Any]) -> dict[str, Any]:
    """Four digits of every number, null for what does not exist."""
    return {
        name: nulled([round(item, 4) for item in value] if isinstance(value, tuple) else round(value, 4))
        for name, value in figures.items()
    }


def image_of(size_hw: tuple[int, int], dataset: CocoDataset, predictor: Predictor) -> NDArray[np.uint8]:
    """The first image of this size; where there is none, the largest, mirrored at its borders and cut to it."""
    sizes = [dataset.size_hw(index) for index in range(len(dataset))]
    same = [index for index, size in enumerate(sizes) if size == size_hw]
    index = same[0] if same else max(range(len(sizes)), key=lambda index: sizes[index][0] * sizes[index][1])
    image = dataset.image(index, predictor.pipeline.preprocess)
    missing = [(0, max(0, want - side)) for want, side in zip(size_hw, image.shape, strict=False)]
    return np.ascontiguousarray(np.pad(image, [*missing, (0, 0)], mode="symmetric")[: size_hw[0], : size_hw[1]])


def milliseconds(predictor: Predictor, image: NDArray[np.uint8]) -> dict[str, float]:
    """Median time of each part of a prediction from the decoded image on, and the instances shown."""
    parts: dict[str, list[float]] = {"prepare": [], "network": [], "whole": []}
    found = 0
    for _ in range(WARM_UP_RUNS + RUNS):
        start = time.perf_counter()
        prepared = predictor.pipeline.prepare(image)
        ready = time.perf_counter()
        predictor.backend(*stack([prepared]))
        done = time.perf_counter()
        found = len(predictor(image))
        end = time.perf_counter()
        for name, seconds in (("prepare", ready - start), ("network", done - ready), ("whole", end - done)):
            parts[name].append(1000 * seconds)
    medians = {name: round(statistics.median(values[WARM_UP_RUNS:]), 1) for name, values in parts.items()}
    return {**medians, "instances": found}


def times(model: SparseInst, dataset: CocoDataset, scale: float | None) -> dict[str, dict[str, Any]]:
    """Times of one pass by image size and backend: PyTorch, and ONNX Runtime as the commands use it."""
    threads = torch.get_num_threads()
    result: dict[str, dict[str, Any]] = {}
    backends: dict[str, Any] = {"torch": model}
    if can_convert():
        backends["onnxruntime"] = open_backend(model, name="onnxruntime", threads=threads)
    for name, backend in backends.items():
        predictor = Predictor(backend, scale=scale)
        for size in SIZES:
            spent = milliseconds(predictor, image_of(size, dataset, predictor))
            result.setdefault(f"{size[0]}x{size[1]}", {})[name] = spent
            print(size, name, spent, flush=True)
    return result


def ways_of(options: argparse.Namespace) -> list[Way]:
    """One pass, then tiles, then rescaled images."""
    ways = [Way(), *(Way(tile=tile) for tile in options.tile)]
    for factor in (1.0, *options.rescale) if options.auto else options.rescale:
        ways += [Way(rescale=factor)] * (factor != 1) + [Way(rescale=factor, auto=True)] * options.auto
    return ways


def parse() -> argparse.Namespace:
    def numbers(kind: type) -> Any:
        return lambda text: [kind(part) for part in text.split(",") if part != "none"]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dsb2018"))
    parser.add_argument("--split", choices=("train", "val"), default="val")
    parser.add_argument("--model", default="nuclei", help="preset, or file of weights")
    parser.add_argument("--tile", type=numbers(int), default=[256], help="sides of tiles, with commas, or none")
    parser.add_argument("--rescale", type=numbers(float), default=[], help="factors of image sizes, with commas")
    parser.add_argument("--scale", type=float, help="network pixels for each pixel of the image, in all ways")
    parser.add_argument("--auto", action="store_true", help="measure estimated diameters, too")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth image")
    parser.add_argument("--no-times", action="store_true", help="leave the times out")
    parser.add_argument("--limit", type=int, help="images, to try the script")
    parser.add_argument("--name", default="nuclei", help="name of the result file")
    return parser.parse_args()


def main() -> None:
    options = parse()
    split = getattr(resolve_data(options.data), options.split)
    model = load_model(options.model)
    with tempfile.TemporaryDirectory() as folder:
        annotations = Path(folder) / "chosen.json"
        content = json.loads(split.annotations.read_text())
        content = first_images({**content, "images": content["images"][:: options.every]}, options.limit)
        annotations.write_text(json.dumps(content))
        dataset = CocoDataset.load(split.images, annotations)
        groups = {image["id"]: image_type(split.images / image["file_name"]) for image in content["images"]}
        figures: dict[str, Any] = {
            "data": f"{options.data.name} {options.split}",
            "model": Path(options.model).name,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "preprocess": model.config.preprocess.model_dump(mode="json"),
            "scale": options.scale,
            "threads": torch.get_num_threads(),
            "images_by_type": {name: list(groups.values()).count(name) for name in sorted(set(groups.values()))},
            "ways": [],
        }
        for way in ways_of(options):
            figures["ways"].append(measure(model, dataset, groups, way, options.scale))
            shown = figures["ways"][-1]
            print(way, {name: round(shown["evaluation"][name], 4) for name in ("ap", "ap50", "ap75")})
            print(json.dumps(shown["at_score"]), flush=True)
            path = write_result(options.name, figures)  # a run that is cut short keeps what it has
        if not options.no_times:
            figures["milliseconds_per_image"] = times(model, dataset, options.scale)
            path = write_result(options.name, figures)
    print(path)


if __name__ == "__main__":
    main()
