"""The kinds of things that may be wrong with a data set."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Level = Literal["error", "warning", "note"]
"""Training stops or loses something; a network will learn worse or look better than it is; worth knowing."""


class Kind(NamedTuple):
    """One kind of finding: how bad it is, what to do, and what `--fix` does about it (empty: nothing)."""

    level: Level
    advice: str
    fix: str = ""


KINDS: dict[str, Kind] = {
    "missing image": Kind("error", "restore the file or remove its record", "left out"),
    "broken image": Kind("error", "replace the file", "left out"),
    "broken annotation file": Kind("error", "correct the file", "left out"),
    "size other than stated": Kind("error", "correct the record", "left out"),
    "other channels than most": Kind(
        "error", "training takes images of one number of channels: keep one kind, or save all alike", "left out"
    ),
    "rotated by EXIF": Kind(
        "error",
        "the annotations are those of the image as it is stored, while it is shown turned",
        "annotations are turned, too",
    ),
    "may be rotated by EXIF": Kind("warning", "look whether its masks lie where they should"),
    "malformed record": Kind("error", "correct it", "left out"),
    "id used twice": Kind("error", "renumber", "renumbered"),
    "annotation of no image or category": Kind("error", "add what is missing or remove it", "left out"),
    "mask without a pixel": Kind("error", "correct or remove it", "left out"),
    "object annotated twice": Kind("warning", "remove one of the two", "the second is left out"),
    "one mask, two classes": Kind("warning", "decide on a class"),
    "mask that reaches out of the image": Kind("warning", "what lies outside is cut off; look whether it is in place"),
    "polygon that crosses itself": Kind("warning", "parts of it may count as outside; draw it again"),
    "tiny mask": Kind("warning", "below what a network can learn from; remove it if it is a slip"),
    "same image twice": Kind("warning", "keep one of them, or keep both in one part"),
    "leak between parts": Kind(
        "error", "the same image is trained on and measured on", "left out of the earlier of the two parts"
    ),
    "parent class of Roboflow": Kind("note", "it has no object and is left out", "left out"),
    "unused category": Kind("note", "no object is of it: a network would learn nothing of it"),
    "rare class": Kind("warning", "too few to learn from: annotate more, or leave the class out"),
    "class imbalance": Kind("note", "the frequent class decides what is learnt"),
    "more objects than a network finds": Kind("warning", "raise decoder.candidates (or slots), or predict in tiles"),
    "image without objects": Kind("note", "fine as background; look whether it was forgotten"),
    "crowd region": Kind(
        "note",
        "ignored where it is measured, never an object; CVAT writes what was drawn with the brush so: set iscrowd to 0 "
        "if these are objects",
    ),
    "left out": Kind("note", "no object that could be learnt from"),
}
"""By name, in the order of reports."""


class Spot(NamedTuple):
    """One place where something is wrong.

    Args:
        image: file name.
        text: what came, where that helps.
        counts: masks to show, compressed; none for the image as a whole.
        other: the image that is the same: its part and file name.
    """

    image: str
    text: str = ""
    counts: tuple[bytes, ...] = ()
    other: tuple[str, str] | None = None


@dataclass(frozen=True)
class Finding:
    """All of one kind in one part of the data.

    Args:
        kind: one of `KINDS`.
        part: train, val or test.
        spots: where.
    """

    kind: str
    part: str
    spots: tuple[Spot, ...]

    @property
    def level(self) -> Level:
        """How bad it is."""
        return KINDS[self.kind].level


@dataclass
class Findings:
    """Collects spots by kind for one part."""

    part: str
    found: dict[str, list[Spot]] = field(default_factory=dict)

    def add(
        self,
        kind: str,
        image: str,
        text: str = "",
        counts: Iterable[bytes] = (),
        *,
        other: tuple[str, str] | None = None,
    ) -> None:
        """One more."""
        assert kind in KINDS, kind
        self.found.setdefault(kind, []).append(Spot(image, text, tuple(counts), other))

    def all(self) -> list[Finding]:
        """In the order of `KINDS`."""
        return [Finding(kind, self.part, tuple(self.found[kind])) for kind in KINDS if kind in self.found]
