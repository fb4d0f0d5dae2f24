"""A run with every auxiliary head: what it leaves is a plain network and a log of its losses."""

import pytest
import torch

from shapes import tiny_preset
from sparseinst.errors import InputError
from sparseinst.modeling import build_model
from sparseinst.training import read_table, train
from sparseinst.zoo import load_model, read_checkpoint

SIZES = {"iterations": 12, "batch": 4, "log_every": 3}
HEADS = {
    "auxiliary.semantic": 1.0, "auxiliary.one_to_many": 0.5, "auxiliary.slots": 7, "auxiliary.matches": 2,
    "auxiliary.denoising": 0.5, "optim.lr": 4e-3,
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tiny_data, tmp_path_factory):
    """A teacher and its student, in folders."""
    root = tmp_path_factory.mktemp("runs")
    teacher = train(tiny_data, tiny_preset(**SIZES), root / "teacher", init="random", device="cpu")
    taught = {**HEADS, "auxiliary.distillation": 0.5, "auxiliary.teacher": str(teacher.last)}
    train(tiny_data, tiny_preset(**SIZES), root / "student", init="random", device="cpu", settings=taught)
    return root


def test_the_checkpoint_is_that_of_a_plain_network(runs):
    config, tensors = read_checkpoint(runs / "student" / "last.safetensors")
    assert tensors.keys() == build_model(config).state_dict().keys()
    assert tensors.keys() == read_checkpoint(runs / "teacher" / "last.safetensors")[1].keys()
    with torch.no_grad():
        assert load_model(runs / "student" / "last.safetensors")(torch.zeros(1, 3, 64, 64)).masks.isfinite().all()


def test_the_log_has_exactly_the_losses_of_the_run(runs):
    teacher, student = (read_table(runs / name / "metrics.csv") for name in ("teacher", "student"))
    extra = ["loss_semantic", "loss_one_to_many", "loss_denoising", "loss_distillation"]
    assert [name for name in student[0] if name not in teacher[0]] == extra
    names = [name for name in student[0] if name.startswith("loss_")]
    for row in student:
        assert row["loss"] == pytest.approx(sum(row[name] for name in names))
    assert all(student[-1][name] < student[0][name] for name in ("loss", "loss_semantic", "loss_denoising"))


def test_a_run_with_a_teacher_can_be_resumed(runs, tiny_data):
    taught = {**HEADS, "auxiliary.distillation": 0.5, "auxiliary.teacher": str(runs / "teacher" / "last.safetensors")}
    again = train(
        tiny_data, tiny_preset(**SIZES), runs / "student", init="random", device="cpu", settings=taught, resume=True
    )
    assert again.finished
    assert again.iterations == SIZES["iterations"]


def test_a_teacher_of_other_classes_is_refused(runs, tiny_data, tmp_path):
    wanted = {"auxiliary.distillation": 1.0, "auxiliary.teacher": "nuclei"}
    with pytest.raises(InputError, match="expected the student's 2 classes"):
        train(tiny_data, tiny_preset(**SIZES), tmp_path / "run", init="random", device="cpu", settings=wanted)
