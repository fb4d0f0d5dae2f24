"""How far an exported file is from the network it was made from, and how far it may be."""

from pathlib import Path
from typing import NamedTuple

from sparseinst.errors import InputError
from sparseinst.runtime.exported import Precision


class Agreement(NamedTuple):
    """Differences between an exported file and the network; the first four are over all slots, or all seeds that pass
    the gate.

    An instance is a slot or seed that the network scores at least as its settings show, or one of its ten best. Seeds
    come best first, so rounding may change their order: each is compared with the one that is most like it.
    """

    images: int
    """Images compared."""
    raw_score: float
    """Largest difference of a score before rescoring, 0..1."""
    masks: float
    """Largest difference of a mask probability, 0..1."""
    labels: float
    """Share of them with another class, 0..1."""
    activation: float | None
    """Largest difference of an activation logit; None where the file has none."""
    instances: int
    """Instances compared."""
    found: float
    """Share of the instances that the file gives, too, 0..1."""
    iou: float
    """Mean IoU of their masks on the mask grid, 0..1."""
    score: float
    """Mean difference of their scores after rescoring, 0..1."""

    def table(self) -> list[tuple[str, str]]:
        """What was compared and how far it is apart, as text."""
        rows = [
            ("largest difference of a score before rescoring", f"{self.raw_score:.2g}"),
            ("largest difference of a mask probability", f"{self.masks:.2g}"),
            ("candidates with another class", f"{self.labels:.2%}"),
            ("instances that the file gives, too", f"{self.found:.2%}"),
            ("mean IoU of their masks", f"{self.iou:.4f}"),
            ("mean difference of their scores", f"{self.score:.2g}"),
        ]
        if self.activation is not None:
            rows.insert(2, ("largest difference of an activation logit", f"{self.activation:.2g}"))
        return rows


class Limits(NamedTuple):
    """How much of a difference is accepted; None is not judged."""

    found: float
    iou: float
    score: float
    raw_score: float | None = None
    masks: float | None = None
    labels: float | None = None

    def broken(self, agreement: Agreement) -> list[str]:
        """What is beyond the limits, as text."""
        least = [(name, getattr(agreement, name), getattr(self, name)) for name in ("found", "iou")]
        most = [
            (name, getattr(agreement, name), getattr(self, name)) for name in ("score", "raw_score", "masks", "labels")
        ]
        return [
            *(f"{name} {value:.4g} (at least {limit:g})" for name, value, limit in least if not value >= limit),
            *(
                f"{name} {value:.4g} (at most {limit:g})"
                for name, value, limit in most
                if limit is not None and not value <= limit  # a value that is no number is beyond every limit
            ),
        ]


LIMITS: dict[Precision, Limits] = {
    "fp32": Limits(found=0.999, iou=0.995, score=1e-3, raw_score=1e-3, masks=1e-2, labels=0.01),
    "fp16": Limits(found=0.95, iou=0.9, score=0.03),
    "int8": Limits(found=0.9, iou=0.8, score=0.08),
}
"""Precision of a file -> how far it may be from the network. Exact files differ by rounding alone."""


def check(agreement: Agreement, precision: Precision, path: Path) -> None:
    """Raises `InputError` when the agreement is beyond the limits of the precision."""
    broken = LIMITS[precision].broken(agreement)
    if broken:
        advice = "export at a higher precision" if precision != "fp32" else "report the network and this message"
        raise InputError(
            f"{path}: not written, expected the exported network to repeat the original within its limits, got "
            f"{'; '.join(broken)}: {advice}"
        )
