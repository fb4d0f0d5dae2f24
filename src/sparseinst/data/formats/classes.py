"""Classes of data sets whose formats have no list of them: those of all parts, in one order for all of them."""

from collections.abc import Iterable

from sparseinst.data.formats import labelme, labels
from sparseinst.data.formats.source import DataSource, Split

_NAMES = {"labelme": labelme.names, "labels": labels.names}
"""Class names of a part: those that it lists, in their order, and others that objects have."""


def with_classes(source: DataSource) -> DataSource:
    """The data set with `classes` in every part whose format has no list of its own.

    Without such a list a part knows the classes of its own objects alone, and a network trained on one part would miss
    or number otherwise what another part holds.

    Raises:
        InputError: a list of classes cannot be read.
    """
    asking = {part: split for part, split in source.splits.items() if split.kind in _NAMES}
    classes = classes_of(asking.values())
    return source.model_copy(
        update={part: split.model_copy(update={"classes": classes}) for part, split in asking.items()}
    )


def classes_of(splits: Iterable[Split]) -> tuple[str, ...]:
    """Classes of some parts together: first what they list, in that order, then the others by name.

    Raises:
        InputError: a list of classes cannot be read.
    """
    listed: list[str] = []
    others: set[str] = set()
    for split in splits:
        own, more = _NAMES[split.kind](split)
        listed += [*split.classes, *own]
        others |= more
    return tuple(dict.fromkeys([*listed, *sorted(others)]))


def complete(split: Split) -> Split:
    """A part with `classes`: its own where those of the whole data set are not known."""
    if split.classes or split.kind not in _NAMES:
        return split
    return split.model_copy(update={"classes": classes_of([split])})
