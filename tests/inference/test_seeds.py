"""Networks of seeds: fewer candidates where shapes follow the data, and as many instances as are asked for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from inference.standins import ColorBackend
from maps import dense
from sparseinst.errors import InputError
from sparseinst.inference.prediction import predict_files
from sparseinst.inference.predictor import Predictor
from sparseinst.inference.writers import write_image
from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.runtime.backends import open_backend
from sparseinst.runtime.torch_backend import EagerBackend, TorchBackend
from sparseinst.structures import Instances
from tiny import tiny_config, tiny_seeds


@pytest.fixture(scope="module")
def network() -> SparseInst:
    model = tiny_seeds(candidates=40)
    post = model.config.postprocess.model_copy(update={"gate": 0.5})  # so that some seeds cannot pass it
    model.config = model.config.model_copy(update={"postprocess": post})
    return model


@pytest.fixture(scope="module")
def pictures() -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), np.uint8) for size in ((64, 64), (50, 117), (240, 150), (64, 60))]


def assert_same(found: Instances, expected: Instances) -> None:
    assert found.slots.tolist() == expected.slots.tolist()
    assert found.labels.tolist() == expected.labels.tolist() and found.full == expected.full
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    for mask, truth in zip(found.masks, expected.masks, strict=True):
        assert (mask & truth).sum() >= 0.999 * (mask | truth).sum()


def test_what_cannot_pass_the_gate_is_left_out_on_a_cpu(network: SparseInst, pictures) -> None:
    eager, fast = EagerBackend(network), TorchBackend(network)
    images, sizes = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8), torch.tensor([[64, 64]] * 2)
    everything, few = eager(images, sizes), fast(images, sizes)
    count = few.raw_scores.shape[1]
    assert 0 < count < everything.raw_scores.shape[1] == 40
    assert (everything.raw_scores[:, count:] <= 0.5).all()
    assert network.decoder.budget.least_logit is None
    for score in (0.0, 0.3):
        for batch in (1, 2):
            expected = Predictor(eager, score=score)(pictures)
            assert sum(map(len, expected)) > 4
            for found, truth in zip(Predictor(fast, score=score, batch=batch)(pictures), expected, strict=True):
                assert_same(found, truth)


def test_an_empty_frame_is_no_error(network: SparseInst) -> None:
    post = network.config.postprocess.model_copy(update={"gate": 0.999})
    quiet = tiny_seeds(candidates=5)
    quiet.decoder.classifier.bias.data -= 100
    quiet.config = network.config.model_copy(update={"postprocess": post})
    for backend in (TorchBackend(quiet), EagerBackend(quiet)):
        assert len(Predictor(backend, score=0)(np.zeros((64, 64, 3), np.uint8))) == 0


def test_maps_belong_to_the_instances_of_any_number(network: SparseInst, pictures) -> None:
    for (ours, maps), (theirs, expected) in zip(
        Predictor(network, score=0).explain(pictures), Predictor(EagerBackend(network), score=0).explain(pictures),
        strict=True,
    ):  # fmt: skip
        assert_same(ours, theirs)
        assert maps.groups == 1 and len(maps) == len(ours) > 0
        np.testing.assert_allclose(dense(maps, (32, 32)), dense(expected, (32, 32)), atol=1e-4)


@pytest.mark.parametrize("name", ["torch", "eager"])
def test_more_or_fewer_instances_are_a_setting_of_prediction(network: SparseInst, pictures, name: str) -> None:
    everything = Predictor(EagerBackend(network), score=0)(pictures[0])
    assert not everything.full
    few = Predictor(open_backend(network, name=name), score=0, max_instances=3)(pictures[0])
    assert_same(few, replace(everything[everything.slots < 3], full=True))
    more = Predictor(network, score=0, max_instances=200)
    assert more.backend.config.most_instances == 200
    assert_same(more(pictures[0]), everything)
    assert network.config.most_instances == 40
    assert few[1].full and few[[]].full and not Instances.empty((3, 3)).full


def test_slots_and_backends_that_hold_a_number_keep_the_best(pictures) -> None:
    torch.manual_seed(0)
    model = build_model(tiny_config()).eval()
    torch.nn.init.normal_(model.decoder.kernel.weight)
    everything = Predictor(model, score=0)(pictures[1])
    assert everything.full and len(everything) > 2
    few = Predictor(model, score=0, max_instances=2)(pictures[1])
    best = np.sort(np.argsort(-everything.scores)[:2])
    assert few.full and few.slots.tolist() == everything.slots[best].tolist()
    with pytest.raises(InputError, match=r"at most 6, .* got 7: its slots"):
        Predictor(model, max_instances=7)
    with pytest.raises(InputError, match="at least 1"):
        Predictor(model, max_instances=0)
    assert not Predictor(ColorBackend())(np.zeros((64, 64, 3), np.uint8)).full


def test_an_image_in_tiles_is_full_where_one_of_them_is(network: SparseInst) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 120, 3), np.uint8)
    assert Predictor(network, score=0, tile=64, max_instances=1)(picture).full
    assert not Predictor(network, score=0, tile=64)(picture).full


def test_a_run_over_files_tells_which_are_full(network: SparseInst, pictures, tmp_path) -> None:
    for number, picture in enumerate(pictures[::3]):
        write_image(tmp_path / f"{number}.png", picture)
    results = []
    predict_files(tmp_path, model=network, score=0, max_instances=1, on_image=results.append)
    assert [result.instances.full for result in results] == [True, True]
