"""How far an exported file is from the network it was made from, on real images."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparseinst.config import ModelConfig, PostprocessConfig
from sparseinst.data.preprocess import Prepared, prepare, read_image, stack
from sparseinst.errors import InputError
from sparseinst.export.images import read_prepared
from sparseinst.inference import Backend
from sparseinst.inference.exported import Precision
from sparseinst.structures import Candidates
from sparseinst.zoo.names import DEMO_IMAGE

MOST_IMAGES = 8
"""Calibration images that are looked at, too."""

_LEAST_INSTANCES = 10
_BATCH = 2


class Agreement(NamedTuple):
    """Differences between an exported file and the network; the first five are over all slots.

    An instance is a slot that the network scores at least as its settings show, or one of its ten best.
    """

    images: int
    """Images compared."""
    gate: float
    """Largest difference of a score before rescoring, 0..1."""
    masks: float
    """Largest difference of a mask probability, 0..1."""
    labels: float
    """Share of slots with another class, 0..1."""
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
            ("largest difference of a score before rescoring", f"{self.gate:.2g}"),
            ("largest difference of a mask probability", f"{self.masks:.2g}"),
            ("slots with another class", f"{self.labels:.2%}"),
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
    gate: float | None = None
    masks: float | None = None
    labels: float | None = None

    def broken(self, agreement: Agreement) -> list[str]:
        """What is beyond the limits, as text."""
        least = [(name, getattr(agreement, name), getattr(self, name)) for name in ("found", "iou")]
        most = [(name, getattr(agreement, name), getattr(self, name)) for name in ("score", "gate", "masks", "labels")]
        return [
            *(f"{name} {value:.4g} (at least {limit:g})" for name, value, limit in least if not value >= limit),
            *(
                f"{name} {value:.4g} (at most {limit:g})"
                for name, value, limit in most
                if limit is not None and not value <= limit  # a value that is no number is beyond every limit
            ),
        ]


LIMITS: dict[Precision, Limits] = {
    "fp32": Limits(found=0.999, iou=0.995, score=1e-3, gate=1e-3, masks=1e-2, labels=0.01),
    "fp16": Limits(found=0.95, iou=0.9, score=0.03),
    "int8": Limits(found=0.9, iou=0.8, score=0.08),
}
"""Precision of a file -> how far it may be from the network. Exact files differ by rounding alone."""


def compare(network: Backend, other: Backend, calibration: Sequence[Path] = ()) -> Agreement:
    """Runs both on the demo image, in two frames where any is allowed, on calibration images, alone and in pairs.

    Raises:
        InputError: an image cannot be read.
    """
    return _summary([
        _differences(network(*batch), other(*batch), network.metadata.postprocess)
        for batch in _batches(_images(other.metadata, calibration[:MOST_IMAGES]))
    ])  # fmt: skip


def check(agreement: Agreement, precision: Precision, path: Path) -> None:
    """Raises `InputError` when the agreement is beyond the limits of the precision."""
    broken = LIMITS[precision].broken(agreement)
    if broken:
        advice = "export at a higher precision" if precision != "fp32" else "report the network and this message"
        raise InputError(
            f"{path}: not written, expected the exported network to repeat the original within its limits, got "
            f"{'; '.join(broken)}: {advice}"
        )


class _Differences(NamedTuple):
    images: int
    gate: float
    masks: float
    labels: float
    activation: float | None
    found: NDArray[np.bool_]  # of each instance
    iou: NDArray[np.float64]
    score: NDArray[np.float64]


def _images(config: ModelConfig, calibration: Sequence[Path]) -> list[Prepared]:
    preprocess = config.preprocess
    # a network that knows nothing of nuclei still has to repeat itself
    demo = read_image(DEMO_IMAGE, preprocess.intensity)
    narrow = demo[:, : demo.shape[1] * 3 // 5]  # another frame, or other padding in a fixed one
    pictures = [prepare(picture, preprocess) for picture in (demo, demo[:, ::-1], narrow)]
    return [*pictures, *(read_prepared(path, preprocess) for path in calibration)]


def _batches(prepared: Iterable[Prepared]) -> Iterator[tuple[Tensor, Tensor]]:
    frames: dict[tuple[int, int], list[Prepared]] = {}
    for item in prepared:
        frames.setdefault(item.frame.frame_hw, []).append(item)
    for items in frames.values():
        for start in range(0, len(items), _BATCH):
            yield stack(items[start : start + _BATCH])


def _differences(network: Candidates, other: Candidates, post: PostprocessConfig) -> _Differences:
    a, b = _on_cpu(network), _on_cpu(other)
    best = a.scores.topk(min(_LEAST_INSTANCES, a.scores.shape[1]), dim=1).values[:, -1:]
    wanted = (a.scores >= best.clamp(max=post.score)) & (a.gate > post.gate)  # (B, N)
    ours, theirs = a.masks[wanted] > post.mask_threshold, b.masks[wanted] > post.mask_threshold  # (n, h, w)
    both, either = ((ours & theirs).flatten(1).sum(1), (ours | theirs).flatten(1).sum(1))
    iou = torch.where(either > 0, both / either.clamp(min=1), torch.ones(()))
    activation = None
    if b.activation is not None:
        assert a.activation is not None
        activation = _largest(a.activation - b.activation)
    return _Differences(
        len(a.scores),
        _largest(a.gate - b.gate),
        _largest(a.masks - b.masks),
        float((a.labels != b.labels).float().mean()),
        activation,
        (b.gate > post.gate)[wanted].numpy(),
        iou.double().numpy(),
        (a.scores - b.scores)[wanted].abs().double().numpy(),
    )


def _on_cpu(candidates: Candidates) -> Candidates:
    scores, labels, masks, gate, activation = candidates
    return Candidates(
        scores.cpu(), labels.cpu(), masks.cpu(), gate.cpu(), None if activation is None else activation.cpu()
    )


def _largest(difference: Tensor) -> float:
    return float(difference.float().abs().max())


def _summary(parts: Sequence[_Differences]) -> Agreement:
    found, iou, score = (np.concatenate([getattr(part, name) for part in parts]) for name in ("found", "iou", "score"))
    images = sum(part.images for part in parts)
    logits = [part.activation for part in parts if part.activation is not None]
    any_instance = len(found) > 0
    return Agreement(
        images=images,
        gate=float(np.max([part.gate for part in parts])),  # unlike max(), numpy's keeps what is no number
        masks=float(np.max([part.masks for part in parts])),
        labels=sum(part.labels * part.images for part in parts) / images,
        activation=float(np.max(logits)) if logits else None,
        instances=len(found),
        found=float(found.mean()) if any_instance else 1.0,
        iou=float(iou.mean()) if any_instance else 1.0,
        score=float(score.mean()) if any_instance else 0.0,
    )
