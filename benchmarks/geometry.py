"""What the assignment of objects to cells costs: objects without a cell, and objects that share one or come too close.

python benchmarks/geometry.py [--data dsb2018,carparts] [--splits train,val] [--name geometry]

Whole images at the scale of prediction, in the grids of the preset that is for each data set. A seed decoder keeps a
cell that is the largest of its 3x3 neighbourhood in its level (one filter over the best class of each cell), so of two
target cells in one neighbourhood one is lost. A filter for each class would lose only those of one class.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peer_sets import SETS, preset_for
from record import write_result
from torch.nn import functional as F

from sparseinst.batch import Targets
from sparseinst.config.network import SeedsConfig
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.resolving import resolve_data
from sparseinst.data.formats.source import Split
from sparseinst.data.geometry import network_hw
from sparseinst.data.seen import Seen
from sparseinst.data.targets import draw_targets
from sparseinst.modeling.seeds.assignment import assign, geometry, levels_of
from sparseinst.recipe import Preset


class Placed(NamedTuple):
    """Where an object's target cell is."""

    level: int
    row: int
    column: int
    label: int
    inside: bool
    """Whether the object covers more than half of it."""


def targets_of(dataset: CocoDataset, index: int, preset: Preset) -> Targets:
    """The training targets of a whole image at the scale of prediction."""
    size = network_hw(dataset.size_hw(index), preset.model.preprocess)
    image_hw = dataset.size_hw(index)
    seen = Seen.whole(image_hw).resize(size)
    return draw_targets(dataset.strips(index), seen, image_hw, dataset.labels(index), preset.model.mask_stride)


def placed(cells: torch.Tensor, labels: Sequence[int], levels: int) -> list[Placed]:
    """The target cells of the objects of one image, as the criterion assigns them.

    Args:
        cells: (T, h, w) masks on the finest grid, none of them empty.
        labels: T classes.
        levels: grids of seeds.
    """
    places, found = geometry(cells), []
    level_of = levels_of(places.diameter, levels)
    for level in level_of.unique().tolist():
        objects = (level_of == level).nonzero()[:, 0]
        own = assign(cells, places, objects, step=2**level)
        covered = F.avg_pool2d(cells[objects][:, None], 2**level)[:, 0].flatten(1)  # (t, h*w)
        inside = covered.gather(1, own.centre[:, None])[:, 0] > 0.5
        width = own.closeness.shape[-1]
        for place, number, within in zip(own.centre.tolist(), objects.tolist(), inside.tolist(), strict=True):
            found.append(Placed(level, *divmod(place, width), labels[number], within))
    return found


def close_pairs(objects: Sequence[Placed]) -> list[tuple[int, int]]:
    """Pairs of objects of one level whose target cells lie in one 3x3 neighbourhood; equal cells do, too."""
    by_cell: dict[tuple[int, int, int], list[int]] = {}
    for number, item in enumerate(objects):
        by_cell.setdefault(item[:3], []).append(number)
    pairs = [pair for members in by_cell.values() for pair in combinations(members, 2)]
    for (level, row, column), members in by_cell.items():
        for down, right in ((0, 1), (1, -1), (1, 0), (1, 1)):
            others = by_cell.get((level, row + down, column + right), [])
            pairs += [(one, other) for one in members for other in others]
    return pairs


def lost(pairs: Sequence[tuple[int, int]]) -> int:
    """Objects that cannot be kept if of each pair only one is: those of most pairs go first (greedy)."""
    left, gone = list(pairs), 0
    while left:
        worst, _ = Counter(number for pair in left for number in pair).most_common(1)[0]
        left, gone = [pair for pair in left if worst not in pair], gone + 1
    return gone


def counts(dataset: CocoDataset, preset: Preset) -> dict[str, Any]:
    """All counts of one split."""
    decoder = preset.model.decoder
    assert isinstance(decoder, SeedsConfig), "there is no assignment by place in another decoder"
    total: Counter[str] = Counter()
    by_level: Counter[int] = Counter()
    for index in range(len(dataset)):
        targets = targets_of(dataset, index, preset)
        annotated, labels = len(dataset.labels(index)), targets.labels.tolist()
        total += Counter(objects=annotated, without_any_mask_cell=annotated - len(labels))
        if not labels:
            continue
        cells = F.avg_pool2d(targets.masks[:, None].float(), 2)[:, 0]
        objects = placed(cells, labels, decoder.levels)
        pairs = close_pairs(objects)
        one_class = [(a, b) for a, b in pairs if objects[a].label == objects[b].label]
        same = [(a, b) for a, b in pairs if objects[a][:3] == objects[b][:3]]
        by_level.update(item.level for item in objects)
        total += Counter(
            no_cell_of_finest_grid_half_covered=int((cells.flatten(1).amax(1) <= 0.5).sum()),
            target_cell_not_half_covered=sum(not item.inside for item in objects),
            pairs_in_one_cell=len(same),
            pairs_in_one_cell_of_different_classes=len(set(same) - set(one_class)),
            pairs_in_one_3x3=len(pairs),
            pairs_in_one_3x3_of_different_classes=len(pairs) - len(one_class),
            objects_with_another_in_3x3=len({number for pair in pairs for number in pair}),
            lost_to_one_filter_over_classes=lost(pairs),
            lost_to_a_filter_for_each_class=lost(one_class),
        )
    figures: dict[str, Any] = {"images": len(dataset), **{name: total[name] for name in NAMES}}
    figures["objects_by_level"] = {str(level): by_level[level] for level in range(decoder.levels)}
    figures["share_lost_to_one_filter_over_classes"] = round(total[NAMES[-2]] / max(1, total["objects"]), 4)
    figures["share_lost_to_a_filter_for_each_class"] = round(total[NAMES[-1]] / max(1, total["objects"]), 4)
    return figures


NAMES = (
    "objects", "without_any_mask_cell", "no_cell_of_finest_grid_half_covered", "target_cell_not_half_covered",
    "pairs_in_one_cell", "pairs_in_one_cell_of_different_classes", "pairs_in_one_3x3",
    "pairs_in_one_3x3_of_different_classes", "objects_with_another_in_3x3", "lost_to_one_filter_over_classes",
    "lost_to_a_filter_for_each_class",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=",".join(SETS))
    parser.add_argument("--root", type=Path, default=Path("../shared/data"), help="where the data sets are")
    parser.add_argument("--splits", default="train,val")
    parser.add_argument("--name", default="geometry", help="name of the result file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    for name in options.data.split(","):
        source = resolve_data(options.root / name)
        preset = preset_for(name, source, 0)
        stride = preset.model.backbone.strides[0]
        figures[name] = {
            "preset": SETS[name].preset,
            "preprocess": preset.model.preprocess.model_dump(mode="json", exclude={"intensity", "mean", "std"}),
            "strides": [stride * 2**level for level in range(preset.model.decoder.levels)],
        }
        for part in options.splits.split(","):
            split: Split = getattr(source, part)
            dataset = CocoDataset.load(split.images, split.annotations).remap(preset.model.classes)
            figures[name][part] = counts(dataset, preset)
            print(name, part, json.dumps(figures[name][part]), flush=True)
    print(write_result(options.name, figures))


if __name__ == "__main__":
    main()
