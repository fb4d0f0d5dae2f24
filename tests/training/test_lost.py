"""A process of a run is killed: the others end with a line that says so, and the run goes on with one or two."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import yaml

from shapes import tiny_preset
from sparseinst.training.logs import read_table
from sparseinst.training.trainer import train

ITERATIONS = 40


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """A recipe whose steps do not depend on the number of processes."""
    values = tiny_preset(batch=4, iterations=ITERATIONS, evaluate_every=5, pictures=0).model_dump(mode="json")
    values["model"]["backbone"]["norm"] = "frozen"
    path = tmp_path_factory.mktemp("preset") / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture(scope="module")
def whole(tiny_data, preset, tmp_path_factory):
    """The log of the run that nothing happens to."""
    folder = tmp_path_factory.mktemp("whole")
    train(tiny_data, preset, folder / "run", init="random", device="cpu", log=())
    return read_table(folder / "run" / "metrics.csv")


def command(*arguments):
    return [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "sparseinst.cli",
        "train", "--device", "cpu", "--trackers", "none", *map(str, arguments),
    ]  # fmt: skip


@pytest.mark.parametrize("rank", [0, pytest.param(1, marks=pytest.mark.matrix)])
def test_the_run_of_a_killed_process_ends_and_goes_on(tiny_data, preset, whole, tmp_path, rank):
    out = tmp_path / "my run"
    process = subprocess.Popen(
        command("--data", tiny_data, "--model", preset, "--out", out, "--init", "random"),
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while not (out / "state.pt").is_file() or len(read_table(out / "metrics.csv")) < 7:
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.01)
    of_rank(process.pid, rank).send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode
    assert f"process {1 - rank} of 2: another process of the run is gone" in errors, errors
    assert f"sparseinst train --resume '{out}'" in errors
    assert 7 <= len(read_table(out / "metrics.csv")) < ITERATIONS
    if rank == 0:
        assert train(out=out, resume=True, device="cpu").finished
    else:
        done = subprocess.run(command("--resume", out), capture_output=True, timeout=240, text=True, check=False)
        assert done.returncode == 0, done.stderr
    rows = read_table(out / "metrics.csv")
    assert [row["iteration"] for row in rows] == [row["iteration"] for row in whole]
    assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in whole], rel=1e-4)
    assert [row["iteration"] for row in read_table(out / "evaluation.csv")] == list(range(5, ITERATIONS + 1, 5))
    assert not (out / "run.lock").exists()


def of_rank(launcher, rank):
    (process,) = (child for child in psutil.Process(launcher).children() if child.environ().get("RANK") == str(rank))
    return process
