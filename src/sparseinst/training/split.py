"""Training images that are set aside to validate on, where a data set has no validation images."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.content import Notes
from sparseinst.data.formats.reading import read_content
from sparseinst.data.formats.source import Split
from sparseinst.files import atomic
from sparseinst.parsing import read_json

HELD_OUT = "validation.json"
"""The annotations of the images that were set aside, in the folder of the run."""

_LEAST, _MOST = 20, 500
"""Images set aside: not fewer than the first, unless that is more than a fifth, and not more than the second."""


class HeldOut(NamedTuple):
    """A data set in two."""

    training: CocoDataset
    validation: CocoDataset


def hold_out(dataset: CocoDataset, share: float) -> HeldOut | None:
    """Sets aside a share of the images: the same ones of the same data set every time.

    Args:
        dataset: all images.
        share: in 0..1; 0 sets none aside.

    Returns:
        Both parts in the order of the file; None where nothing is to be set aside or there are fewer than five images.
    """
    fifth = len(dataset) // 5
    if not share or not fifth:
        return None
    count = min(_MOST, max(round(share * len(dataset)), min(_LEAST, fifth)))
    order = np.random.default_rng(0).permutation(len(dataset))
    return _parts(dataset, set(order[:count].tolist()))


def held_out_before(dataset: CocoDataset, file: Path) -> HeldOut:
    """The parts that a run was begun with, by the file that `write_held_out` wrote."""
    ids = {image["id"] for image in read_json(file, expected="the images that a run set aside")["images"]}
    return _parts(dataset, {index for index, key in enumerate(dataset.image_ids.tolist()) if key in ids})


def write_held_out(folder: Path, validation: CocoDataset, source: Split) -> Split:
    """Writes the annotations of what was set aside to the folder of a run; the images stay where they are.

    Args:
        folder: of the run.
        validation: what was set aside.
        source: where it was set aside from.
    """
    content = read_content(source, Notes())
    ids = set(validation.image_ids.tolist())
    content["images"] = [image for image in content["images"] if image["id"] in ids]
    content["annotations"] = [record for record in content["annotations"] if record["image_id"] in ids]
    with atomic(folder / HELD_OUT) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
    return Split(images=validation.images_dir, annotations=folder / HELD_OUT)


def _parts(dataset: CocoDataset, aside: set[int]) -> HeldOut:
    every: Sequence[int] = range(len(dataset))
    return HeldOut(
        dataset.only([index for index in every if index not in aside]),
        dataset.only([index for index in every if index in aside]),
    )
