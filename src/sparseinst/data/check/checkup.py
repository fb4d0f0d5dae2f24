"""A data set looked through from end to end."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sparseinst.config.model import ModelConfig
from sparseinst.config.preprocess import NativeConfig
from sparseinst.data.check.channels import check_channels
from sparseinst.data.check.findings import Finding, Findings
from sparseinst.data.check.images import Look, look_at, same_pictures
from sparseinst.data.check.masks import check_classes, check_masks
from sparseinst.data.check.records import Tidy, tidy
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.content import Notes
from sparseinst.data.formats.reading import read_content
from sparseinst.data.formats.source import DataSource, Split
from sparseinst.data.geometry import frame_hw, network_hw
from sparseinst.data.orientation import oriented
from sparseinst.data.records import parse_records
from sparseinst.data.sizes import ObjectSizes, describe_sizes, measure_sizes
from sparseinst.errors import InputError
from sparseinst.files import is_file
from sparseinst.masks import rle


@dataclass(frozen=True)
class CheckedPart:
    """One part of a data set.

    Args:
        name: train, val or test.
        split: where it lies.
        kept: what can be kept of it.
        dataset: the same, packed; None where nothing is left.
    """

    name: str
    split: Split
    kept: Tidy
    dataset: CocoDataset | None


@dataclass(frozen=True)
class Checkup:
    """What was found.

    Args:
        source: the data set.
        findings: part by part.
        parts: what can be kept of each.
        sizes: of the objects that are trained on (of the first part); None where there are none.
        advice: lines on channels, the sizes of objects, and what suits them.
    """

    source: DataSource
    findings: tuple[Finding, ...]
    parts: tuple[CheckedPart, ...]
    sizes: ObjectSizes | None
    advice: tuple[str, ...]

    @property
    def errors(self) -> int:
        """How many things are wrong that stop training or lose something."""
        return sum(len(finding.spots) for finding in self.findings if finding.level == "error")


def check_data(source: DataSource, model: ModelConfig, *, on_image: Callable[[], None] = lambda: None) -> Checkup:
    """Looks through records, masks and images of all parts.

    Args:
        source: from `resolve_data`.
        model: the network that is meant to be trained: what size it sees objects at, and how many it finds.
        on_image: called after each image that was read.

    Raises:
        InputError: a part cannot be read at all.
    """
    found: dict[str, Findings] = {}
    kept: dict[str, Tidy] = {}
    looks: dict[str, list[Look]] = {}
    for name, split in source.splits.items():
        found[name] = findings = Findings(name)
        content = read_content(split, notes := Notes())
        _note(notes, findings)
        tidied = check_masks(tidy(content, findings), findings)
        kept[name], looks[name] = _check_images(tidied, split, findings, on_image)
    odd, channels = check_channels({name: _named(kept[name], looks[name]) for name in kept}, found)
    _check_same(kept, looks, found)
    kept = {name: tidied.without_images(odd[name]) for name, tidied in kept.items()}
    parts = []
    for name, split in source.splits.items():
        check_classes(kept[name], found[name], trained_on=name == next(iter(kept)))
        parts.append(CheckedPart(name, split, kept[name], _dataset(split, kept[name])))
        if parts[-1].dataset is not None:
            _check_room(parts[-1].dataset, model, found[name])
    first = parts[0].dataset
    sizes = None if first is None or not first.instances else measure_sizes(first)
    advice = () if sizes is None else tuple(describe_sizes(sizes, model.preprocess))
    if sizes is not None and isinstance(model.preprocess, NativeConfig):
        advice = (*advice, _diameter(sizes))
    if channels is not None:
        advice = (channels, *advice)
    findings_all = tuple(finding for name in found for finding in found[name].all())
    return Checkup(source, findings_all, tuple(parts), sizes, advice)


def _note(notes: Notes, findings: Findings) -> None:
    for path, message in notes.broken:
        kind = "missing image" if "found none" in message else "broken annotation file"
        findings.add(kind, path.name, message)
    for what, where in notes.left_out.items():
        for name in where:
            findings.add("left out", name, what)


def _check_images(
    kept: Tidy, split: Split, findings: Findings, on_image: Callable[[], None]
) -> tuple[Tidy, list[Look]]:
    """Reads every image; what cannot be read, or has another size than stated, goes."""
    bad: set[str] = set()
    looks: list[Look] = []
    for record in kept.images:
        name, path = record["file_name"], split.images / record["file_name"]
        if not is_file(path):
            findings.add("missing image", name)
            bad.add(name)
            continue
        look = look_at(path)
        on_image()
        stated = (record["height"], record["width"])
        if look.size_hw is None:
            findings.add("broken image", name, look.error)
            bad.add(name)
        elif stated != look.size_hw and stated == look.stored_hw:
            findings.add("rotated by EXIF", name, f"orientation {look.orientation}")
            _turn(kept, record, look)
            looks.append(look)
        elif stated != look.size_hw:
            findings.add("size other than stated", name, f"{stated} stated, {look.size_hw} found (height, width)")
            bad.add(name)
        else:
            if look.orientation != 1 and look.stored_hw == look.size_hw and split.kind == "coco":
                findings.add("may be rotated by EXIF", name, f"orientation {look.orientation}")
            looks.append(look)
    return kept.without_images(bad), looks


def _turn(kept: Tidy, record: dict[str, object], look: Look) -> None:
    """Turns the masks of an image, which are those of the image as it is stored, to how it is shown."""
    assert look.stored_hw is not None and look.size_hw is not None
    for place, item in enumerate(kept.annotations):
        if item["image_id"] != record["id"]:
            continue
        (mask,) = rle.decode([kept.masks[place]], look.stored_hw)
        (counts,) = rle.encode(np.ascontiguousarray(oriented(mask, look.orientation), bool)[None])
        kept.masks[place] = counts
        item["segmentation"] = {"size": list(look.size_hw), "counts": counts.decode("ascii")}
    record["height"], record["width"] = look.size_hw


def _named(kept: Tidy, looks: list[Look]) -> dict[str, int]:
    """How many channels each image has, by its name."""
    return {item["file_name"]: look.channels for item, look in zip(kept.images, looks, strict=True)}


def _check_same(kept: dict[str, Tidy], looks: dict[str, list[Look]], found: dict[str, Findings]) -> None:
    """Pictures that are there twice; those of an earlier part that are in a later one go."""
    owners = [(part, item["file_name"]) for part, tidied in kept.items() for item in tidied.images]
    order = list(kept)
    leaked: dict[str, set[str]] = {part: set() for part in kept}
    groups: dict[int, list[tuple[str, str]]] = {}
    for one, twin in same_pictures([look for part in kept for look in looks[part]]):
        groups.setdefault(one, [owners[one]]).append(owners[twin])
    for group in groups.values():
        last, last_name = max(group, key=lambda owner: order.index(owner[0]))
        for part in dict.fromkeys(part for part, _ in group):
            name, *others = [name for owner, name in group if owner == part]
            for copy in others:
                found[part].add("same image twice", name, f"and {copy}", other=(part, copy))
            for leak in [name, *others] if part != last else ():
                text = f"in {part}, and {last_name} in {last}"
                found[part].add("leak between parts", leak, text, other=(last, last_name))
                leaked[part].add(leak)
    for part, names in leaked.items():
        kept[part] = kept[part].without_images(names)


def _dataset(split: Split, kept: Tidy) -> CocoDataset | None:
    try:
        records = parse_records(split.annotations, kept.content())
    except InputError:  # nothing is left, which the findings say
        return None
    classes = np.arange(len(records.classes))
    return CocoDataset(split.images, split.annotations, records.classes, records.category_ids, records, classes)


def _check_room(dataset: CocoDataset, model: ModelConfig, findings: Findings) -> None:
    """Images with more objects than the network finds in one pass."""
    for index in range(len(dataset)):
        most = model.decoder.most_instances(frame_hw(network_hw(dataset.size_hw(index), model.preprocess)))
        objects = len(dataset.labels(index))
        if objects > most:
            name = dataset.name(index)
            findings.add("more objects than a network finds", name, f"{objects} objects, room for {most}")


def _diameter(sizes: ObjectSizes) -> str:
    return (
        "for a network at native scale that was trained on other objects (predict, evaluate, serve): "
        f"--diameter {sizes.median_px:.0f}"
    )
