"""Divides images into parts to train on, to choose by, and to measure on in the end: by groups, each class evenly."""

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from sparseinst.data.check.images import look_at, same_pictures
from sparseinst.data.coco import read_told
from sparseinst.data.formats.content import Content
from sparseinst.data.formats.source import DataSource
from sparseinst.errors import InputError

FOLDER = "folder"
"""As a group: images of one folder stay together."""


def merged(source: DataSource) -> tuple[Path, Content]:
    """All parts of a data set as one: categories meet by name, images and annotations are numbered anew.

    Returns:
        The folder that file names are relative to, and the records.
    """
    root = Path(os.path.commonpath([split.images.resolve() for split in source.splits.values()]))
    whole: Content = {"images": [], "annotations": [], "categories": []}
    ids: dict[str, int] = {}
    for split in source.splits.values():
        content = read_told(split)
        prefix = split.images.resolve().relative_to(root)
        category_of = {}
        for item in content["categories"]:
            key = ids.setdefault(item["name"], len(ids) + 1)
            category_of[item["id"]] = key
            if key > len(whole["categories"]):
                whole["categories"].append({**item, "id": key})
        image_of = {}
        for item in content["images"]:
            image_of[item["id"]] = len(whole["images"]) + 1
            name = (prefix / item["file_name"]).as_posix()
            whole["images"].append({**item, "id": image_of[item["id"]], "file_name": name})
        for item in content["annotations"]:
            keys = {"image_id": image_of[item["image_id"]], "category_id": category_of[item["category_id"]]}
            whole["annotations"].append({**item, "id": len(whole["annotations"]) + 1, **keys})
    return root, whole


def split_content(
    root: Path,
    content: Content,
    shares: Mapping[str, float],
    *,
    group: str | None = None,
    seed: int = 0,
    on_image: Callable[[], None] = lambda: None,
) -> dict[str, Content]:
    """Divides records into parts of which each has about its share of the objects of every class.

    Pictures that are the same (scaled, compressed anew) stay together, whatever the groups.

    Args:
        root: folder that file names are relative to.
        content: the records.
        shares: of each part, above 0, 1 together.
        group: a regular expression whose match in the file name (its first group, where it has one) says which images
            stay together, such as "patient[0-9]+"; or "folder". None keeps together what is the same picture alone.
        seed: decides among what is equally good.
        on_image: called after each image that was looked at.

    Raises:
        InputError: the shares are none, the expression is none, or there are fewer groups than parts.
    """
    check_shares(shares)
    pattern = grouping(group)
    images = content["images"]
    looks = []
    for item in images:
        looks.append(look_at(root / item["file_name"]))
        on_image()
    groups = _groups([item["file_name"] for item in images], group, pattern, same_pictures(looks))
    if groups.max(initial=-1) + 1 < len(shares):
        raise InputError(
            f"expected at least {len(shares)} groups of images for as many parts, got {groups.max(initial=-1) + 1}: "
            "choose another group"
        )
    part_of = _assigned(_counts(content, groups), list(shares.values()), seed)[groups]
    return {part: _chosen(content, part_of == number) for number, part in enumerate(shares)}


def check_shares(shares: Mapping[str, float]) -> None:
    """Checks how images are to be divided.

    Raises:
        InputError: a share is not above 0, or they are not 1 together.
    """
    if any(not share > 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        raise InputError(f"shares: expected parts above 0 that are 1 together, got {dict(shares)}: correct them")


def grouping(group: str | None) -> re.Pattern[str] | None:
    """The expression that says which images belong together; None of None and of folders.

    Raises:
        InputError: it is none.
    """
    if group is None or group == FOLDER:
        return None
    try:
        return re.compile(group)
    except re.error as error:
        raise InputError(f"group {group!r}: expected a regular expression ({error}): correct it") from error


def _groups(
    names: Sequence[str], group: str | None, pattern: re.Pattern[str] | None, same: Sequence[tuple[int, int]]
) -> NDArray[np.int64]:
    """(n,) number of each image's group."""
    keys: list[object] = list(range(len(names)))
    if group == FOLDER:
        keys = [os.path.dirname(name) for name in names]  # noqa: PTH120 - names of a file, not paths of this machine
    elif pattern is not None:
        found = [pattern.search(name) for name in names]
        if not any(found):
            raise InputError(
                f"group {group!r}: expected a match in file names such as {names[0]}, got none: correct it"
            )
        keys = [i if match is None else match.group(match.re.groups and 1) for i, match in enumerate(found)]
    first: dict[object, int] = {}
    links = [(first.setdefault(key, i), i) for i, key in enumerate(keys)] + [tuple(pair) for pair in same]
    ones, others = np.array(links, np.int64).reshape(-1, 2).T
    graph = sparse.coo_array((np.ones(len(ones), np.int8), (ones, others)), shape=(len(names),) * 2)
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _counts(content: Content, groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """(groups, classes + 1) parts of all objects of each class, and of all images, that each group has."""
    row_of = {item["id"]: row for row, item in enumerate(content["images"])}
    column_of = {item["id"]: column for column, item in enumerate(content["categories"])}
    counts = np.zeros((int(groups.max()) + 1, len(column_of) + 1))
    counts[:, -1] = np.bincount(groups, minlength=len(counts))
    for (image, category), number in Counter(
        (item["image_id"], item["category_id"]) for item in content["annotations"] if not item.get("iscrowd")
    ).items():
        counts[groups[row_of[image]], column_of[category]] += number
    shares: NDArray[np.float64] = counts / np.maximum(counts.sum(0), 1)
    return shares


def _assigned(counts: NDArray[np.float64], shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """(groups,) part of each: those that weigh most first, each where what it holds is missing most."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order].max(1), kind="stable")]
    wanted = np.array(shares)
    have = np.zeros((len(shares), counts.shape[1]))
    parts = np.zeros(len(counts), np.int64)
    for group in order:
        missing = (wanted[:, None] - have) / wanted[:, None]
        parts[group] = int(np.argmax(missing @ counts[group]))
        have[parts[group]] += counts[group]
    return parts


def _chosen(content: Content, keep: NDArray[np.bool_]) -> dict[str, Any]:
    images = [item for item, stay in zip(content["images"], keep, strict=True) if stay]
    keys = {item["id"] for item in images}
    annotations = [item for item in content["annotations"] if item["image_id"] in keys]
    return {"images": images, "annotations": annotations, "categories": content["categories"]}
