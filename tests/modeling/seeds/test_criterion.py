import pytest
import torch

from sparseinst.batch import Batch, Targets
from sparseinst.modeling.learner import Learner
from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.recipe import LossConfig
from tiny import discs, tiny_seeds_config

CONFIG = LossConfig(classification=1.0)


def network(levels: int = 2) -> SparseInst:
    torch.manual_seed(0)
    return build_model(tiny_seeds_config(levels=levels))


def batch(*targets: Targets) -> Batch:
    images = torch.zeros(len(targets), 3, 64, 64, dtype=torch.uint8)
    for image, target in zip(images, targets, strict=True):
        shown = target.masks.sum(0).clamp(max=1) if len(target) else torch.zeros(32, 32)
        image += (200 * torch.nn.functional.interpolate(shown[None, None], scale_factor=2)[0]).to(torch.uint8)
    return Batch(images, torch.full((len(targets), 2), 64), targets, tuple(range(len(targets))))


@pytest.mark.parametrize("counts", [(0,), (0, 0), (3, 0), (2, 5)])
def test_every_parameter_has_a_finite_gradient(counts: tuple[int, ...]) -> None:
    model = network().train()
    learner = Learner(model, CONFIG)
    targets = [discs(count, seed=i) if count else Targets.empty((32, 32)) for i, count in enumerate(counts)]
    losses = learner(batch(*targets), torch.tensor(float(max(1, sum(counts)))))
    assert tuple(losses) == learner.names
    assert all(loss.isfinite() and loss >= 0 for loss in losses.values())
    if not any(counts):
        assert all(loss == 0 for name, loss in losses.items() if name != "loss_ce")
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_weights_scale_their_losses() -> None:
    torch.manual_seed(0)
    model, given = network().eval(), batch(discs(3))
    once = Learner(model, CONFIG.model_copy(update={"cells": 1}))(given, torch.tensor(3.0))
    doubled = {name: 2 * getattr(CONFIG, name) for name in ("classification", "mask", "dice", "objectness")}
    twice = Learner(model, CONFIG.model_copy(update={"cells": 1, **doubled}))(given, torch.tensor(3.0))
    for name in once:
        torch.testing.assert_close(twice[name], 2 * once[name])


def test_an_image_is_learnt_by_heart() -> None:
    """Sixty steps on one image: its objects are found, each once, with their masks."""
    model = network(levels=1).train()
    target = Targets(torch.tensor([0, 1]), discs(9, seed=3).masks[[0, 4]])
    learner, given = Learner(model, CONFIG), batch(target, target)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        sum(learner(given, torch.tensor(4.0)).values()).backward()
        optimiser.step()
    with torch.no_grad():
        found = model(given.images.float())
    sure = found.logits[0].sigmoid().amax(1) > 0.5
    assert sure.sum() == 2
    assert sorted(found.logits[0][sure].argmax(1).tolist()) == [0, 1]
    for label, mask in zip(target.labels, target.masks, strict=True):
        own = found.masks[0][sure][found.logits[0][sure].argmax(1) == label][0] > 0
        wanted = mask > 0.5
        assert (own & wanted).sum() / (own | wanted).sum() > 0.7
