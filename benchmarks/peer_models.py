"""torchvision's Mask R-CNN on our backbone, the peer of our networks: fed by our loader, giving our `Instances`."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import FeaturePyramidNetwork, masks_to_boxes
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from sparseinst import Instances
from sparseinst.data.coco import CocoDataset
from sparseinst.data.formats.source import Split
from sparseinst.data.loader import EpochSampler, Sample, TrainingSet
from sparseinst.data.prepare import Prepared, prepare
from sparseinst.data.transforms import TrainTransform
from sparseinst.evaluation.coco_eval import evaluate_results
from sparseinst.evaluation.figures import Evaluation
from sparseinst.inference.writers import to_coco
from sparseinst.masks import rle
from sparseinst.modeling.backbones import Backbone
from sparseinst.modeling.model import build_model
from sparseinst.recipe import Preset
from sparseinst.runtime.folding import fold_norms
from sparseinst.training.settings import apply_settings
from sparseinst.zoo.models import init_weights

STRIDES = (4, 8, 16, 32)
"""Of the backbone's features that the pyramid reads, as published; one more level follows by subsampling."""

RATIOS = (0.5, 1.0, 2.0)

MULTIPLE_PX = 32
"""Sides of a padded frame; torchvision's own."""

Target = dict[str, Tensor]


class PyramidBackbone(nn.Module):
    """Our backbone with torchvision's feature pyramid, as its detectors take it.

    Args:
        body: gives features at `STRIDES`.
        channels: width of the pyramid.
    """

    def __init__(self, body: Backbone, *, channels: int) -> None:
        super().__init__()
        self.body, self.out_channels = body, channels
        # Without the norm, the features of linear bottlenecks are far too large for the heads at the start.
        self.pyramid = FeaturePyramidNetwork(list(body.channels), channels, LastLevelMaxPool(), nn.BatchNorm2d)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised images to five levels, strides 4 to 64."""
        features = OrderedDict((str(level), feature) for level, feature in enumerate(self.body(images)))
        levels: dict[str, Tensor] = self.pyramid(features)
        return levels


class Anchors(AnchorGenerator):
    """torchvision's anchors, at the true strides: it divides frame by grid, and misses where the last level rounds."""

    def grid_anchors(self, grid_sizes: list[list[int]], strides: list[list[Tensor]]) -> list[Tensor]:
        """The anchors of each level; the strides that torchvision worked out are not looked at."""
        exact = [[torch.tensor(stride)] * 2 for stride in (*STRIDES, 2 * STRIDES[-1])]
        anchors: list[Tensor] = super().grid_anchors(grid_sizes, exact)
        return anchors


def build_peer(preset: Preset, init: Path | None, *, channels: int, rois: int, anchors_px: Sequence[int]) -> MaskRCNN:
    """A Mask R-CNN for the classes and frame of a preset, its batch norms trained.

    Args:
        preset: backbone, classes, mean and deviation, detections counted.
        init: ImageNet weights of the preset's backbone; None where others are loaded anyway.
        channels: width of the pyramid and heads; torchvision's is 256.
        rois: regions an image that the heads learn from, at most a quarter of them objects; torchvision's are 512.
        anchors_px: side of the anchors of each of the five levels.
    """
    preprocess, classes = preset.model.preprocess, 1 + len(preset.model.classes)
    network = build_model(apply_settings(preset, {"backbone.strides": list(STRIDES)}).model)
    if init is not None:
        init_weights(network, init)
    if preset.recipe.optim.freeze is not None:
        network.backbone.freeze(preset.recipe.optim.freeze)
    peer = MaskRCNN(
        PyramidBackbone(network.backbone, channels=channels),
        rpn_anchor_generator=Anchors(tuple((side,) for side in anchors_px), (RATIOS,) * len(anchors_px)),
        box_head=TwoMLPHead(channels * 7 * 7, 4 * channels),
        box_predictor=FastRCNNPredictor(4 * channels, classes),
        mask_head=MaskRCNNHeads(channels, (channels,) * 4, 1),
        mask_predictor=MaskRCNNPredictor(channels, channels, classes),
        box_detections_per_img=preset.recipe.max_dets,
        box_batch_size_per_image=rois,
        image_mean=[value / 255 for value in preprocess.mean],
        image_std=[value / 255 for value in preprocess.std],
        _skip_resize=True,  # our own resize (see `_found` for prediction)
        size_divisible=MULTIPLE_PX,
    )
    # torchvision takes the strides of the pyramid from the first images ever seen, wrongly where these do not fill the
    # frame, and keeps them: so the first one fills it.
    _found(peer.eval(), torch.zeros(3, 256, 256))
    return peer.to(memory_format=torch.channels_last)


def fold_peer(peer: MaskRCNN) -> MaskRCNN:
    """For prediction alone: batch norms become part of the convolutions, as in our own networks; in place."""
    fold_norms(peer.eval().backbone, torch.zeros(1, 3, 256, 256))
    return peer.requires_grad_(False).to(memory_format=torch.channels_last)


def peer_batches(dataset: CocoDataset, preset: Preset) -> Iterator[tuple[list[Tensor], list[Target]]]:
    """The batches that the preset would train on, in its order, with boxes and dense masks; for ever."""
    model, recipe = preset.model, preset.recipe
    transform = TrainTransform(recipe.augment, model.preprocess)
    # A mask stride of 1 keeps full resolution.
    samples = TrainingSet(dataset.remap(model.classes), transform, 1, recipe.seed)
    for keys in EpochSampler(len(samples), recipe.batch, recipe.seed):
        batch = [samples[key] for key in keys]
        yield [sample.image.float() / 255 for sample in batch], [_target(sample) for sample in batch]


def _target(sample: Sample) -> Target:
    masks = sample.targets.masks
    boxes = masks_to_boxes(masks)
    boxes[:, 2:] += 1  # the end is exclusive; an object of one pixel has an area
    return {"boxes": boxes, "labels": sample.targets.labels + 1, "masks": masks.to(torch.uint8)}


def detect(peer: MaskRCNN, prepared: Prepared) -> Instances:
    """Network and post-processing on one image, to encoded masks of its original size."""
    frame = prepared.frame
    found = _found(peer, prepared.image.float() / 255)
    result = peer.transform.postprocess([found], [frame.resized_hw], [frame.original_hw])[0]
    counts = rle.encode((result["masks"][:, 0] > 0.5).numpy())
    labels = (result["labels"] - 1).numpy()
    instances = Instances(result["scores"].numpy(), labels, counts, np.arange(len(labels)), frame.original_hw)
    return instances[instances.areas > 0]


@torch.inference_mode()
def _found(peer: MaskRCNN, image: Tensor) -> Target:
    """Boxes, scores, labels and 28 x 28 masks in a (3, h, w) image of 0..1, as it is: torchvision would resize it."""
    transform = peer.transform
    pixels = transform.batch_images([transform.normalize(image)], size_divisible=transform.size_divisible)
    images = ImageList(pixels.contiguous(memory_format=torch.channels_last), [tuple(image.shape[1:])])
    features = peer.backbone(images.tensors)
    proposals, _ = peer.rpn(images, features)
    found: list[Target] = peer.roi_heads(features, proposals, images.image_sizes)[0]
    return found[0]


def evaluate_peer(peer: MaskRCNN, split: Split, preset: Preset) -> Evaluation:
    """Mask AP of a peer in eval mode by our evaluator."""
    preprocess = preset.model.preprocess
    dataset = CocoDataset.load(split.images, split.annotations).remap(preset.model.classes)
    results = []
    for index, image_id in enumerate(dataset.image_ids):
        found = detect(peer, prepare(dataset.image(index, preprocess), preprocess))
        results += to_coco(found, int(image_id), dataset.category_ids)
    return evaluate_results(split.annotations, results, max_dets=preset.recipe.max_dets)
