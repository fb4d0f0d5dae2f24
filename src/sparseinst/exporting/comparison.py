"""Runs an exported file and the network it was made from on the same images, and says how far apart they are."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sparseinst.config.model import ModelConfig
from sparseinst.config.network import SeedsConfig
from sparseinst.config.preprocess import RGB, NativeConfig
from sparseinst.data.images import read_image
from sparseinst.data.prepare import Prepared, prepare, stack
from sparseinst.exporting.agreement import Agreement
from sparseinst.exporting.images import read_prepared
from sparseinst.predictions import Candidates
from sparseinst.runtime.backends import Backend
from sparseinst.zoo.names import DEMO_IMAGE

MOST_IMAGES = 8
"""Calibration images that are looked at, too."""
_LEAST_INSTANCES = 10
_BATCH = 2
_NATIVE_PX = 320
"""Side of the part of the picture that a network at native scale is compared on."""


def compare(network: Backend, other: Backend, calibration: Sequence[Path] = ()) -> Agreement:
    """Runs both on the demo image, in two frames where any is allowed, on calibration images, alone and in pairs.

    Raises:
        InputError: an image cannot be read.
    """
    return _summary([
        _differences(network(*batch), other(*batch), network.config)
        for batch in _batches(_images(other.config, calibration[:MOST_IMAGES]))
    ])  # fmt: skip


class _Whole(NamedTuple):
    """`Candidates` whose masks are whole."""

    scores: Tensor
    labels: Tensor
    masks: Tensor
    raw_scores: Tensor
    activation: Tensor | None


class _Differences(NamedTuple):
    images: int
    raw_score: float
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
    if preprocess.channels != RGB:
        demo = np.take(demo, np.arange(preprocess.channels) % RGB, axis=2)
    if isinstance(preprocess, NativeConfig) and preprocess.frame_hw is None:  # all masks over a whole frame are many
        demo = demo[:_NATIVE_PX, :_NATIVE_PX]
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


def _differences(network: Candidates, other: Candidates, config: ModelConfig) -> _Differences:
    a, b, post = _on_cpu(network), _on_cpu(other), config.postprocess
    judged = torch.ones_like(a.raw_scores, dtype=torch.bool)  # (B, N)
    if isinstance(config.decoder, SeedsConfig):
        b = _in_order_of(a, b, gate=post.gate)
        judged = (a.raw_scores > post.gate) | (b.raw_scores > post.gate)
    best = a.scores.topk(min(_LEAST_INSTANCES, a.scores.shape[1]), dim=1).values[:, -1:]
    wanted = (a.scores >= best.clamp(max=post.score)) & (a.raw_scores > post.gate)  # (B, N)
    ours, theirs = a.masks[wanted] > post.mask_threshold, b.masks[wanted] > post.mask_threshold  # (n, h, w)
    both, either = ((ours & theirs).flatten(1).sum(1), (ours | theirs).flatten(1).sum(1))
    iou = torch.where(either > 0, both / either.clamp(min=1), torch.ones(()))
    activation = None
    if b.activation is not None:
        assert a.activation is not None
        maps = len(a.activation[0]) // judged.shape[1]
        activation = _largest((a.activation - b.activation)[judged.repeat(1, maps)])
    return _Differences(
        len(a.scores),
        _largest((a.raw_scores - b.raw_scores)[judged]),
        _largest((a.masks - b.masks)[judged]),
        float((a.labels != b.labels)[judged].float().mean()) if judged.any() else 0.0,
        activation,
        (b.raw_scores > post.gate)[wanted].numpy(),
        iou.double().numpy(),
        (a.scores - b.scores)[wanted].abs().double().numpy(),
    )


def _in_order_of(a: _Whole, b: _Whole, *, gate: float) -> _Whole:
    """The seeds of `b` in the order of those of `a` that they are most like; zeros where `b` has too few."""
    orders = torch.stack([
        _order(a.masks[i], a.raw_scores[i], b.masks[i], b.raw_scores[i], gate=gate) for i in range(len(a.raw_scores))
    ])  # fmt: skip

    def ordered(part: Tensor) -> Tensor:
        spare = torch.cat([part, torch.zeros_like(part[:, :1])], dim=1)
        return torch.stack([own[order] for own, order in zip(spare, orders, strict=True)])

    activation = None if b.activation is None else ordered(b.activation)
    return _Whole(ordered(b.scores), ordered(b.labels), ordered(b.masks), ordered(b.raw_scores), activation)


def _order(masks_a: Tensor, raw_a: Tensor, masks_b: Tensor, raw_b: Tensor, *, gate: float) -> Tensor:
    """(N,) which of b's M seeds each of a's N is like, M for none: by mask and score if they may pass the gate."""
    order = torch.full((len(raw_a),), len(raw_b))
    rows, columns = ((values > gate / 2).nonzero()[:, 0] for values in (raw_a, raw_b))
    ours, theirs = masks_a[rows].flatten(1), masks_b[columns].flatten(1)
    sizes = ours.square().sum(1)[:, None] + theirs.square().sum(1)
    apart = (sizes - 2 * ours @ theirs.T) / sizes.clamp(min=1e-6) + (raw_a[rows, None] - raw_b[columns]).abs()
    found, like = linear_sum_assignment(apart.nan_to_num(1e6).numpy())
    order[rows[torch.from_numpy(found)]] = columns[torch.from_numpy(like)]
    taken = torch.zeros(len(raw_b) + 1, dtype=torch.bool)
    taken[order] = True
    free, rest = (order == len(raw_b)).nonzero()[:, 0], (~taken[:-1]).nonzero()[:, 0]
    number = min(len(free), len(rest))
    order[free[:number]] = rest[:number]
    return order


def _on_cpu(candidates: Candidates) -> _Whole:
    scores, labels, masks, raw_scores, activation = candidates
    if not isinstance(masks, Tensor):
        masks = torch.stack([torch.from_numpy(own.whole()) for own in masks])
    return _Whole(
        scores.cpu(), labels.cpu(), masks.cpu(), raw_scores.cpu(), None if activation is None else activation.cpu()
    )


def _largest(difference: Tensor) -> float:
    return float(difference.float().abs().max()) if difference.numel() else 0.0


def _summary(parts: Sequence[_Differences]) -> Agreement:
    found, iou, score = (np.concatenate([getattr(part, name) for part in parts]) for name in ("found", "iou", "score"))
    images = sum(part.images for part in parts)
    logits = [part.activation for part in parts if part.activation is not None]
    any_instance = len(found) > 0
    return Agreement(
        images=images,
        raw_score=float(np.max([part.raw_score for part in parts])),  # unlike max(), numpy's keeps what is no number
        masks=float(np.max([part.masks for part in parts])),
        labels=sum(part.labels * part.images for part in parts) / images,
        activation=float(np.max(logits)) if logits else None,
        instances=len(found),
        found=float(found.mean()) if any_instance else 1.0,
        iou=float(iou.mean()) if any_instance else 1.0,
        score=float(score.mean()) if any_instance else 0.0,
    )
