"""The network agrees with what the published implementation computes with the same weights."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from pycocotools import mask as oracle

from sparseinst.errors import InputError
from sparseinst.masks import rle
from sparseinst.masks.grid import Frame
from sparseinst.modeling import Criterion, Matcher, Segmenter, count_instances, select
from sparseinst.modeling.model import SparseInst
from sparseinst.recipe import LossConfig
from sparseinst.structures import Predictions, Targets
from sparseinst.zoo import load_model
from zoo.conftest import NETWORKS

SIZES = ((320, 427), (288, 448))
ORIGINALS = ((480, 640), (576, 896))
FRAME = (320, 448)


class Case:
    """One network with the seeded weights, its input, its output and the published one."""

    def __init__(self, name: str, shared: Path, seeded: ModuleType, folder: Path) -> None:
        published = NETWORKS[name]
        tensors = {key: torch.from_numpy(value) for key, value in seeded.state_dict(published).items()}
        path = folder / f"{published}.pth"
        torch.save({"model": tensors}, path)
        self.model: SparseInst = load_model(name, weights=path)
        self.expected = np.load(shared / "reference" / "outputs" / f"{published}.npz")
        self.images = torch.zeros(2, 3, *FRAME)
        inputs = np.load(shared / "reference" / "outputs" / "inputs.npz")
        for i, (height, width) in enumerate(SIZES):
            self.images[i, :, :height, :width] = torch.from_numpy(inputs[f"image_{i}"])
        self.resized_hw = torch.tensor(SIZES)
        self.targets = [self._target(inputs, i) for i in range(2)]
        with torch.no_grad():
            padded = self.images.clone()
            for i, (height, width) in enumerate(SIZES):
                padded[i, :, height:] = padded[i, :, :, width:] = self.model.mean[:, None, None]
            self.predictions: Predictions = self.model(padded)

    @staticmethod
    def _target(inputs: Mapping[str, np.ndarray], i: int) -> Targets:
        masks = np.unpackbits(inputs[f"target_masks_{i}"], axis=-1, count=SIZES[i][1])
        full = torch.zeros(len(masks), *FRAME)
        full[:, : SIZES[i][0], : SIZES[i][1]] = torch.from_numpy(masks)
        reduced = torch.nn.functional.interpolate(full[None], scale_factor=0.25, mode="bilinear", align_corners=False)
        return Targets(torch.from_numpy(inputs[f"target_labels_{i}"]), reduced[0])


@pytest.fixture(scope="module", params=list(NETWORKS))
def case(
    request: pytest.FixtureRequest, shared: Path, seeded: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Case:
    return Case(request.param, shared, seeded, tmp_path_factory.mktemp("weights"))


def assert_close(actual: torch.Tensor, expected: np.ndarray) -> None:
    difference = np.abs(actual.numpy() - expected).max()
    assert difference <= 1e-4 * np.abs(expected).max()


def test_predictions(case: Case) -> None:
    assert_close(case.predictions.logits, case.expected["pred_logits"])
    assert_close(case.predictions.objectness, case.expected["pred_objectness"])
    assert_close(case.predictions.masks[:, :, ::8, ::8], case.expected["pred_masks_every8"])


def test_instances(case: Case) -> None:
    with torch.no_grad():
        candidates = Segmenter(case.model)(case.images.to(torch.uint8), case.resized_hw)
    frames = [Frame(FRAME, size, original) for size, original in zip(SIZES, ORIGINALS, strict=True)]
    logits = case.expected["pred_logits"]
    best, second = np.sort(logits, axis=2)[:, :, -1], np.sort(logits, axis=2)[:, :, -2]
    for i, found in enumerate(select(candidates, frames, gate=0.005, mask_threshold=0.45)):
        expected = {name: case.expected[f"{name}_{i}"] for name in ("scores", "labels", "areas")}
        assert len(found) == len(expected["scores"])
        np.testing.assert_allclose(found.scores, expected["scores"], atol=1e-3)
        certain = (best - second)[i, found.slots] > 1e-4 * np.abs(logits).max()
        np.testing.assert_array_equal(found.labels[certain], expected["labels"][certain])
        np.testing.assert_allclose(found.areas, expected["areas"], rtol=1e-3, atol=5)
        if f"rle_counts_{i}" in case.expected:
            theirs = [{"size": list(ORIGINALS[i]), "counts": str(c)} for c in case.expected[f"rle_counts_{i}"]]
            masks = [{"size": list(ORIGINALS[i]), "counts": c} for c in found.rles[: len(theirs)]]
            overlap = np.diag(oracle.iou(masks, theirs, [0] * len(theirs)))
            empty = rle.areas([str(c).encode() for c in case.expected[f"rle_counts_{i}"]], ORIGINALS[i]) == 0
            assert (overlap[~empty] >= 0.999).all()
            assert (found.areas[: len(theirs)][empty] == 0).all()


def test_losses_and_assignment(case: Case) -> None:
    losses = Criterion(LossConfig())(case.predictions, case.targets, count_instances(case.targets, "cpu"))
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(float(case.expected[name]), rel=1e-4), name
    assert set(losses) == {"loss_ce", "loss_mask", "loss_dice", "loss_objectness"}
    assignment = Matcher(dice=0.8, probability=0.2)(case.predictions, case.targets)
    for i in range(2):
        mine = assignment.image == i
        np.testing.assert_array_equal(assignment.slot[mine], case.expected[f"match_pred_{i}"])
        np.testing.assert_array_equal(assignment.target[mine] - (0, 5)[i], case.expected[f"match_target_{i}"])


def test_another_networks_weights_are_named(case: Case, seeded: ModuleType, tmp_path: Path) -> None:
    other = "sparse_inst_r50_giam" if case.model.config.decoder.groups == 1 else "sparse_inst_r50_base"
    tensors = {key: torch.from_numpy(value) for key, value in seeded.state_dict(other).items()}
    torch.save({"model": tensors}, tmp_path / "other.pth")
    name = "r50" if case.model.config.decoder.groups == 1 else "r50-giam"
    with pytest.raises(InputError, match=r"other\.pth: these weights are of another network.*decoder\.activation"):
        load_model(name, weights=tmp_path / "other.pth")
