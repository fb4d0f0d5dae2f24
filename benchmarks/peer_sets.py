"""What the duel with Mask R-CNN is fought on: the data sets, our network for each, and the peer's settings."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.formats.source import DataSource
from sparseinst.recipe import Preset
from sparseinst.training.settings import apply_settings, with_classes
from sparseinst.zoo.names import load_preset

OURS, PEER = "ours", "maskrcnn-lite0"


@dataclass(frozen=True)
class PeerSettings:
    """What may be chosen for the peer.

    Args:
        optimiser: "adamw" or "sgd".
        lr: learning rate at the top of its schedule.
        channels: width of the pyramid and heads.
        rois: regions an image that the heads learn from.
        anchors_px: side of the anchors of each of the five levels.
    """

    optimiser: str
    lr: float
    channels: int
    rois: int
    anchors_px: tuple[int, ...]


@dataclass(frozen=True)
class DuelSet:
    """One data set of the duel.

    Args:
        preset: our network, whose recipe and preprocessing both contestants have.
        peer: the peer's settings.
        reason: why these.
        sizes_hw: images that prediction is timed on.
        settings: changes to the recipe, for both contestants.
    """

    preset: str
    peer: PeerSettings
    reason: str
    sizes_hw: tuple[tuple[int, int], ...]
    settings: Mapping[str, object] = field(default_factory=dict)


SETS = {
    "dsb2018": DuelSet(
        preset="nuclei",
        peer=PeerSettings("adamw", 1e-3, 128, 128, (8, 16, 32, 64, 128)),
        reason="optimiser, rate, width and regions: the best of the trials on these images, made in a frame of 384; "
        "rate and decay are also those of our recipe. Anchors: at native scale boxes of nuclei measure 5 to 62 px "
        "(first to 99th percentile, median 20) and overlap their best anchor by 0.69 (mean IoU); by 0.69 with sides "
        "from 4, 0.68 from 12, 0.61 from 16",
        sizes_hw=((256, 256), (520, 696)),
    ),
    "carparts": DuelSet(
        preset="lite",
        peer=PeerSettings("adamw", 1e-3, 128, 128, (12, 24, 48, 96, 192)),
        reason="optimiser, rate, width and regions: those of the nuclei, not tried anew here. Anchors: at 384 px boxes "
        "of parts measure 14 to 233 px (median 75) and overlap their best anchor by 0.68 (mean IoU); by 0.66 with "
        "sides from 16, 0.67 from 24, 0.62 from 32 (torchvision's)",
        sizes_hw=((512, 512), (1080, 1440)),
        settings={"augment.flip": 0.0},  # left and right are different classes
    ),
}
"""Name of the data's folder -> what is fought there."""


def preset_for(name: str, source: DataSource, seed: int) -> Preset:
    """Our preset for a data set, as both contestants take it: its classes, changes and seed."""
    chosen = SETS[name]
    preset = apply_settings(load_preset(chosen.preset), {**chosen.settings, "seed": seed})
    assert source.train is not None
    classes = CocoDataset.load(source.train.images, source.train.annotations).classes
    return preset if set(classes) == set(preset.model.classes) else with_classes(preset, classes)


def data_file(folder: Path, out: Path, *, limit: int | None = None, validation: bool = True) -> Path:
    """A data file of a folder's parts, with the first validation images only, or without any.

    Args:
        folder: the data set.
        out: folder for the file.
        limit: validation images kept; None keeps all.
        validation: whether there are any.
    """
    source = resolve_data(folder)
    assert source.train is not None and source.val is not None
    parts = {"train": source.train, "val": source.val} if validation else {"train": source.train}
    places = {
        part: {"images": str(split.images.resolve()), "annotations": str(split.annotations.resolve())}
        for part, split in parts.items()
    }
    if validation and limit is not None:
        annotations = out / "val.json"
        annotations.write_text(json.dumps(first_images(json.loads(source.val.annotations.read_text()), limit)))
        places["val"]["annotations"] = str(annotations.resolve())
    path = out / f"{folder.name}.yaml"
    path.write_text(yaml.safe_dump(places))
    return path


def first_images(content: dict, limit: int | None) -> dict:
    """An annotation file's content with its first images only."""
    images = content["images"][:limit]
    ids = {image["id"] for image in images}
    kept = [item for item in content["annotations"] if item["image_id"] in ids]
    return {**content, "images": images, "annotations": kept}
