"""Two processes train one network."""

import json
import os
import subprocess
import sys

import pytest
import torch
import yaml

from shapes import tiny_preset, write_split
from sparseinst.evaluation.evaluator import evaluate
from sparseinst.training.logs import read_table
from sparseinst.training.trainer import train
from sparseinst.zoo.names import load_preset

SCRIPT = """
import json, os, sys, torch
from sparseinst.training import starting
from sparseinst.training.trainer import train
from sparseinst.training.calibration import Length
minutes = float(sys.argv[4]) if len(sys.argv) > 4 and sys.argv[4] != "auto" else None
batch = "auto" if sys.argv[4:] == ["auto"] else None
TIMES = ([1.0, 1.2, 1.4], [1.0, 3.0])
rank = int(os.environ["RANK"])  # each process finds another length
starting.length_for = lambda *_, **__: Length(4 + 2 * rank, 2 + rank)
if batch == "auto":  # the first process would take 4 images, the second is slow with more than 2
    from sparseinst.training import batch_size
    batch_size._timed = lambda step, steps, device: [step(own) for own in steps] and TIMES[rank].pop(0)
result = train(
    sys.argv[1], sys.argv[2], sys.argv[3], init="random", device="cpu", minutes=minutes, batch=batch,
)
torch.save(result.model.state_dict(), f"{sys.argv[3]}/rank{os.environ['RANK']}.pt")
if result.evaluation is not None:
    names = ("ap", "ap50", "ap75", "ar", "best_score", "detections")
    figures = {name: getattr(result.evaluation, name) for name in names}
    json.dump(figures, open(f"{sys.argv[3]}/figures{rank}.json", "w"))
"""


def in_two_processes(folder, data, out, *further):
    (folder / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         str(folder / "script.py"), str(data), str(folder / "tiny.yaml"), str(out), *map(str, further)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """11 training images with no, one or two instances, in turn, and 7 validation images."""
    root = tmp_path_factory.mktemp("uneven")
    write_split(root, "train", 11, first=0)
    write_split(root, "val", 7, first=100)
    content = json.loads((root / "train.json").read_text())
    content["annotations"] = [
        item
        for item in content["annotations"]
        if item["image_id"] % 3 == 2 or item["image_id"] % 3 == item["category_id"]
    ]
    (root / "train.json").write_text(json.dumps(content))
    return root


SLOTS = {"slots": 6, "groups": 2, "channels": 16, "convs": 1, "kernel_channels": 8}
SEEDS = {"kind": "seeds", "candidates": 6, "levels": 2, "channels": 16, "kernel_channels": 8, "norm": "none"}


# Without batch norm, which each process computes of its own images, the halves of a batch are the whole.
@pytest.mark.parametrize("decoder", [SLOTS, SEEDS])
def test_two_processes_of_four_images_take_the_steps_of_one_of_eight(uneven, tmp_path, decoder):
    values = tiny_preset(batch=8, iterations=6).model_dump(mode="json")
    values["model"]["backbone"]["norm"] = "frozen"
    values["model"]["decoder"] = decoder
    values["recipe"]["augment"].update(short_px=[32, 64], frame_hw=None)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values))
    out = tmp_path / "two"
    in_two_processes(tmp_path, uneven, out)
    first, second = (torch.load(out / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    alone = train(uneven, tmp_path / "tiny.yaml", tmp_path / "one", init="random", device="cpu")
    one, two = (read_table(tmp_path / name / "metrics.csv") for name in ("one", "two"))
    assert len(two) == 6 and two[0].keys() == one[0].keys()
    for name in ("loss_ce", "loss_mask", "loss_dice", "loss_objectness"):
        assert [row[name] for row in two] == pytest.approx([row[name] for row in one], rel=1e-5)
    for name, weights in alone.model.state_dict().items():
        assert torch.allclose(first[name], weights, rtol=1e-3, atol=1e-5), name
    assert len(read_table(out / "evaluation.csv")) == 1


# With batch norm, whose statistics differ between the processes.
def test_two_processes_measure_what_one_does(uneven, tmp_path):
    values = tiny_preset(batch=8, iterations=60, pictures=0).model_dump(mode="json")
    values["recipe"]["optim"]["lr"] = 3e-3
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values))
    out = tmp_path / "two"
    in_two_processes(tmp_path, uneven, out)
    assert not (out / "figures1.json").exists()
    two = json.loads((out / "figures0.json").read_text())
    one = evaluate(out / "best.safetensors", uneven / "val", uneven / "val.json", device="cpu", batch=4)
    assert two == pytest.approx({name: getattr(one, name) for name in two}, abs=1e-9)
    assert two["ap"] > 0.1 and two["detections"] > 14


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


def test_two_processes_agree_on_a_batch_that_suits_the_slower(uneven, tmp_path):
    # 3 images in the preset, which two processes could not divide
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_preset(batch=3, pictures=0).model_dump(mode="json")))
    out = tmp_path / "two"
    in_two_processes(tmp_path, uneven, out, "auto")
    recipe = load_preset(out / "config.yaml").recipe
    assert recipe.batch == 4  # 2 in each: 4 in each would take three times as long in the second
    assert len(read_table(out / "metrics.csv")) == recipe.iterations
