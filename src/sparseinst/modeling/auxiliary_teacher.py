"""What a trained network teaches another one: its confident instances, softly."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparseinst.config import ModelConfig
from sparseinst.errors import InputError
from sparseinst.modeling.auxiliary_heads import Scene, pair_loss
from sparseinst.modeling.criterion import Criterion, count_instances
from sparseinst.modeling.model import SparseInst
from sparseinst.modeling.optimise import optimise
from sparseinst.modeling.postprocess import score
from sparseinst.ops.guidance import Activation
from sparseinst.ops.losses import mask_losses
from sparseinst.ops.masks import fill_padding
from sparseinst.recipe import LossConfig
from sparseinst.structures import Batch, Targets


class Lesson(NamedTuple):
    """The t instances that the teacher is sure of in an image."""

    targets: Targets
    """Its best class for each, and mask probabilities on the student's mask grid."""
    classes: Tensor
    """(t, C) class probabilities, in the student's order."""


class Teacher:
    """A frozen network that looks at training batches; no module, so that nobody trains, saves or counts it.

    Args:
        network: any with the student's classes, in any order; its own default score says what it is sure of.
        student: settings of the student.
        frame_hw: fixed frame of the training images, if there is one.

    Raises:
        InputError: the classes differ, or the teacher knows one fixed frame and training images come in another.
    """

    def __init__(self, network: SparseInst, student: ModelConfig, *, frame_hw: tuple[int, int] | None) -> None:
        config = network.config
        if set(config.classes) != set(student.classes):
            lacking = sorted(set(student.classes) - set(config.classes))
            foreign = sorted(set(config.classes) - set(student.classes))
            raise InputError(
                f"auxiliary.teacher: expected the student's {len(student.classes)} classes, got "
                f"{len(config.classes)} (lacking: {lacking[:5]}, foreign: {foreign[:5]}): train the teacher on the "
                "same classes"
            )
        fixed = config.preprocess.frame_hw
        if fixed is not None and fixed != frame_hw:
            raise InputError(
                f"auxiliary.teacher: expected training images in its frame {fixed}, got {frame_hw}: set "
                f"augment.frame_hw to [{fixed[0]}, {fixed[1]}], or take a teacher without a fixed frame"
            )
        self.network = optimise(network)
        self.order = [config.classes.index(name) for name in student.classes]
        self.post = config.postprocess

    @torch.no_grad()
    def __call__(self, batch: Batch, grid_hw: tuple[int, int]) -> list[Lesson]:
        """What it is sure of in each image, with masks on a grid of (h, w)."""
        predictions = self.network(fill_padding(batch.images, batch.resized_hw, self.network.mean))
        candidates = score(predictions, mask_threshold=self.post.mask_threshold)
        probability = predictions.logits.float().sigmoid()[:, :, self.order]  # (B, N, C)
        lessons = []
        for scores, classes, masks in zip(candidates.scores, probability, candidates.masks, strict=True):
            sure = (scores >= self.post.score).nonzero()[:, 0]
            resized = F.interpolate(masks[None], size=grid_hw, mode="bilinear", align_corners=False)[0]
            lessons.append(Lesson(Targets(classes[sure].argmax(1), resized[sure]), classes[sure]))
        return lessons


class Distillation(nn.Module):
    """Each instance that the teacher is sure of is matched to a slot, which learns its class and mask probabilities.

    No parameters of its own. Slots that match none are left to the criterion: the teacher may have missed things.

    Args:
        teacher: what teaches.
        loss: weights of the terms, and of the matching score.
        activation: how the student normalises its activation maps.
    """

    def __init__(self, teacher: Teacher, *, loss: LossConfig, activation: Activation) -> None:
        super().__init__()
        self.teacher, self.loss = teacher, loss
        self.matcher = Criterion(loss, activation=activation).matcher

    def forward(self, scene: Scene) -> Tensor:
        """The loss, without its weight."""
        predictions = scene.predictions
        height, width = predictions.masks.shape[-2:]
        lessons = self.teacher(scene.batch, (height, width))
        targets = [lesson.targets for lesson in lessons]
        with torch.autocast(predictions.logits.device.type, enabled=False):
            count = count_instances(targets, predictions.logits.device)
            assignment = self.matcher(predictions, targets)
            logits = predictions.logits.float()[assignment.image, assignment.slot]  # (K, C)
            wanted = torch.cat([lesson.classes for lesson in lessons])[assignment.target]
            entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
            matched = assignment.by_image(targets, predictions.masks.shape[1])
            parts = mask_losses(predictions.masks, [target.masks for target in targets], *matched)
            objectness = predictions.objectness
            sure = None if objectness is None else objectness[assignment.image, assignment.slot, 0]  # (K,)
            return self.loss.classification * entropy / count + pair_loss(
                parts, sure, pixels=height * width, weights=self.loss, num_instances=count
            )
