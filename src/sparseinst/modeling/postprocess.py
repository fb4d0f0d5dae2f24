"""From predictions to instances: `score` in fixed shapes, then `select`, where shapes depend on the data."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor, nn

from sparseinst.masks.grid import Frame, Patches, mean_inside
from sparseinst.masks.paste import encode_pasted
from sparseinst.masks.pieces import drop_small_pieces
from sparseinst.modeling.model import SparseInst
from sparseinst.ops.padding import fill_padding
from sparseinst.predictions import Candidates, Predictions
from sparseinst.structures import Instances


def score(predictions: Predictions, *, mask_threshold: float) -> Candidates:
    """Scores all slots as the paper does: sqrt(class x objectness), rescored by the mean probability inside.

    Without objectness the class probability itself takes the place of the square root.
    """
    probability = predictions.logits.float().sigmoid()  # (B, N, C)
    if predictions.objectness is not None:
        probability = (probability * predictions.objectness.float().sigmoid()).sqrt()
    raw_scores, labels = probability.max(dim=2)
    masks = predictions.masks.float().sigmoid()
    return Candidates(raw_scores * mean_inside(masks, threshold=mask_threshold), labels, masks, raw_scores)


class Segmenter(nn.Module):
    """The whole tensor program from padded uint8 images to candidates: what is compiled and exported.

    Args:
        model: the network.
        activation: also give the logits of the activation maps.
    """

    def __init__(self, model: SparseInst, *, activation: bool = False) -> None:
        super().__init__()
        self.model, self.activation = model, activation
        self.mask_threshold = model.config.postprocess.mask_threshold

    def forward(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        """(B, channels, H, W) uint8 or floating in 0..255 and (B, 2) int64 sizes within the frame to candidates."""
        predictions = self.model(fill_padding(images, resized_hw, self.model.mean))
        candidates = score(predictions, mask_threshold=self.mask_threshold)
        return candidates._replace(activation=predictions.activation) if self.activation else candidates


def select(
    candidates: Candidates,
    frames: Sequence[Frame],
    *,
    gate: float,
    mask_threshold: float,
    min_score: float = 0.0,
    least_piece: float = 0.0,
) -> list[Instances]:
    """Keeps what is above the thresholds and brings its masks to the original images, in slot order.

    Args:
        candidates: of B images.
        frames: B frames.
        gate: a slot is kept when its score before rescoring is above this.
        mask_threshold: a pixel belongs to a mask when its probability at the original size is above this.
        min_score: and when its score after rescoring is at least this.
        least_piece: pieces of a mask below this share of its area are dropped; the score is that of the whole mask.
    """
    if len(frames) != len(candidates.scores):
        raise ValueError(f"expected {len(candidates.scores)} frames, got {len(frames)}: give one for each image")
    keep = (candidates.raw_scores > gate) & (candidates.scores >= min_score)
    found = (
        _of_image(candidates.scores[i], candidates.labels[i], own, keep[i], frame, mask_threshold)
        for i, (own, frame) in enumerate(zip(candidates.masks, frames, strict=True))
    )
    return [without_small_pieces(instances, least=least_piece) for instances in found]


def without_small_pieces(instances: Instances, *, least: float) -> Instances:
    """The same instances with their masks as `drop_small_pieces` leaves them."""
    if not least:
        return instances
    counts = drop_small_pieces(instances.rles, instances.size_hw, least=least)
    return replace(instances, rles=counts, _cache={})


def _of_image(
    scores: Tensor, labels: Tensor, masks: Tensor | Patches, keep: Tensor, frame: Frame, threshold: float
) -> Instances:
    """One image, (N, ...) each."""
    slots = keep.nonzero()[:, 0]
    kept = masks.at(slots.tolist()) if isinstance(masks, Patches) else masks[slots]
    return Instances(
        scores[slots].float().cpu().numpy().astype(np.float32),
        labels[slots].cpu().numpy().astype(np.int64),
        encode_pasted(kept, frame, threshold=threshold),
        slots.cpu().numpy().astype(np.int64),
        frame.original_hw,
    )
