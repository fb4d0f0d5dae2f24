import copy

import pytest
import torch

from shapes import tiny_preset
from sparseinst.data.coco import CocoDataset
from sparseinst.data.loader import training_loader
from sparseinst.errors import InputError
from sparseinst.modeling.model import build_model
from sparseinst.recipe import Preset
from sparseinst.training.accelerating import make_accelerator, release_accelerator
from sparseinst.training.engine import Engine, NonFiniteLoss
from sparseinst.training.settings import apply_settings


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


def test_every_trained_weight_moves(make_engine, batch):
    engine = make_engine(tiny_preset())
    before = {name: p.detach().clone() for name, p in engine.trained.named_parameters()}
    for done in range(3):
        engine.step([batch], done=done)
    still = [name for name, p in engine.trained.named_parameters() if torch.equal(before[name], p)]
    assert not still


def test_frozen_layers_keep_weights_and_statistics(make_engine, batch):
    engine = make_engine(apply_settings(tiny_preset(), {"optim.freeze": 4, "optim.lr": 0.1}))
    before = {name: value.clone() for name, value in engine.network.state_dict().items()}
    engine.network.eval()
    engine.model.train()  # as after an evaluation
    engine.step([batch], done=0)
    after = engine.network.state_dict()
    kept = {name for name in before if torch.equal(before[name], after[name])}
    first = {name for name in before if name.startswith(("backbone.features.conv_stem", "backbone.features.bn1"))}
    deeper = {name for name in before if name.startswith("backbone.features.blocks.3") and name.endswith("weight")}
    assert first and first <= kept
    assert deeper and not deeper & kept


def test_a_stride_that_the_backbone_lacks_cannot_be_frozen(make_engine):
    with pytest.raises(InputError, match=r"stride of the backbone's layers.*got 7"):
        make_engine(preset_with(**{"optim.freeze": 7}))


def test_the_losses_are_the_criterions(make_engine, batch):
    engine = make_engine(tiny_preset())
    result = engine.step([batch], done=0)
    assert tuple(result.losses) == engine.losses == engine.trained.names
    assert all(value > 0 for value in result.losses.values())


def test_a_state_brings_another_engine_to_the_same_step(make_engine, batch):
    engine, other = make_engine(tiny_preset()), make_engine(tiny_preset(seed=1))
    engine.step([batch], done=0)
    state = copy.deepcopy(engine.state_dict())
    expected = engine.step([batch], done=1)
    other.load_state_dict({**state, "auxiliary": {}})  # as earlier versions wrote it
    assert other.step([batch], done=1) == expected
    with pytest.raises(InputError, match="auxiliary heads, which no longer exist"):
        other.load_state_dict({**state, "auxiliary": {"heads.semantic.conv.bias": torch.zeros(2)}})


def test_the_images_of_a_loss_that_is_no_number_are_named_with_it(make_engine, batch):
    engine = make_engine(tiny_preset())
    with torch.no_grad():
        engine.network.decoder.kernel.bias.fill_(float("nan"))
    with pytest.raises(NonFiniteLoss, match=r"loss_mask, loss_dice.* not finite for the batch of images"):
        engine.step([batch], done=0)
    assert not engine.has_finite_weights()


def test_masks_reach_the_losses_in_16_bits_and_the_losses_are_those_of_32(make_engine, batch):
    engine = make_engine(preset_with(precision="bf16"))
    criterion, seen = engine.trained.criterion, []

    def watched(predictions, targets, num_instances):
        wide = {name: getattr(predictions, name).float() for name in ("logits", "masks", "objectness")}
        seen.append((predictions, criterion(predictions._replace(**wide), targets, num_instances)))
        return criterion(predictions, targets, num_instances)

    engine.trained.criterion = watched
    losses = engine.step([batch], done=0).losses
    ((predictions, wanted),) = seen
    assert predictions.masks.dtype == predictions.logits.dtype == torch.bfloat16
    assert losses == pytest.approx({name: value.item() for name, value in wanted.items()}, rel=1e-5)
