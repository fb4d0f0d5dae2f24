"""From 20 annotated images to a network: how good it gets, and what its proposals save whoever corrects them.

    OMP_NUM_THREADS=1 python benchmarks/annotation_loop.py ../shared/data/dsb2018 --work /tmp/loop --iterations 120

Trains on 20 images, lets that network annotate the next 20, takes the published annotations of these as what a person
would have made of the proposals, trains on all 40 from where it was, and so on to 60 and 100. After each round AP on
the same validation images, which nothing is chosen by. It starts from ImageNet weights, for the weights that ship have
seen these images. A round that is there is taken.
"""

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from faster_coco_eval.core import mask as coco_mask
from record import write_result
from scipy.optimize import linear_sum_assignment

from sparseinst.data.segmentation import encode_segmentation
from sparseinst.inference.pipeline import Pipeline
from sparseinst.review.annotate import propose
from sparseinst.training.trainer import train

ROUNDS = "20,40,60,100"
EVERY = 3
"""Of the validation images one in so many is measured on."""
MOST_PX = 520
"""Longest side of the images that are taken; a few are larger."""
CROP_PX = 128
"""Side of the windows that are trained on, in network pixels: a step takes a quarter of the usual time."""
SEED = 0
RIGHT, NEAR = 0.75, 0.5
"""IoU with its object from which on a proposal is taken as it is, and from which on its outline is corrected."""

Content = dict[str, Any]


def subset(content: Content, images: list[Content]) -> Content:
    """Some of the images of a COCO file with their annotations."""
    ids = {image["id"] for image in images}
    kept = [item for item in content["annotations"] if item["image_id"] in ids and not item.get("iscrowd")]
    return {**content, "images": images, "annotations": kept}


def small(content: Content) -> list[Content]:
    """The images that are not too large for a short measurement."""
    return [image for image in content["images"] if max(image["height"], image["width"]) <= MOST_PX]


def write_round(work: Path, data: Path, content: Content, val: Content) -> Path:
    """What a round is trained and measured on."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "train.json").write_text(json.dumps(content))
    (work / "val.json").write_text(json.dumps(val))
    parts = {part: {"images": str((data / part).resolve()), "annotations": f"{part}.json"} for part in ("train", "val")}
    path = work / "data.yaml"
    path.write_text(yaml.safe_dump({"name": f"{len(content['images'])} images", **parts}))
    return path


def corrections(proposed: Content, truth: Content) -> dict[str, Any]:
    """What a person does with proposals until they are the published annotations.

    Returns:
        Objects, and how many proposals are right as they are, have an outline to correct, have to go, and how many
        objects have to be drawn. A proposal belongs to the object that it overlaps most, each to one.
    """
    names = {image["file_name"]: image["id"] for image in proposed["images"]}
    counts = dict.fromkeys(("objects", "right", "corrected", "deleted", "drawn"), 0)
    for image in truth["images"]:
        size_hw = (image["height"], image["width"])
        ours = encoded(proposed, names[image["file_name"]], size_hw)
        theirs = encoded(truth, image["id"], size_hw)
        overlaps = np.zeros((len(ours), len(theirs)))
        if ours and theirs:
            overlaps = np.asarray(coco_mask.iou(ours, theirs, [0] * len(theirs)))
        found = overlaps[linear_sum_assignment(-overlaps)]
        near = int((found >= NEAR).sum())
        right = int((found >= RIGHT).sum())
        for name, count in (
            ("objects", len(theirs)), ("right", right), ("corrected", near - right), ("deleted", len(ours) - near),
            ("drawn", len(theirs) - near),
        ):  # fmt: skip
            counts[name] += count
    return counts


def encoded(content: Content, image_id: int, size_hw: tuple[int, int]) -> list[Content]:
    """The masks of an image as run lengths."""
    records = [item for item in content["annotations"] if item["image_id"] == image_id]
    runs = [encode_segmentation(f"{item['id']}", item["segmentation"], size_hw) for item in records]
    return [{"size": list(size_hw), "counts": counts} for counts in runs if counts is not None]


def run_loop(data: Path, work: Path, rounds: tuple[int, ...], iterations: int) -> list[dict[str, Any]]:
    """All rounds; one that is there is taken."""
    content, val = (json.loads((data / f"{part}.json").read_bytes()) for part in ("train", "val"))
    val = subset(val, small(val)[::EVERY])
    pool = small(content)
    order = np.random.default_rng(SEED).permutation(len(pool))
    images = [pool[i] for i in order[: rounds[-1]].tolist()]
    weights: Path | None = None
    done: list[dict[str, Any]] = []
    for count, following in zip(rounds, [*rounds[1:], None], strict=True):
        folder, known = work / f"{count}", subset(content, images[:count])
        best, kept = folder / "run" / "best.safetensors", folder / "figures.json"
        if not kept.is_file():
            yaml_file = write_round(folder, data, known, val)
            figures = {"images": count, "objects": len(known["annotations"])}
            figures |= train_round(yaml_file, folder / "run", weights, iterations)
            if following is not None:
                truth = subset(content, images[count:following])
                figures["proposals"] = proposals(best, data, folder / "next", truth)
            kept.write_text(json.dumps(figures))
        done.append(json.loads(kept.read_text()))
        print(json.dumps(done[-1]), flush=True)
        weights = best
    return done


def train_round(data: Path, run: Path, weights: Path | None, iterations: int) -> dict[str, Any]:
    """Trains, and measures once, at the end."""
    shutil.rmtree(run, ignore_errors=True)
    began_s = time.process_time()
    result = train(
        data, "nuclei", run, init=weights, iterations=iterations, workers=0, precision="bf16", device="cpu", log=(),
        settings={"evaluate_every": 1_000_000, "augment.frame_hw": [CROP_PX, CROP_PX]},
    )  # fmt: skip
    assert result.evaluation is not None
    return {
        "cpu_seconds": round(time.process_time() - began_s),
        "ap": round(result.evaluation.ap, 4),
        "ap50": round(result.evaluation.ap50, 4),
    }


def proposals(weights: Path, data: Path, folder: Path, truth: Content) -> dict[str, Any]:
    """What the network proposes for images that it has not seen, against their published annotations."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for image in truth["images"]:
        shutil.copyfile(data / "train" / image["file_name"], folder / Path(image["file_name"]).name)
    _, proposed = propose(Pipeline(weights, device="cpu"), folder)
    return {"images": len(truth["images"]), **corrections(proposed, truth)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for the rounds")
    parser.add_argument("--iterations", type=int, default=120, help="steps of training in each round")
    parser.add_argument("--rounds", default=ROUNDS, help="images of each round")
    options = parser.parse_args()
    rounds = tuple(map(int, options.rounds.split(",")))
    figures = {
        "iterations_a_round": options.iterations, "validation_images_one_in": EVERY, "iou_right": RIGHT,
        "iou_near": NEAR, "most_px": MOST_PX, "crop_px": CROP_PX,
        "rounds": run_loop(options.data, options.work, rounds, options.iterations),
    }  # fmt: skip
    write_result("annotation_loop", figures)


if __name__ == "__main__":
    main()
