"""All thirteen networks compute what the published implementation does with the same weights: see README.md here."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as oracle
from torch.nn import functional

from reference.seeded import CHECKSUMS, FOLDER, NETWORKS, checksum, tensors_of
from sparseinst.batch import Targets
from sparseinst.masks import rle
from sparseinst.masks.grid import Frame
from sparseinst.modeling.model import SparseInst
from sparseinst.modeling.postprocess import Segmenter, select
from sparseinst.modeling.slots.criterion import Criterion, count_instances
from sparseinst.modeling.slots.matcher import Matcher
from sparseinst.predictions import Predictions
from sparseinst.recipe import LossConfig
from sparseinst.structures import Instances
from sparseinst.zoo.models import load_model

SIZES = ((320, 427), (288, 448))
ORIGINALS = ((480, 640), (576, 896))
FRAME = (320, 448)


class Case:
    """One network with the seeded weights, what it makes of the inputs, and what the published one does."""

    def __init__(self, preset: str, folder: Path) -> None:
        self.preset, self.tensors = preset, tensors_of(preset)
        path = folder / f"{NETWORKS[preset]}.pth"
        torch.save({"model": self.tensors}, path)
        self.model: SparseInst = load_model(preset, weights=path)
        path.unlink()
        self.expected = np.load(FOLDER / "outputs" / f"{NETWORKS[preset]}.npz")
        inputs = np.load(FOLDER / "inputs.npz")
        self.images = torch.zeros(2, 3, *FRAME, dtype=torch.uint8)
        self.padded = self.model.mean[None, :, None, None].expand(2, 3, *FRAME).clone()
        for i, (height, width) in enumerate(SIZES):
            image = torch.from_numpy(inputs[f"image_{i}"])
            self.images[i, :, :height, :width] = self.padded[i, :, :height, :width] = image
        self.targets = [_target(inputs, i) for i in range(2)]
        with torch.no_grad():
            self.features = self.model.encode(self.padded)
            self.predictions: Predictions = self.model.decoder(self.features)


def _target(inputs: Mapping[str, np.ndarray], i: int) -> Targets:
    """Masks padded to the frame and brought to the grid of stride 4, as published."""
    masks = np.unpackbits(inputs[f"target_masks_{i}"], axis=-1, count=SIZES[i][1])
    full = torch.zeros(len(masks), *FRAME)
    full[:, : SIZES[i][0], : SIZES[i][1]] = torch.from_numpy(masks)
    reduced = functional.interpolate(full[None], scale_factor=0.25, mode="bilinear", align_corners=False)
    return Targets(torch.from_numpy(inputs[f"target_labels_{i}"]), reduced[0])


@pytest.fixture(scope="module", params=list(NETWORKS))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    yield Case(request.param, tmp_path_factory.mktemp("weights"))


def assert_close(actual: torch.Tensor, expected: np.ndarray) -> None:
    """Within 1e-4 of the largest magnitude."""
    assert actual.shape == expected.shape
    assert np.abs(actual.numpy() - expected).max() <= 1e-4 * np.abs(expected).max()


def test_the_weights_are_those_of_the_outputs(case: Case) -> None:
    assert checksum(case.tensors) == CHECKSUMS[NETWORKS[case.preset]], "this NumPy draws other numbers: no parity here"


def test_logits(case: Case) -> None:
    assert_close(case.predictions.logits, case.expected["pred_logits"])


def test_masks(case: Case) -> None:
    assert case.predictions.masks.shape[2:] == (80, 112)
    assert_close(case.predictions.masks[:, :, ::8, ::8], case.expected["pred_masks_every8"])


def test_objectness(case: Case) -> None:
    assert case.predictions.objectness is not None
    assert_close(case.predictions.objectness, case.expected["pred_objectness"])


def test_activation(case: Case) -> None:
    """The maps, in the words of the paper; what they gather gives the published logits."""
    weights = {key.removeprefix("decoder.inst_branch."): tensor for key, tensor in case.tensors.items()}
    features = with_coordinates(case.features)
    for number in (0, 2, 4, 6):
        features = convolved(features, weights, f"inst_convs.{number}").relu()
    groups = features.shape[1] // weights["iam_conv.weight"].shape[1]
    activation = convolved(features, weights, "iam_conv", groups=groups)
    assert_close(case.predictions.activation, activation.numpy())
    if "softmax_bias" in weights:
        share = (activation.flatten(2) + weights["softmax_bias"]).softmax(2)
    else:
        share = activation.flatten(2).sigmoid()
        share = share / share.sum(2, keepdim=True).clamp(min=1e-6)
    gathered = torch.einsum("bnp,bdp->bnd", share, features.flatten(2))  # (B, G*N, D), group after group
    slots = torch.cat(gathered.chunk(groups, 1), 2)
    if groups > 1:
        slots = functional.linear(slots, weights["fc.weight"], weights["fc.bias"]).relu()
    logits = functional.linear(slots, weights["cls_score.weight"], weights["cls_score.bias"])
    assert_close(logits, case.expected["pred_logits"])


def with_coordinates(features: torch.Tensor) -> torch.Tensor:
    """x and y from -1 to 1, in front of the features."""
    height, width = features.shape[2:]
    x = torch.linspace(-1, 1, width).expand(2, 1, height, width)
    y = torch.linspace(-1, 1, height)[:, None].expand(2, 1, height, width)
    return torch.cat([x, y, features], 1)


def convolved(
    features: torch.Tensor, weights: Mapping[str, torch.Tensor], name: str, *, groups: int = 1
) -> torch.Tensor:
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return functional.conv2d(features, weight, bias, padding=weight.shape[-1] // 2, groups=groups)


def test_instances(case: Case) -> None:
    with torch.no_grad():
        candidates = Segmenter(case.model)(case.images, torch.tensor(SIZES))
    frames = [Frame(FRAME, size, original) for size, original in zip(SIZES, ORIGINALS, strict=True)]
    logits = case.expected["pred_logits"]
    second, best = np.sort(logits, axis=2)[:, :, -2:].transpose(2, 0, 1)
    for i, found in enumerate(select(candidates, frames, gate=0.005, mask_threshold=0.45)):
        scores, labels, areas = (case.expected[f"{name}_{i}"] for name in ("scores", "labels", "areas"))
        assert len(found) == len(scores)
        np.testing.assert_allclose(found.scores, scores, atol=1e-3)
        certain = (best - second)[i, found.slots] > 1e-4 * np.abs(logits).max()
        np.testing.assert_array_equal(found.labels[certain], labels[certain])
        np.testing.assert_allclose(found.areas, areas, rtol=1e-3, atol=5)
        if f"rle_counts_{i}" in case.expected:
            assert_same_masks(found, [str(counts) for counts in case.expected[f"rle_counts_{i}"]])


def assert_same_masks(found: Instances, counts: list[str]) -> None:
    size = list(found.size_hw)
    theirs = [{"size": size, "counts": item} for item in counts]
    ours = [{"size": size, "counts": item} for item in found.rles[: len(counts)]]
    overlap = np.diag(oracle.iou(ours, theirs, [0] * len(counts)))
    empty = rle.areas([item.encode() for item in counts], found.size_hw) == 0
    assert (overlap[~empty] >= 0.999).all()
    assert (found.areas[: len(counts)][empty] == 0).all()


def test_losses_and_assignment(case: Case) -> None:
    losses = Criterion(LossConfig())(case.predictions, case.targets, count_instances(case.targets, "cpu"))
    assert set(losses) == {"loss_ce", "loss_mask", "loss_dice", "loss_objectness"}
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(float(case.expected[name]), rel=1e-4), name
    assignment = Matcher(dice=0.8, probability=0.2)(case.predictions, case.targets)
    for i in range(2):
        mine = assignment.image == i
        np.testing.assert_array_equal(assignment.slot[mine], case.expected[f"match_pred_{i}"])
        np.testing.assert_array_equal(assignment.target[mine] - (0, 5)[i], case.expected[f"match_target_{i}"])
