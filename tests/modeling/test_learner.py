"""Network and criterion as the one module that training runs."""

import pytest
import torch

from sparseinst.batch import Batch
from sparseinst.modeling.learner import Learner
from sparseinst.modeling.model import build_model
from sparseinst.modeling.slots.criterion import count_instances
from sparseinst.ops.padding import fill_padding
from sparseinst.recipe import LossConfig
from tiny import discs, tiny_config


def batch_of(resized_hw: tuple[int, int] = (64, 64)) -> Batch:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=random, dtype=torch.uint8)
    return Batch(images, torch.tensor([resized_hw, (64, 64)]), (discs(3), discs(0)), (0, 1))


def learner_of(**decoder: object) -> Learner:
    torch.manual_seed(0)
    return Learner(build_model(tiny_config(**decoder)), LossConfig())


@pytest.mark.parametrize("objectness", [True, False])
def test_its_losses_are_those_of_the_parts(objectness: bool) -> None:
    learner, batch = learner_of(objectness=objectness), batch_of((40, 64))
    count = count_instances(batch.targets, "cpu")
    found = learner(batch, count)
    network = learner.network
    images = fill_padding(batch.images, batch.resized_hw, network.mean).contiguous(memory_format=torch.channels_last)
    assert tuple(found) == learner.names == learner.criterion.names
    torch.testing.assert_close(found, learner.criterion(network(images), batch.targets, count), rtol=0, atol=0)


def test_its_parameters_are_the_networks() -> None:
    learner = learner_of()
    assert set(learner.state_dict()) == {f"network.{name}" for name in learner.network.state_dict()}


def test_what_lies_in_the_padding_does_not_matter() -> None:
    learner, batch = learner_of(), batch_of((40, 64))
    count = count_instances(batch.targets, "cpu")
    expected = learner(batch, count)
    batch.images[0, :, 40:] = 255
    torch.testing.assert_close(learner(batch, count), expected, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_reaches_the_network_and_leaves_the_losses_in_float32(dtype: torch.dtype) -> None:
    learner, batch = learner_of(), batch_of()
    seen: list[torch.dtype] = []
    learner.network.decoder.register_forward_hook(lambda _, __, predictions: seen.append(predictions.masks.dtype))
    with torch.autocast("cpu", dtype=dtype):
        losses = learner(batch, count_instances(batch.targets, "cpu"))
    assert seen == [dtype]
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learner.parameters())
