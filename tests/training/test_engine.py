import copy

import pytest
import torch

from shapes import tiny_preset
from sparseinst.data import CocoDataset, training_loader
from sparseinst.modeling import build_model
from sparseinst.recipe import Preset
from sparseinst.training import Engine, NonFiniteLoss, apply_settings, make_accelerator, release_accelerator


@pytest.fixture
def make_engine():
    def make(preset: Preset) -> Engine:
        release_accelerator()
        torch.manual_seed(0)
        return Engine(build_model(preset.model), preset.recipe, make_accelerator(preset.recipe, torch.device("cpu")))

    yield make
    release_accelerator()


@pytest.fixture
def batch(tiny_data):
    preset = tiny_preset()
    dataset = CocoDataset.load(tiny_data / "train", tiny_data / "train.json")
    return next(iter(training_loader(dataset, preset.model, preset.recipe)))


def preset_with(**settings: object) -> Preset:
    # Batch norm would see each batch twice, hence frozen.
    return apply_settings(tiny_preset(), {"backbone.norm": "frozen", **settings})


def test_accumulated_batches_make_one_step_of_their_mean_gradient(make_engine, batch):
    weights = []
    for accumulate in (1, 2):
        engine = make_engine(preset_with(**{"optim.accumulate": accumulate, "optim.clip_norm": 1.0}))
        steps = []
        engine.optimizer.optimizer.register_step_post_hook(lambda *_, steps=steps: steps.append(1))
        result = engine.step([batch] * accumulate, done=0)
        weights.append({name: value.clone() for name, value in engine.network.state_dict().items()})
        assert len(steps) == 1
        assert set(result.losses) == {"loss_ce", "loss_mask", "loss_dice", "loss_objectness"}
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-6) for name in weights[0])


def test_gradients_are_clipped_before_the_step(make_engine, batch):
    norms = {}
    for clip in (None, 0.01):
        engine = make_engine(preset_with(**{"optim.clip_norm": clip}))

        def note(*_, engine=engine, clip=clip):
            gradients = [p.grad.flatten() for p in engine.network.parameters() if p.grad is not None]
            norms[clip] = torch.cat(gradients).norm().item()

        engine.optimizer.optimizer.register_step_pre_hook(note)
        engine.step([batch], done=0)
    assert norms[None] > 0.1
    assert norms[0.01] == pytest.approx(0.01, rel=1e-3)


def test_learning_rate_warms_up(make_engine, batch):
    engine = make_engine(preset_with(**{"optim.lr": 0.1, "optim.warmup": 4, "optim.warmup_factor": 0.0}))
    rates = []
    for done in range(3):
        engine.step([batch], done=done)
        rates.append(engine.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.0, 0.025, 0.05])


def test_requests_come_back(make_engine, batch):
    assert make_engine(preset_with()).step([batch], done=0, requests=(True, False)).requests == (True, False)


HEADS = {"semantic": 1.0, "one_to_many": 1.0, "denoising": 1.0, "slots": 7}


@pytest.mark.parametrize("heads", [{}, HEADS], ids=["", "heads"])
def test_every_trained_weight_moves(make_engine, batch, heads):
    engine = make_engine(tiny_preset(auxiliary=heads))
    before = {name: p.detach().clone() for name, p in engine.trained.named_parameters()}
    for done in range(3):
        engine.step([batch], done=done)
    still = [name for name, p in engine.trained.named_parameters() if torch.equal(before[name], p)]
    assert not still


def test_auxiliary_heads_are_in_the_losses_and_the_state_but_not_in_the_network(make_engine, batch):
    plain, helped = make_engine(tiny_preset()), make_engine(tiny_preset(auxiliary=HEADS))
    assert helped.losses == (*plain.losses, "loss_semantic", "loss_one_to_many", "loss_denoising")
    result = helped.step([batch], done=0)
    assert tuple(result.losses) == helped.losses
    assert all(value > 0 for value in result.losses.values())
    for name in ("model", "average"):
        assert helped.state_dict()[name].keys() == plain.state_dict()[name].keys()
    assert not plain.state_dict()["auxiliary"]
    other = make_engine(tiny_preset(auxiliary=HEADS, seed=1))
    state = copy.deepcopy(helped.state_dict())
    expected = helped.step([batch], done=1)
    other.load_state_dict(state)
    assert other.step([batch], done=1) == expected


def test_the_images_of_a_loss_that_is_no_number_are_named_with_the_head(make_engine, batch):
    engine = make_engine(tiny_preset(auxiliary=HEADS))
    with torch.no_grad():
        engine.auxiliary.heads["semantic"].conv.bias.fill_(float("nan"))
    with pytest.raises(NonFiniteLoss, match="loss_semantic is not finite"):
        engine.step([batch], done=0)
    assert not engine.has_finite_weights()
