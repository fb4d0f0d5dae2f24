"""Two processes train one network."""

import os
import subprocess
import sys

import pytest
import torch
import yaml

from shapes import tiny_preset
from sparseinst.training.logs import read_table
from sparseinst.training.trainer import train
from sparseinst.zoo.names import load_preset

SCRIPT = """
import os, sys, torch
from sparseinst.training import starting
from sparseinst.training.trainer import train
from sparseinst.training.calibration import Length
minutes = float(sys.argv[4]) if len(sys.argv) > 4 else None
rank = int(os.environ["RANK"])  # each process finds another length
starting.length_for = lambda *_, **__: Length(4 + 2 * rank, 2 + rank)
result = train(sys.argv[1], sys.argv[2], sys.argv[3], init="random", device="cpu", minutes=minutes)
torch.save(result.model.state_dict(), f"{sys.argv[3]}/rank{os.environ['RANK']}.pt")
"""


def in_two_processes(folder, data, out, *further):
    (folder / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         str(folder / "script.py"), str(data), str(folder / "tiny.yaml"), str(out), *map(str, further)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()


# Frozen norm, one frame and two instances an image: then the halves of a batch give the loss of the whole.
def test_two_processes_end_with_equal_weights_and_the_losses_of_one(tiny_data, tmp_path):
    preset = tiny_preset(batch=4, iterations=4)
    values = preset.model_dump(mode="json")
    values["model"]["backbone"]["norm"] = "frozen"
    values["recipe"]["augment"]["short_px"] = [64]
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values))
    out = tmp_path / "two"
    in_two_processes(tmp_path, tiny_data, out)
    first, second = (torch.load(out / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    train(tiny_data, tmp_path / "tiny.yaml", tmp_path / "one", init="random", device="cpu")
    one, two = (read_table(tmp_path / name / "metrics.csv") for name in ("one", "two"))
    for name in ("loss_ce", "loss_mask", "loss_dice", "loss_objectness"):
        assert [row[name] for row in two] == pytest.approx([row[name] for row in one], rel=1e-4)
    assert len(two) == 4 and two[0].keys() == one[0].keys()
    assert len(read_table(out / "evaluation.csv")) == 1


def test_two_processes_agree_on_how_long_a_run_laid_over_a_time_is(tiny_data, tmp_path):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_preset(batch=4, pictures=0).model_dump(mode="json")))
    out = tmp_path / "two"
    in_two_processes(tmp_path, tiny_data, out, 0.01)
    first, second = (torch.load(out / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first if "running" not in name)
    recipe = load_preset(out / "config.yaml").recipe
    assert (recipe.iterations, recipe.evaluate_every) == (4, 2)
    assert len(read_table(out / "metrics.csv")) == 4
    assert len(read_table(out / "evaluation.csv")) == 2
