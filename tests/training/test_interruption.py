"""A run that is ended by a signal has saved everything, and goes on from its folder alone."""

import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from shapes import tiny_preset
from sparseinst.errors import InputError
from sparseinst.training.logs import read_table
from sparseinst.training.trainer import train

ITERATIONS = 60


@pytest.fixture(scope="module")
def whole(tiny_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train(tiny_data, tiny_preset(iterations=ITERATIONS), folder / "run", init="random", device="cpu", log=())
    return read_table(folder / "run" / "metrics.csv")


def test_a_signal_to_all_processes_of_a_run_saves_it(tiny_data, tmp_path, whole):
    out, preset = tmp_path / "my run", tmp_path / "tiny.yaml"
    preset.write_text(yaml.safe_dump(tiny_preset(iterations=ITERATIONS).model_dump(mode="json")))
    process = subprocess.Popen(
        [sys.executable, "-m", "sparseinst.cli", "train", "--data", str(tiny_data), "--model", str(preset), "--out",
         str(out), "--init", "random", "--device", "cpu", "--workers", "1", "--log", "none"],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    _wait(lambda: len(read_table(out / "metrics.csv")) >= 5, process)
    with pytest.raises(InputError, match=f"process {process.pid} on .* trains in this folder"):
        train(tiny_data, tiny_preset(), out, init="random", device="cpu")
    os.killpg(process.pid, signal.SIGINT)  # the loader's process gets it, too
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Ctrl-C: stopped after iteration" in errors and f"sparseinst train --resume '{out}'" in errors
    assert "Traceback" not in errors
    result = train(out=out, resume=True, device="cpu")
    assert result.finished and result.iterations == ITERATIONS
    for name in ("iteration", "lr", "loss"):
        assert [row[name] for row in read_table(out / "metrics.csv")] == [row[name] for row in whole], name


def test_a_killed_run_gives_its_folder_free_and_begins_anew(tiny_data, tmp_path, whole):
    out, preset = tmp_path / "run", tmp_path / "tiny.yaml"
    preset.write_text(yaml.safe_dump(tiny_preset(iterations=ITERATIONS).model_dump(mode="json")))
    code = (
        "import sys, torch; torch.set_num_threads(1); from sparseinst.training.trainer import train; "
        "train(sys.argv[1], sys.argv[2], sys.argv[3], init='random', device='cpu', log=())"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tiny_data), str(preset), str(out)])
    _wait(lambda: len(read_table(out / "metrics.csv")) >= 2, process)
    process.kill()
    process.wait(60)
    assert (out / "run.lock").is_file() and not (out / "state.pt").is_file()
    assert train(out=out, resume=True, device="cpu").finished
    assert not (out / "run.lock").exists()
    assert [row["loss"] for row in read_table(out / "metrics.csv")] == [row["loss"] for row in whole]


@pytest.mark.parametrize(("part", "number", "code"), [("find", signal.SIGINT, 130), ("measure", signal.SIGTERM, 143)])
def test_a_broken_off_evaluation_is_made_up_for(tiny_data, tmp_path, monkeypatch, part, number, code):
    from sparseinst.training.interruption import Interrupted
    from sparseinst.training.validation import Validation

    real, out = getattr(Validation, part), tmp_path / "run"

    def interrupted(*arguments):
        os.kill(os.getpid(), number)
        return real(*arguments)

    monkeypatch.setattr(Validation, part, interrupted)
    preset = tiny_preset(iterations=4, evaluate_every=2)
    with pytest.raises(Interrupted) as caught:
        train(tiny_data, preset, out, init="random", device="cpu", log=())
    assert caught.value.iteration == 2 and caught.value.exit_code == code
    assert read_table(out / "evaluation.csv") == [] and (out / "best.safetensors").is_file()
    monkeypatch.setattr(Validation, part, real)
    assert train(out=out, resume=True, device="cpu").finished
    assert [row["iteration"] for row in read_table(out / "evaluation.csv")] == [2, 4]


def _wait(condition, process):
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, process.stderr and process.stderr.read()
        time.sleep(0.02)
