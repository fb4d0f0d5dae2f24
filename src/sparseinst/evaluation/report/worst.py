"""The images where most goes wrong, and pictures of what is missed and what is false in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseinst.drawing.instances import draw_as, legible_scale
from sparseinst.evaluation.matching import Matches
from sparseinst.structures import Instances

FALSE_COLOUR, FOUND_COLOUR, MISSED_COLOUR = 0, 1, 2
"""Red, light blue and yellow in the palette of pictures, which colour-blind eyes tell apart, too."""


@dataclass(frozen=True)
class Outcome:
    """What became of one image at the default score.

    Args:
        image: its place in the annotation file.
        found: instances found at IoU 0.5.
        missed: instances not found.
        false: masks that took no instance.
        f1: 2 found / (2 found + missed + false), 0..1.
    """

    image: int
    found: int
    missed: int
    false: int
    f1: float


def worst_images(matches: Matches, *, score: float, limit: int) -> tuple[Outcome, ...]:
    """The images of lowest F1, among equals those with more mistakes first; none without a mistake.

    Args:
        matches: by class, of all scores.
        score: masks below it are not shown.
        limit: how many images at most.
    """
    shown = matches.scores >= score
    found = _per_image(matches.truth_image_of[matches.found_at >= score], matches.images)
    missed = _per_image(matches.truth_image_of, matches.images) - found
    false = _per_image(matches.image_of[shown & ~matches.right], matches.images)
    mistakes = missed + false
    f1 = 2 * found / np.maximum(2 * found + mistakes, 1)
    order = [int(image) for image in np.lexsort((-mistakes, f1)) if mistakes[image]]
    return tuple(
        Outcome(image, int(found[image]), int(missed[image]), int(false[image]), float(f1[image]))
        for image in order[:limit]
    )


def draw_outcome(
    pixels: NDArray[np.uint8],
    image: int,
    matches: Matches,
    truth: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    classes: Sequence[str],
    *,
    score: float,
) -> NDArray[np.uint8]:
    """A picture of an image with the masks found, the false ones, and the instances missed.

    Args:
        pixels: (H, W, 3) uint8 RGB of the image.
        image: its place in the annotation file.
        matches: of `truth` and `detections`, by class.
        truth: COCO annotations.
        detections: COCO results.
        classes: names by label; where there is more than one, masks are labelled.
        score: masks below it are not shown.

    Returns:
        (H * scale, W * scale, 3) uint8 RGB, small images enlarged.
    """
    shown = (matches.image_of == image) & (matches.scores >= score)
    missed = (matches.truth_image_of == image) & (matches.found_at < score)
    masks = [detections[i] for i in matches.records[shown].tolist()]
    masks += [truth["annotations"][i] for i in matches.truth_records[missed].tolist()]
    unscored = np.ones(np.count_nonzero(missed))  # their labels find room first: they are what one looks for
    instances = Instances(
        scores=np.concatenate([matches.scores[shown], unscored]).astype(np.float32),
        labels=np.concatenate([matches.labels[shown], matches.truth_labels[missed]]),
        rles=tuple(item["segmentation"]["counts"].encode("ascii") for item in masks),
        slots=np.arange(len(masks)),
        size_hw=(pixels.shape[0], pixels.shape[1]),
    )
    colours = np.full(len(masks), MISSED_COLOUR)
    colours[: len(masks) - len(unscored)] = np.where(matches.right[shown], FOUND_COLOUR, FALSE_COLOUR)
    names = [classes[label] if len(classes) > 1 else "" for label in instances.labels]
    texts = [
        f"{name} {item['score']:.2f}" if name and "score" in item else name
        for name, item in zip(names, masks, strict=True)
    ]
    return draw_as(pixels, instances, texts, colours, scale=legible_scale(instances.size_hw))


def _per_image(image_of: NDArray[np.int64], images: int) -> NDArray[np.int64]:
    return np.bincount(image_of, minlength=images)
