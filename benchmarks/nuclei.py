"""A network on micrographs: AP by image type, what it shows at its default score, and time per image on this machine.

python benchmarks/nuclei.py [--data ../shared/data/dsb2018] [--split val] [--model nuclei] [--tile 256] [--scale 1.5]
    [--rescale 0.5,0.75,1.5,2] [--name nuclei]

Each way (one pass, tiles of each size, one pass over images enlarged or shrunk first) is measured over all images. AP
counts all that is above the gate, at most 300 detections an image; the rest counts what reaches the default score:
precision, recall, F1 and TP / (TP + FP + FN) at IoU 0.5, twins (detections that overlap another of their image with an
IoU above 0.5) and detections in pieces (more than one 8-connected component). A rescaled image stands for one of
another resolution: its masks are measured at the original size.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray
from peer_sets import first_images
from PIL import Image
from record import write_result

from sparseinst import Instances, Predictor, load_model
from sparseinst.data import CocoDataset
from sparseinst.data.formats import resolve_data
from sparseinst.data.geometry import prepare, resize, stack
from sparseinst.evaluation.coco_eval import Scored, score_results
from sparseinst.evaluation.matching import match
from sparseinst.inference import to_coco
from sparseinst.masks import rle
from sparseinst.modeling import SparseInst
from sparseinst.runtime import open_backend
from sparseinst.runtime.cache import can_convert, keep_converted

MAX_DETS = 300
TWIN_IOU = 0.5
RUNS, WARM_UP_RUNS = 15, 2
SIZES = ((256, 256), (520, 696), (1024, 1024))


class Way(NamedTuple):
    """How images are given to the network."""

    tile: int | None = None
    """Side of the tiles that larger images are cut into."""
    rescale: float = 1.0
    """Factor that images are enlarged by first."""


def image_type(path: Path) -> str:
    """Kind of micrograph, told by its pixels: dark background, bright background in grey, or stained colours."""
    image = Image.open(path)
    if image.mode not in ("L", "I;16"):
        return "stained tissue or cells (colour)"
    return "fluorescence (grey, dark background)" if np.median(np.asarray(image)) < 128 else "bright field (grey)"


def found_in(dataset: CocoDataset, predictor: Predictor, rescale: float) -> Iterator[Instances]:
    """The instances of all images, with masks of the original size, whatever the images were rescaled by."""
    for index in range(len(dataset)):
        image = dataset.image(index, predictor.pipeline.preprocess.intensity)
        if rescale == 1:
            yield predictor(image)
            continue
        height, width = image.shape[:2]
        size = max(1, round(height * rescale)), max(1, round(width * rescale))
        rescaled = resize(torch.from_numpy(image).permute(2, 0, 1), size).permute(1, 2, 0).numpy()
        prepared = prepare(rescaled, predictor.pipeline.preprocess)
        original = prepared._replace(frame=prepared.frame._replace(original_hw=(height, width)))
        yield from predictor.pipeline.batches().found([original])


def measure(
    model: SparseInst, dataset: CocoDataset, groups: Mapping[int, str], way: Way, scale: float | None
) -> dict[str, Any]:
    """AP and what is shown at the default score, over all images and by type."""
    predictor = Predictor(model, score=0.0, tile=way.tile, scale=scale)
    dataset = dataset.remap(predictor.classes)
    results: list[dict[str, Any]] = []
    began = time.process_time()
    for image_id, found in zip(dataset.image_ids.tolist(), found_in(dataset, predictor, way.rescale), strict=True):
        results += to_coco(found, image_id, dataset.category_ids)
    spent = time.process_time() - began
    scored = score_results(dataset.annotations, results, max_dets=MAX_DETS, groups=groups)
    score = model.config.postprocess.score
    return {
        **way._asdict(),
        "cpu_seconds_per_image": round(spent / len(dataset), 3),
        "evaluation": scored.evaluation.to_json(),
        "score": score,
        "at_score": shown_at(scored, score, groups),
    }


def shown_at(scored: Scored, score: float, groups: Mapping[int, str]) -> dict[str, dict[str, float]]:
    """What is right, wrong, found twice or in pieces at a score, over all images ("all") and by type.

    Args:
        scored: the evaluation, with its annotations and detections.
        score: lowest that is shown.
        groups: image id -> its type.
    """
    shown = [item for item in scored.detections if item["score"] >= score]
    matches = match(scored.truth, shown, max_dets=MAX_DETS, min_score=score)
    ids = np.array([image["id"] for image in scored.truth["images"]])
    of_record = np.array([item["image_id"] for item in shown], np.int64)
    twin, pieces = twins(shown), in_pieces(shown)
    figures = {}
    for name in ("all", *sorted(set(groups.values()))):
        members = [image_id for image_id in ids.tolist() if name in ("all", groups[image_id])]
        right = int((matches.right & np.isin(ids[matches.image_of], members)).sum())
        counted = int(np.isin(ids[matches.image_of], members).sum())
        objects = int(np.isin(ids[matches.truth_image_of], members).sum())
        mine = np.isin(of_record, members)
        figures[name] = {
            "images": len(members),
            "objects": objects,
            "detections": int(mine.sum()),
            "precision": share(right, counted),
            "recall": share(right, objects),
            "f1": share(2 * right, counted + objects),
            "tp_of_tp_fp_fn": share(right, counted + objects - right),
            "twins": share(int(twin[mine].sum()), int(mine.sum())),
            "in_pieces": share(int(pieces[mine].sum()), int(mine.sum())),
        }
    return figures


def share(part: int, whole: int) -> float:
    """Four digits of a quotient, 0 of nothing."""
    return round(part / whole, 4) if whole else 0.0


def twins(detections: Sequence[Mapping[str, Any]]) -> NDArray[np.bool_]:
    """(n,) whether each overlaps another of its image with an IoU above `TWIN_IOU`."""
    doubled, of_image = np.zeros(len(detections), bool), {}
    for number, item in enumerate(detections):
        of_image.setdefault(item["image_id"], []).append(number)
    for members in of_image.values():
        masks = [detections[number]["segmentation"] for number in members]
        ious = np.array(coco_mask.iou(masks, masks, [False] * len(masks)), np.float64)
        np.fill_diagonal(ious, 0)
        doubled[members] = (ious > TWIN_IOU).any(axis=1)
    return doubled


def in_pieces(detections: Sequence[Mapping[str, Any]]) -> NDArray[np.bool_]:
    """(n,) whether each mask has more than one 8-connected component."""
    several = np.zeros(len(detections), bool)
    for number, item in enumerate(detections):
        counts, size = item["segmentation"]["counts"], item["segmentation"]["size"]
        mask, _ = rle.cutout(counts.encode() if isinstance(counts, str) else counts, tuple(size))
        several[number] = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] > 2  # and background
    return several


def image_of(size_hw: tuple[int, int], dataset: CocoDataset, predictor: Predictor) -> NDArray[np.uint8]:
    """The first image of this size; where there is none, the largest, mirrored at its borders and cut to it."""
    sizes = [dataset.size_hw(index) for index in range(len(dataset))]
    same = [index for index, size in enumerate(sizes) if size == size_hw]
    index = same[0] if same else max(range(len(sizes)), key=lambda index: sizes[index][0] * sizes[index][1])
    image = dataset.image(index, predictor.pipeline.preprocess.intensity)
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
    threads, result = torch.get_num_threads(), {}
    with tempfile.TemporaryDirectory() as folder:
        backends: dict[str, Any] = {"torch": model}
        if can_convert():
            keep_converted(Path(folder) / "model.onnx", model)
            backends["onnxruntime"] = open_backend(Path(folder) / "model.onnx", device="cpu", threads=threads)
        for name, backend in backends.items():
            predictor = Predictor(backend, scale=scale)
            for size in SIZES:
                spent = milliseconds(predictor, image_of(size, dataset, predictor))
                result.setdefault(f"{size[0]}x{size[1]}", {})[name] = spent
                print(size, name, spent, flush=True)
    return result


def ways_of(options: argparse.Namespace) -> list[Way]:
    """One pass, then tiles, then rescaled images."""
    return [Way(), *(Way(tile=tile) for tile in options.tile), *(Way(rescale=factor) for factor in options.rescale)]


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
        content = first_images(json.loads(split.annotations.read_text()), options.limit)
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
