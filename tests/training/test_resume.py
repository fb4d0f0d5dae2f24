"""A run that is killed and resumed gives the same losses as one that is not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

from shapes import tiny_preset
from sparseinst.training.logs import read_table
from sparseinst.training.trainer import train

ITERATIONS = 40


def test_killed_and_resumed(tiny_data, tmp_path):
    preset = tiny_preset(iterations=ITERATIONS, evaluate_every=7, pictures=0)
    train_only = tmp_path / "data.yaml"
    train_only.write_text(yaml.safe_dump({
        "train": {"images": str(tiny_data / "train"), "annotations": str(tiny_data / "train.json")}
    }))  # fmt: skip
    whole = train(train_only, preset, tmp_path / "whole", init="random", device="cpu")
    out = tmp_path / "killed"
    _start_and_kill(train_only, _write(preset, tmp_path), out)
    reached = len(read_table(out / "metrics.csv"))
    assert 0 < reached < ITERATIONS
    resumed = train(train_only, preset, out, init="random", device="cpu", resume=True)
    expected, got = (read_table(folder / "metrics.csv") for folder in (whole.out, out))
    losses = [name for name in expected[0] if name.startswith("loss")]
    assert len(losses) == 5
    for name in ("iteration", "lr", *losses):
        assert [row[name] for row in got] == [row[name] for row in expected], name
    average, again = whole.model.state_dict(), resumed.model.state_dict()
    assert all((average[name] == again[name]).all() for name in average)


def _write(preset, folder: Path) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(preset.model_dump(mode="json")))
    return path


def _start_and_kill(data: Path, preset: Path, out: Path) -> None:
    """Starts the run in a process of its own and kills that some iterations after the first checkpoint."""
    code = (
        "import sys, torch; torch.set_num_threads(1); from sparseinst.training.trainer import train; "
        "train(sys.argv[1], sys.argv[2], sys.argv[3], init='random', device='cpu')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(data), str(preset), str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if (out / "state.pt").is_file() and len(read_table(out / "metrics.csv")) >= 10:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors.decode()
